package caddymodule_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A whole server with a Caddyfile: the proxy of a connection carries the request,
// one that is gone fails it, and its password is nowhere to be seen.
func TestProxiesInAServer(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "provider.invalid" || !strings.HasPrefix(r.Header.Get("Proxy-Authorization"), "Basic ") {
			t.Errorf("the proxy was asked for %s", r.URL)
		}
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"by proxy"},"finish_reason":"stop"}]}`)
	}))
	defer proxy.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	t.Setenv("NR_TEST_PROXY", "http://user:hunter2@"+closed)
	s := run(t, fmt.Sprintf(`	debug
	nine_router {
		key test %s
		proxy {env.NR_TEST_PROXY}
		provider up {
			base_url http://provider.invalid/v1
			api_key abc
			proxy {env.NR_TEST_PROXY} http://user:hunter2@%s
		}
		provider gone {
			base_url http://provider.invalid/v1
			api_key abc
		}
	}`, key, proxy.Listener.Addr()), "nine_router")
	for model, want := range map[string]string{"up/m": "200 by proxy", "gone/m": "502 could not be reached"} {
		req, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1:"+s.port+"/v1/chat/completions", strings.NewReader(`{"model":"`+model+`","messages":[{"role":"user","content":"x"}]}`))
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		status, text, _ := strings.Cut(want, " ")
		if fmt.Sprint(resp.StatusCode) != status || !strings.Contains(string(b), text) || strings.Contains(string(b), "hunter2") {
			t.Errorf("%s: %d %s, want %s", model, resp.StatusCode, b, want)
		}
	}
	for options, want := range map[string]string{
		"proxy {env.NR_TEST_PROXY}x:y":             "the URL of a proxy cannot be parsed",
		"proxy {env.NR_NOT_SET}":                   "the placeholder has no value",
		"provider openai {\nprivate\napi_key x\n}": "private belong to a node",
	} {
		err := s.load("nine_router {\n"+options+"\n}", "nine_router")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %s", options, err, want)
		}
	}
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil || len(log) == 0 {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "hunter2") || strings.Contains(string(log), "dXNlcjpodW50ZXIy") {
		t.Error("the proxy's password is in the log")
	}
}
