package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// What other gateways take as orders is a client's text here, at any depth: it
// goes on as a field that nobody knows, and changes neither where the request
// goes nor what it is shown.
func TestAClientDoesNotChooseTheDestination(t *testing.T) {
	t.Parallel()
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it was sent to %s", r.URL) }))
	t.Cleanup(evil.Close)
	order := fmt.Sprintf(`"api_base":%[1]q,"base_url":%[1]q,"endpoint":%[1]q,"api_key":"stolen","proxy":%[1]q,"host":%[1]q,`+
		`"extra_headers":{"Authorization":"Bearer stolen","X-Evil":"1","Host":"evil"},"headers":{"X-Evil":"1"},"extra_query":{"x":"1"},"extra_body":{"api_base":%[1]q}`, evil.URL)
	for name, c := range map[string]struct{ path, body string }{
		"top":      {"/v1/chat/completions", `{` + order + `,"model":"up1/m","messages":[{"role":"user","content":"x"}]}`},
		"metadata": {"/v1/chat/completions", `{"model":"up1/m","metadata":{` + order + `},"messages":[{"role":"user","content":"x"}]}`},
		"message":  {"/v1/chat/completions", `{"model":"up1/m","messages":[{` + order + `,"role":"user","content":[{` + order + `,"type":"text","text":"x"}]}]}`},
		"litellm":  {"/v1/chat/completions", `{"model":"up1/m","litellm_params":{` + order + `},"config":{` + order + `},"provider":{` + order + `},"messages":[{"role":"user","content":"x"}]}`},
		"other":    {"/v1/messages", `{` + order + `,"model":"up1/m","max_tokens":9,"metadata":{` + order + `},"messages":[{` + order + `,"role":"user","content":"x"}]}`},
		"image":    {"/v1/chat/completions", fmt.Sprintf(`{"model":"up1/m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":%q}}]}]}`, evil.URL)},
		"query":    {"/v1/chat/completions?api_base=" + evil.URL + "&base_url=" + evil.URL, `{"model":"up1/m","messages":[{"role":"user","content":"x"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			r := start(t, nil, upstream{"openai", func(w http.ResponseWriter, req *http.Request) {
				asked++
				if req.Header.Get("Authorization") != "Bearer upstream-secret-up1" || req.Header.Get("X-Evil") != "" || req.RequestURI != "/v1/chat/completions" || req.Host == "evil" {
					t.Errorf("%s %s %v", req.Host, req.RequestURI, req.Header)
				}
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}`)
			}})
			resp, body := r.send(t, c.path, c.body, "X-Api-Base", evil.URL, "X-Base-Url", evil.URL, "X-Forwarded-Host", "evil", "X-Portkey-Custom-Host", evil.URL)
			if resp.StatusCode != http.StatusOK || asked != 1 || !strings.Contains(body, "hi") {
				t.Errorf("%d %s, asked %d times", resp.StatusCode, body, asked)
			}
		})
	}
}

// perConnection gives each connection a way of its own.
type perConnection struct{ t *testing.T }

func (w perConnection) For(p *provider.Provider, c *store.Connection) http.RoundTripper {
	return carrier(func(req *http.Request) (*http.Response, error) {
		body := fmt.Sprintf(`{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"by %s of %s"},"finish_reason":"stop"}]}`, c.ID, p.Name)
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
	})
}

type carrier func(*http.Request) (*http.Response, error)

func (f carrier) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Each connection is reached in its own way; a provider within the process is not
// reached at all.
func TestEachConnectionHasItsWay(t *testing.T) {
	t.Parallel()
	unused := upstream{"openai", func(http.ResponseWriter, *http.Request) { t.Error("the one transport was used") }}
	r := start(t, func(o *gateway.Options) { o.Transports = perConnection{t} }, unused, unused)
	for model, want := range map[string]string{"up1/m": "by up1 of up1", "up2/m": "by up2 of up2", "demo/echo": "echo"} {
		resp, body := r.send(t, "/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"say echo"}]}`)
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", model, resp.StatusCode, body)
		}
	}
}
