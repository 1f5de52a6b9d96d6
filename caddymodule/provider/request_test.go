package provider_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// A model's name is the client's text. It is one segment of the path, or the
// request is not made.
func TestAModelsNameStaysOneSegment(t *testing.T) {
	t.Parallel()
	var uri, path string
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { uri, path = r.RequestURI, r.URL.Path }))
	defer up.Close()
	p, err := provider.FromNode(store.Node{Name: "lab", Format: "gemini", BaseURL: up.URL + "/a%2Fb/v1beta/"})
	if err != nil {
		t.Fatal(err)
	}
	for model, want := range map[string]string{ // empty: refused
		"gemini-2.5-pro": "gemini-2.5-pro", "models/gemini-x": "gemini-x", "a?b#c": "a%3Fb%23c", "%2e%2e": "%252e%252e", "a%2Fb": "a%252Fb",
		"llama3:8b": "llama3%3A8b", "x:streamGenerateContent?alt=sse": "x%3AstreamGenerateContent%3Falt=sse", "org/model": "org%2Fmodel",
		"a..b": "a..b", "...": "...", "m odel": "m%20odel", "é": "%C3%A9", "a;b": "a%3Bb", "//evil.example/x": "%2F%2Fevil.example%2Fx",
		"@evil.example": "@evil.example", "http://evil.example": "http%3A%2F%2Fevil.example", `a\b`: "a%5Cb",
		"../../x": "", "..": "", ".": "", "a/../b": "", `..\x`: "", `a\..`: "", "a/.": "", "": "", "models/": "", "models/..": "", "a\r\nHost: x": "", "a\x00b": "",
		strings.Repeat("a", 513): "",
	} {
		for _, stream := range []bool{false, true} {
			uri = ""
			req, err := p.Endpoints[0].NewRequest(t.Context(), &provider.Call{Operation: provider.Chat, Model: model, Stream: stream, Body: provider.Body{[]byte("{}")}})
			if want == "" {
				if err == nil {
					t.Errorf("%q: a request to %s was made", model, req.URL)
				}
				continue
			}
			if err != nil {
				t.Errorf("%q: %v", model, err)
				continue
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			end := ":generateContent"
			if stream {
				end = ":streamGenerateContent?alt=sse"
			}
			if uri != "/a%2Fb/v1beta/models/"+want+end || !strings.HasPrefix(path, "/a/b/v1beta/models/") {
				t.Errorf("%q: the provider got %s", model, uri)
			}
		}
	}
}

func TestWhoMayBePrivate(t *testing.T) {
	t.Parallel()
	c, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Names() {
		p, _ := c.Get(name)
		local := name == "ollama" || name == "lmstudio" || name == "vllm" || name == "llamacpp"
		if p.Private != local || p.Local != local {
			t.Errorf("%s: private %v, local %v", name, p.Private, p.Local)
		}
	}
	// A node is private only if it says so: it may come from the web.
	for _, private := range []bool{false, true} {
		p, err := provider.FromNode(store.Node{Name: "n", BaseURL: "http://127.0.0.1:1/v1", Private: private})
		if err != nil || p.Private != private || !p.Local {
			t.Errorf("%v: %+v", err, p)
		}
	}
}
