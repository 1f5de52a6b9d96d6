package caddymodule_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"golang.org/x/mod/modfile"

	_ "github.com/nine-router/nine-router/caddymodule"
	"github.com/nine-router/nine-router/store"
)

var update = flag.Bool("update", false, "write what the adapter gives into the golden files")

func adapt(text string) (string, error) {
	b, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return string(b), err
}

// Each file has a Caddyfile, a line of dashes, and the JSON or the error that it
// gives.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddytest")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(b), "----------\n")
			var got string
			if out, err := adapt(in); err != nil {
				got = err.Error() + "\n"
			} else {
				var indented bytes.Buffer
				if err := json.Indent(&indented, []byte(out), "", "\t"); err != nil {
					t.Fatal(err)
				}
				got = indented.String() + "\n"
			}
			if *update {
				if err := os.WriteFile(name, []byte(in+"----------\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestTheExampleIsValidAndFormatted(t *testing.T) {
	b, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(caddyfile.Format(b), b) {
		t.Error("Caddyfile.example is not formatted: run caddy fmt")
	}
	// All that is commented out is true as well.
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	for name, text := range map[string]string{"as it is": string(b), "with all options": uncomment(string(b))} {
		out, err := adapt(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "as it is" {
			var cfg caddy.Config
			if err := json.Unmarshal([]byte(out), &cfg); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Validate(&cfg); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// uncomment takes the comment sign from lines that are commented-out syntax:
// those that begin with an option's name or a brace after it.
func uncomment(text string) string {
	words := []string{"data_dir", "encryption_key", "provider", "api_key", "connection", "priority", "models", "disabled", "}", "format", "base_url",
		"prefix", "header", "combo", "anthropic/", "openai/", "key ", "open", "query_keys", "max_", "times", "first_content", "silence", "exchange",
		"keep_alive", "sockets", "model ", "context", "lacks", "price", "strict", "keys ", "transport", "compression", "dial_timeout", "private", "proxy socks5", "proxy_strict on",
		"weight", "strategy ", "sticky", "queue 1", "fault 4", "contains", "scope", "for 12h", "deadline", "alias claude", "default_model", "operations",
		"networks", "expires", "requests 6", "tokens 5", "concurrent 8", "spend", "connect 1", "affinity 1", "retry {", "rounds", "back_off", "wait 2",
		"attempts 2", "hedge {", "after 5", "share", "pace 2"}
	var out []string
	for line := range strings.Lines(text) {
		bare := strings.TrimLeft(line, "\t")
		rest, ok := strings.CutPrefix(bare, "# ")
		rest = strings.TrimLeft(strings.TrimPrefix(rest, "# "), "\t# ")
		if ok && strings.HasPrefix(line, "\t\t") && slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(rest, w) }) && !strings.HasSuffix(strings.TrimSpace(rest), ".") && !strings.Contains(rest, " ...") {
			line = rest
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// xcaddy.json says what is true.
func TestTheManifestAgreesWithTheCode(t *testing.T) {
	var manifest struct {
		Module, Caddy, Go            string
		Modules, Directives, Plugins []string
	}
	b, err := os.ReadFile("../xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &manifest); err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile("../go.mod"); err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if mod.Module.Mod.Path != manifest.Module || mod.Go.Version != manifest.Go {
		t.Errorf("go.mod is %s, go %s", mod.Module.Mod.Path, mod.Go.Version)
	}
	for _, r := range mod.Require {
		if r.Mod.Path == "github.com/caddyserver/caddy/v2" && r.Mod.Version != manifest.Caddy {
			t.Errorf("go.mod has Caddy %s, the manifest %s", r.Mod.Version, manifest.Caddy)
		}
	}
	var ours []string
	for _, id := range caddy.Modules() {
		if strings.Contains(id, "nine_router") {
			ours = append(ours, id)
		}
	}
	slices.Sort(ours)
	if !slices.Equal(ours, manifest.Modules) {
		t.Errorf("registered are %v, the manifest has %v", ours, manifest.Modules)
	}
	for _, d := range manifest.Directives {
		if _, err := adapt("http://localhost:1\n" + d); err != nil {
			t.Errorf("directive %s: %v", d, err)
		}
	}
	if len(manifest.Plugins) != 1 || manifest.Plugins[0] != manifest.Module+"/caddymodule" {
		t.Errorf("plugins %v", manifest.Plugins)
	}
}

const key = "nr-a-declared-key-for-tests"

// server is a Caddy in this process.
type server struct {
	t    *testing.T
	port string
	dir  string
}

func run(t *testing.T, global, site string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s := &server{t, port, t.TempDir()}
	t.Setenv("DATA_DIR", filepath.Join(s.dir, "data"))
	t.Cleanup(func() { caddy.Stop() })
	if err := s.load(global, site); err != nil {
		t.Fatal(err)
	}
	return s
}

// load runs another configuration.
func (s *server) load(global, site string) error {
	s.t.Helper()
	text := fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\toutput file %s\n\t}\n%s\n}\nhttp://127.0.0.1:%s {\n%s\n}\n", filepath.Join(s.dir, "log"), global, s.port, site)
	out, err := adapt(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return caddy.Load([]byte(out), true)
}

func (s *server) get(path string) (int, string) {
	s.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+s.port+path, nil)
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

const declared = "\tnine_router {\n\t\tprovider demo\n\t\tkey test " + key + "\n\t}"

// The handlers need no order, work wherever Caddy can put them, and leave the
// rest of the site alone.
func TestPlacesInASite(t *testing.T) {
	for name, c := range map[string]struct {
		site, api, other string
		want             int
	}{
		"alone":              {"nine_router\nnine_router_dashboard\nrespond /x there", "/v1/models", "/x", 200},
		"before respond":     {"respond 404\nnine_router", "/v1/models", "/x", 404},
		"route":              {"route {\nnine_router\n}\nrespond /x there", "/v1/models", "/x", 200},
		"handle":             {"handle /ai/* {\nnine_router\n}\nrespond /x there", "/ai/v1/models", "/x", 200},
		"handle_path":        {"handle_path /ai/* {\nnine_router\n}\nrespond /x there", "/ai/v1/models", "/x", 200},
		"matcher":            {"nine_router /ai/*\nrespond /v1/models there", "/ai/v1/models", "/v1/models", 200},
		"prefix":             {"nine_router {\nprefix /ai\n}\nrespond /b/v1/models there", "/ai/v1/models", "/b/v1/models", 200},
		"a doubled version":  {"nine_router\nrespond /x there", "/v1/v1/models", "/x", 200},
		"dashboard's prefix": {"nine_router_dashboard {\nprefix /r\n}\nnine_router\nrespond / there", "/v1/models", "/", 200},
	} {
		t.Run(name, func(t *testing.T) {
			s := run(t, declared, c.site)
			if code, body := s.get(c.api); code != 200 || !strings.Contains(body, "demo/echo") {
				t.Errorf("%s: %d %s", c.api, code, body)
			}
			code, body := s.get(c.other)
			if code != c.want || c.want == 200 && body != "there" {
				t.Errorf("%s: %d %s", c.other, code, body)
			}
		})
	}
}

func TestWithoutAnyOption(t *testing.T) {
	s := run(t, "", "nine_router\nnine_router_dashboard")
	if code, _ := s.get("/v1/models"); code != 401 {
		t.Errorf("a stranger got %d", code)
	}
	if code, body := s.get("/api/health"); code != 200 || body != `{"status":"ok"}` {
		t.Errorf("health: %d %s", code, body)
	}
	if code, body := s.get("/"); code != 200 || !strings.Contains(body, "<main>") {
		t.Errorf("page: %d", code)
	}
}

// What cannot work is refused, and the server goes on.
func TestConfigurationsThatCannotWork(t *testing.T) {
	s := run(t, declared, "nine_router")
	for options, want := range map[string]string{
		"provider nobody": `there is no provider "nobody"`,
		"provider openai": `provider "openai" needs a credential`,
		"provider openai {\napi_key {env.NR_NOT_SET}\n}": "the placeholder has no value",
		"key a short":                         "at least 20 characters",
		"provider lab {\nbase_url ftp://x\n}": "must begin with http",
		"provider lab {\nbase_url http://169.254.169.254/v1\n}": "link-local",
		"provider lab {\nformat openai\n}":                      "needs a base_url",
	} {
		if err := s.load("nine_router {\n"+options+"\n}", "nine_router"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", options, err, want)
		}
	}
	if err := s.load("nine_router {\nprovider ollama\nkey test "+key+"\n}", "nine_router"); err != nil {
		t.Errorf("a provider without a credential: %v", err)
	}
	if code, _ := s.get("/v1/models/ollama/anything"); code != 200 {
		t.Errorf("its models: %d", code)
	}
}

func TestAConfigurationIsValidatedBesideARunningServer(t *testing.T) {
	s := run(t, declared, "nine_router")
	out, err := adapt("{\n" + declared + "\n}\nhttp://localhost:1 {\nnine_router\n}")
	if err != nil {
		t.Fatal(err)
	}
	var cfg caddy.Config
	if err := json.Unmarshal([]byte(out), &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Error(err)
	}
	if code, _ := s.get("/v1/models"); code != 200 {
		t.Errorf("the server answers %d", code)
	}
}

// 200 streams are open while the configuration changes 20 times, is rejected
// once, and is taken away: no stream is cut, and the store is opened once and
// closed at the end.
func TestStreamsSurviveReloads(t *testing.T) {
	const streams, reloads, words = 200, 20, 50
	release := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range words {
			fmt.Fprintf(w, "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"w%d \"}}]}\n\n", i)
			if i == 0 {
				http.NewResponseController(w).Flush()
				<-release
			}
		}
		io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n")
	}))
	defer up.Close()
	global := func(n int) string {
		return fmt.Sprintf("\tnine_router {\n\t\tkey test %s\n\t\talias n%d up/m\n\t\tprovider up {\n\t\t\tbase_url %s/v1\n\t\t}\n\t}", key, n, up.URL)
	}
	s := run(t, global(0), "nine_router")
	var begun, ended sync.WaitGroup
	begun.Add(streams)
	for i := range streams {
		ended.Go(func() {
			path, body := "/v1/chat/completions", `{"model":"up/m","stream":true,"messages":[{"role":"user","content":"x"}]}`
			if i%2 == 1 {
				path, body = "/v1/messages", `{"model":"up/m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}`
			}
			req, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1:"+s.port+path, strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+key)
			resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
			if err != nil {
				begun.Done()
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			in := bufio.NewReader(resp.Body)
			first, err := in.ReadString('\n')
			begun.Done()
			rest, err2 := io.ReadAll(in)
			all := first + string(rest)
			if err != nil || err2 != nil || !strings.Contains(all, "w49 ") || !strings.Contains(all, "[DONE]") && !strings.Contains(all, "message_stop") {
				t.Errorf("stream %d: %v %v, %d bytes", i, err, err2, len(all))
			}
			for n := range words {
				if !strings.Contains(all, fmt.Sprintf("\"w%d \"", n)) {
					t.Errorf("stream %d: word %d is missing", i, n)
				}
			}
		})
	}
	begun.Wait()
	for n := range reloads {
		if err := s.load(global(n+1), "nine_router"); err != nil {
			t.Fatal(err)
		}
	}
	rejected := strings.Replace(global(0), "alias n0 up/m", "alias n0 n0", 1)
	if err := s.load(rejected, "nine_router"); err == nil || !strings.Contains(err.Error(), "means itself") {
		t.Errorf("a name that means itself was taken: %v", err)
	}
	if err := s.load("", "respond nothing"); err != nil {
		t.Fatal(err)
	}
	close(release)
	ended.Wait()
	dir := filepath.Join(s.dir, "data")
	opened := reopen(t, dir)
	defer opened.Close()
	n := 0
	err := opened.Exchanges(t.Context(), time.Unix(0, 0), time.Now().Add(time.Hour), func(e *store.Exchange) bool {
		if e.Outcome == store.Finished {
			n++
		}
		return true
	})
	if err != nil || n != streams {
		t.Errorf("%d finished exchanges in the books, want %d (%v)", n, streams, err)
	}
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]int{"store opened": 1, "store closed": 1, "panic": 0, key: 0} {
		if got := bytes.Count(log, []byte(word)); got != want {
			t.Errorf("%q is in the log %d times, want %d", word, got, want)
		}
	}
}

// reopen opens a directory that a server has given up.
func reopen(t *testing.T, dir string) store.Store {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		s, err := store.OpenBadger(t.Context(), store.BadgerOptions{Dir: dir})
		if err == nil {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
