package caddymodule_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The commands do their work on a running server, in a process of their own.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "caddy")
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/caddy").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	admin, site := free(), free()
	config := filepath.Join(dir, "Caddyfile")
	text := "{\n\tadmin " + admin + "\n\tauto_https off\n\tnine_router {\n\t\tprovider demo\n\t\tfirst_key off\n\t}\n}\nhttp://" + site + " {\n\tnine_router\n}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	proxies := filepath.Join(dir, "proxies")
	if err := os.WriteFile(proxies, []byte("http://user:the-proxy-password@127.0.0.1:9\nsocks5://127.0.0.1:10\nhttps://127.0.0.1:11\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "DATA_DIR="+dir+"/data", "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "SECRET=the-provider-credential-0123456789",
		"PROXY=http://user:the-proxy-password@127.0.0.1:9\n\nsocks5://127.0.0.1:10\n", "BAD_PROXY=ftp://user:the-proxy-password@127.0.0.1:9")
	var log bytes.Buffer
	server := exec.Command(binary, "run", "--config", config)
	server.Env, server.Stderr, server.Stdout = env, &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		c := exec.Command(binary, append([]string{"nine-router", "--address", admin}, args...)...)
		c.Env = env
		out, err := c.CombinedOutput()
		return string(out), err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := run("models"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("the server did not start")
		}
	}
	secret, err := run("key", "create", "laptop")
	secret = strings.TrimSpace(secret)
	if err != nil || !strings.HasPrefix(secret, "nr-") {
		t.Fatalf("%v: %s", err, secret)
	}
	for _, step := range []struct {
		args []string
		want string
		fail bool
	}{
		{[]string{"key", "create", "laptop"}, "name is taken", true},
		{[]string{"key", "list"}, "laptop", false},
		{[]string{"key", "list", "--json"}, `"name": "laptop"`, false},
		{[]string{"models"}, "demo/echo", false},
		{[]string{"connection", "add", "nobody"}, "there is no provider", true},
		{[]string{"connection", "add", "groq", "--env", "NOT_SET"}, "is not set", true},
		{[]string{"connection", "add", "groq", "--env", "SECRET", "--name", "work"}, "added groq/work", false},
		{[]string{"connection", "list"}, "groq", false},
		{[]string{"connection", "test", "demo/keyless"}, "lists 15 models", false},
		{[]string{"connection", "remove", "groq/work"}, "removed groq/work", false},
		{[]string{"connection", "remove", "groq/work"}, "no such record", true},
		{[]string{"resolve", "demo/echo"}, "ready", false},
		{[]string{"resolve", "demo"}, "The nearest names are", true},
		{[]string{"state"}, "SET ASIDE", false},
		{[]string{"clear"}, "name a provider", true},
		{[]string{"clear", "--all"}, "nobody was set aside", false},
		{[]string{"quota", "demo/keyless", "40%"}, "noted: 40% left", false},
		{[]string{"quota", "demo/keyless", "140%"}, "from 0 to 100", true},
		{[]string{"resolve", "demo/echo", "--key", "nobody"}, "There is no key", true},
		{[]string{"log"}, "OUTCOME", false},
		{[]string{"trace", "nrx_nothing"}, "no such record", true},
		{[]string{"connection", "add", "groq", "--env", "SECRET", "--proxy-env", "NOT_SET"}, "is not set", true},
		{[]string{"connection", "add", "groq", "--env", "SECRET", "--proxy-env", "BAD_PROXY"}, "proxies: ", true},
		{[]string{"connection", "add", "groq", "--env", "SECRET", "--proxy-env", "PROXY", "--weight", "3", "--max-concurrent", "2", "--json"}, `"proxies": 2`, false},
		{[]string{"connection", "add", "groq", "--name", "filed", "--env", "SECRET", "--proxy-file", proxies, "--json"}, `"proxies": 3`, false},
		{[]string{"connection", "add", "groq", "--name", "lost", "--env", "SECRET", "--proxy-file", proxies + ".not"}, "no such file", true},
		{[]string{"connection", "remove", "groq/filed"}, "", false},
		{[]string{"connection", "list", "--json"}, `"max_concurrent": 2`, false},
		{[]string{"key", "limit", "laptop"}, "or --none", true},
		{[]string{"key", "limit", "laptop", "--spend", "5"}, "such as 5/day", true},
		{[]string{"key", "limit", "laptop", "--spend", "5/day", "--spend", "6/day"}, "given twice", true},
		{[]string{"key", "limit", "laptop", "--expires", "soon"}, "neither a day", true},
		{[]string{"key", "limit", "laptop", "--networks", "home"}, "neither an address", true},
		{[]string{"key", "limit", "laptop", "--requests", "60", "--spend", "5/day", "--spend", "$20/month", "--operations", "chat"}, "60 requests/min, $5/day, $20/month, chat", false},
		{[]string{"key", "list"}, "60 requests/min", false},
		{[]string{"key", "show", "laptop"}, "spend_month", false},
		{[]string{"key", "limit", "laptop", "--none"}, "limits of laptop: -", false},
		{[]string{"key", "create", "ci", "--models", "demo/*", "--concurrent", "2", "--expires", "2099-01-31"}, "nr-", false},
		{[]string{"key", "show", "ci"}, "demo/*", false},
		{[]string{"combo", "set", "my/fast [1m]", "demo/echo", "later/model", "--strategy", "weighted", "--weights", "3,1", "--deadline", "30s"}, "nobody offers", false},
		{[]string{"combo", "list"}, "my/fast [1m]", false},
		{[]string{"combo", "list", "--json"}, `"deadline": 30000000000`, false},
		{[]string{"alias", "set", "a%2Fb", "my/fast [1m]"}, "a%2Fb stands for my/fast [1m]", false},
		{[]string{"alias", "list"}, "a%2Fb", false},
		{[]string{"combo", "set", "my/fast [1m]", "a%2Fb"}, "nothing was changed", true},
		{[]string{"combo", "remove", "my/fast [1m]"}, "removed my/fast [1m]", false},
		{[]string{"alias", "remove", "a%2Fb"}, "removed a%2Fb", false},
		{[]string{"alias", "remove", "a%2Fb"}, "no such record", true},
		{[]string{"key", "revoke", "laptop"}, "revoked laptop", false},
		{[]string{"key", "revoke", "laptop"}, "no such record", true},
	} {
		out, err := run(step.args...)
		if (err != nil) != step.fail || !strings.Contains(out, step.want) {
			t.Errorf("%v: %v: %s", step.args, err, out)
		}
		for _, hidden := range []string{secret, "the-provider-credential", "the-proxy-password"} {
			if strings.Contains(out, hidden) {
				t.Errorf("%v shows a secret", step.args)
			}
		}
	}
	server.Process.Signal(os.Interrupt)
	if err := server.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if strings.Contains(log.String(), secret) || strings.Contains(log.String(), "the-provider-credential") {
		t.Error("a secret is in the log")
	}
	if out, err := run("models"); err == nil || !strings.Contains(out, "no server answers") {
		t.Errorf("without a server: %v: %s", err, out)
	}
}
