package gateway_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/caddymodule/provider/demo"
	"github.com/nine-router/nine-router/store"
)

const clientKey = "nr-client-key-for-this-suite"

// rig is a gateway behind a real server, with what it wrote and logged.
type rig struct {
	*httptest.Server
	books store.Store
	logs  *observer.ObservedLogs
}

// an upstream is a provider of the test's own, on loopback.
type upstream struct {
	format string
	serve  http.HandlerFunc
}

func start(t *testing.T, change func(*gateway.Options), ups ...upstream) *rig {
	t.Helper()
	catalogue, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if catalogue, err = catalogue.With(demo.Provider()); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	o := gateway.Options{
		Store: store.NewMemory(), Catalogue: catalogue, Logger: zap.New(core),
		Transport: &http.Transport{DisableCompression: true},
		Retry:     gateway.Retry{BackOff: time.Millisecond},
		Declared: gateway.Declared{
			Keys:        []gateway.DeclaredKey{{Name: "test", Secret: store.NewSecret(clientKey)}},
			Connections: []store.Connection{{ID: "demo", Provider: "demo", Name: "demo"}},
		},
	}
	for i, u := range ups {
		srv := httptest.NewServer(u.serve)
		t.Cleanup(srv.Close)
		name := fmt.Sprintf("up%d", i+1)
		o.Declared.Nodes = append(o.Declared.Nodes, store.Node{Name: name, Format: u.format, BaseURL: srv.URL + "/v1"})
		o.Declared.Connections = append(o.Declared.Connections, store.Connection{ID: name, Provider: name, Name: "c", APIKey: store.NewSecret("upstream-secret-" + name)})
	}
	o.Declared.Combos = []store.Combo{{Name: "both", Models: []string{"up1/m", "up2/m"}}}
	if len(ups) < 2 {
		o.Declared.Combos = nil
	}
	if change != nil {
		change(&o)
	}
	g, err := gateway.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := g.Serve(w, r); !ok {
			http.Error(w, "next handler", http.StatusTeapot)
		}
	}))
	t.Cleanup(srv.Close)
	return &rig{srv, o.Store, logs}
}

// send posts a body with the key and returns the answer.
func (r *rig) send(t *testing.T, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+clientKey)
	for i := 0; i < len(header); i += 2 {
		req.Header.Del(header[i])
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func (r *rig) exchanges(t *testing.T) (list []store.Exchange) {
	t.Helper()
	err := r.books.Exchanges(context.Background(), time.Unix(0, 0), time.Now().Add(time.Hour), func(e *store.Exchange) bool {
		list = append(list, *e)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPassThroughChangesNothingButTheModel(t *testing.T) {
	t.Parallel()
	const odd = "{ \"unknown\": {\"b\":1,\"a\":[ 1.50 ]}, \"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9\"}],\n \"model\" : \"up1/gpt-x\", \"temperature\":0.70}"
	var got []byte
	var header http.Header
	const answer = `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],  "usage":{"prompt_tokens":7,"completion_tokens":2}}`
	r := start(t, nil, upstream{"openai", func(w http.ResponseWriter, req *http.Request) {
		got, _ = io.ReadAll(req.Body)
		header = req.Header
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "9")
		io.WriteString(w, answer)
	}})
	resp, body := r.send(t, "/v1/chat/completions", odd, "Cookie", "session=1", "X-Forwarded-For", "1.2.3.4", "X-Custom", "c")
	if want := strings.Replace(odd, `"up1/gpt-x"`, `"gpt-x"`, 1); string(got) != want {
		t.Errorf("upstream got %s", got)
	}
	if body != answer {
		t.Errorf("client got %s", body)
	}
	for _, name := range []string{"Cookie", "X-Forwarded-For", "X-Custom"} {
		if header.Get(name) != "" {
			t.Errorf("%s reached the upstream", name)
		}
	}
	if a := header.Get("Authorization"); a != "Bearer upstream-secret-up1" {
		t.Errorf("upstream was shown %q", a)
	}
	if resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("X-Ratelimit-Remaining-Requests") != "9" {
		t.Errorf("header %v", resp.Header)
	}
	list := r.exchanges(t)
	if len(list) != 1 || list[0].Input != 7 || list[0].Output != 2 || list[0].Outcome != store.Finished || list[0].ID != resp.Header.Get("X-Request-Id") {
		t.Errorf("books: %+v", list)
	}
}

// Whoever asks, streamed or not, of either format, gets an answer in its own.
func TestEveryDirection(t *testing.T) {
	t.Parallel()
	for _, up := range []string{"openai", "anthropic"} {
		r := start(t, func(o *gateway.Options) {
			o.Declared.Nodes = []store.Node{{Name: "only", Format: up, BaseURL: "http://demo.invalid/v1"}}
			o.Declared.Connections = []store.Connection{{ID: "only", Provider: "only", Name: "c"}}
			o.Transport = demo.Transport{}
		})
		for _, model := range []string{"echo", "tools", "reason", "long"} {
			for _, stream := range []bool{true, false} {
				name := fmt.Sprintf("%s/%s/stream=%v", up, model, stream)
				t.Run("openai→"+name, func(t *testing.T) {
					t.Parallel()
					body := fmt.Sprintf(`{"model":"only/%s","stream":%v,"messages":[{"role":"user","content":"Say 3"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}}]}`, model, stream)
					resp, got := r.send(t, "/v1/chat/completions", body)
					check(t, resp, got, model, stream, "data: [DONE]\n\n")
				})
				t.Run("anthropic→"+name, func(t *testing.T) {
					t.Parallel()
					body := fmt.Sprintf(`{"model":"only/%s","stream":%v,"max_tokens":9,"messages":[{"role":"user","content":"Say 3"}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}]}`, model, stream)
					resp, got := r.send(t, "/v1/messages", body, "Anthropic-Version", "2023-06-01")
					check(t, resp, got, model, stream, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
				})
			}
		}
	}
}

func check(t *testing.T, resp *http.Response, body, model string, stream bool, end string) {
	t.Helper()
	want := map[string]string{"echo": "echo", "tools": `"name":"f"`, "reason": "pretends", "long": "word3"}[model]
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, want) {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if stream && !strings.HasSuffix(body, end) || !stream && !json.Valid([]byte(body)) {
		t.Errorf("bad end: %s", body)
	}
	if (resp.Header.Get("Content-Type") == "text/event-stream") != stream {
		t.Errorf("content type %q", resp.Header.Get("Content-Type"))
	}
}

func TestFailuresBeforeContentMoveOnUnseen(t *testing.T) {
	t.Parallel()
	good := upstream{"openai", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, `data: {"id":"x","choices":[{"index":0,"delta":{"content":"from the second"}}]}`+"\n\n"+`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}}
	sse := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, text)
		}
	}
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			io.WriteString(w, body)
		}
	}
	for name, bad := range map[string]http.HandlerFunc{
		"401":            status(401, `{"error":{"message":"bad key"}}`),
		"402":            status(402, `{}`),
		"403":            status(403, ``),
		"404":            status(404, `{"error":{"message":"no such model"}}`),
		"429":            status(429, `{"error":{"message":"slow down"}}`),
		"500":            status(500, `<html>oops`),
		"529":            status(529, `{}`),
		"redirect":       status(302, ``),
		"context length": status(400, `{"error":{"message":"too long","code":"context_length_exceeded"}}`),
		"html":           status(200, `<html>hello</html>`),
		"error in 200":   sse(`data: {"error":{"message":"overloaded","type":"server_error"}}` + "\n\n"),
		"empty":          sse(`data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n" + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"),
		"nothing":        sse(""),
		"not JSON":       sse("data: {\n\n"),
		"reset": func(w http.ResponseWriter, _ *http.Request) {
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, nil, upstream{"openai", bad}, good)
			resp, body := r.send(t, "/v1/chat/completions", `{"model":"both","stream":true,"messages":[{"role":"user","content":"x"}]}`)
			if resp.StatusCode != 200 || !strings.Contains(body, "from the second") || strings.Contains(body, "error") {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			if list := r.exchanges(t); len(list) != 1 || list[0].Attempts != 2 || list[0].Provider != "up2" {
				t.Errorf("books: %+v", list)
			}
		})
	}
}

func TestABadRequestIsNotTriedElsewhere(t *testing.T) {
	t.Parallel()
	asked := 0
	r := start(t, nil,
		upstream{"openai", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, `{"error":{"message":"temperature is too hot","type":"invalid_request_error","param":"temperature"}}`)
		}},
		upstream{"openai", func(http.ResponseWriter, *http.Request) { asked++ }})
	resp, body := r.send(t, "/v1/messages", `{"model":"both","max_tokens":3,"messages":[{"role":"user","content":"x"}]}`)
	if resp.StatusCode != 400 || !strings.Contains(body, "temperature is too hot") || !strings.HasPrefix(body, `{"type":"error"`) || asked != 0 {
		t.Errorf("%d %s, the second was asked %d times", resp.StatusCode, body, asked)
	}
	if resp.Header.Get("X-Should-Retry") != "false" {
		t.Error("the client is not told that a retry is of no use")
	}
}

// After the first content an error is told within the stream, in its format.
func TestAfterTheFirstContentAnErrorIsTold(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		for _, model := range []string{"cut", "stream-error"} {
			t.Run(path+" "+model, func(t *testing.T) {
				t.Parallel()
				r := start(t, nil)
				resp, body := r.send(t, path, `{"model":"demo/`+model+`","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`)
				if resp.StatusCode != 200 || !strings.Contains(body, `"error"`) || strings.Contains(body, "[DONE]") || strings.Contains(body, "message_stop") {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
				if list := r.exchanges(t); len(list) != 1 || list[0].Outcome != store.Broken {
					t.Errorf("books: %+v", list)
				}
			})
		}
	}
}

func TestBadInputIsAnsweredInTheClientsFormat(t *testing.T) {
	t.Parallel()
	gz := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.WriteString(w, s)
		w.Close()
		return b.String()
	}
	good := `{"model":"demo/echo","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`
	for _, c := range []struct {
		name, body string
		header     []string
		want       int
	}{
		{"good", good, nil, 200},
		{"gzip", gz(good), []string{"Content-Encoding", "gzip"}, 200},
		{"malformed", `{"model":`, nil, 400},
		{"empty", ``, nil, 400},
		{"array", `[]`, nil, 400},
		{"no model", `{"messages":[{"role":"user","content":"x"}]}`, nil, 400},
		{"model twice", `{"model":"demo/echo","model":"demo/slow","messages":[{}]}`, nil, 400},
		{"model in capitals", `{"model":"demo/echo","Model":"demo/slow","messages":[{}]}`, nil, 400},
		{"model with an escape twice", `{"model":"demo/echo","mod\u0065l":"demo/slow","messages":[{}]}`, nil, 400},
		{"folded stream", `{"model":"demo/echo","ſtream":true,"messages":[{}]}`, nil, 400},
		{"model of a wrong type", `{"model":3,"messages":[{}]}`, nil, 400},
		{"stream of a wrong type", `{"model":"demo/echo","stream":"yes","messages":[{}]}`, nil, 400},
		{"messages of a wrong type", `{"model":"demo/echo","messages":"x"}`, nil, 400},
		{"no messages", `{"model":"demo/echo"}`, nil, 400},
		{"unknown model", `{"model":"nobody/has-it","messages":[{"role":"user","content":"x"}]}`, nil, 404},
		{"deep", `{"model":"demo/echo","messages":[` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `]}`, nil, 400},
		{"invalid UTF-8", "{\"model\":\"demo/echo\",\"messages\":[\"\xff\"]}", nil, 400},
		{"too large", `{"model":"demo/echo","messages":["` + strings.Repeat("x", 3<<20) + `"]}`, nil, 413},
		{"bomb", gz(strings.Repeat(" ", 200<<20)), []string{"Content-Encoding", "gzip"}, 413},
		{"damaged gzip", "not gzip", []string{"Content-Encoding", "gzip"}, 400},
		{"unknown coding", good, []string{"Content-Encoding", "br"}, 415},
		{"no key", good, []string{"Authorization", ""}, 401},
		{"wrong key", good, []string{"Authorization", "Bearer wrong-key-0123456789"}, 401},
		{"two keys", good, []string{"X-Api-Key", "another-key-0123456789"}, 400},
		{"the same key twice", good, []string{"X-Api-Key", clientKey}, 200},
	} {
		for path, shape := range map[string]string{"/v1/chat/completions": `{"error":{"message":`, "/v1/messages": `{"type":"error","error":{"type":`} {
			t.Run(c.name+" "+path, func(t *testing.T) {
				t.Parallel()
				r := start(t, func(o *gateway.Options) { o.Limits.Body = 2 << 20 })
				resp, body := r.send(t, path, c.body, c.header...)
				if resp.StatusCode != c.want {
					t.Fatalf("status %d, want %d: %.300s", resp.StatusCode, c.want, body)
				}
				if c.want != 200 && (!strings.HasPrefix(body, shape) || !json.Valid([]byte(body)) || !strings.Contains(body, `"request_id":"nrx_`)) {
					t.Errorf("body %s", body)
				}
				for _, e := range r.logs.All() {
					line := fmt.Sprint(e.Message, e.ContextMap())
					for _, secret := range []string{clientKey, "wrong-key", "another-key"} {
						if strings.Contains(line, secret) {
							t.Errorf("the log has a key: %s", line)
						}
					}
				}
			})
		}
	}
}

func TestPathsThatAreNotTheAPIsGoOn(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for path, want := range map[string]int{
		"/": 418, "/v1": 418, "/v1/": 418, "/v1/chat": 418, "/v1/modelsx": 418, "/api/hello/x": 418, "/v1/models": 200,
		"/v1/v1/models": 200, "/ai/v1/models": 200, "/v1/models/demo/echo": 200, "/v1/models/nope": 404, "/v1/chat/completions": 405, "/api/hello": 200,
	} {
		req, _ := http.NewRequest(http.MethodGet, r.URL+path, nil)
		req.Header.Set("X-Api-Key", clientKey)
		resp, err := r.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

func TestARevokedKeyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	var held store.Store
	r := start(t, func(o *gateway.Options) { held = o.Store })
	_ = r
	snap, err := held.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	k := &store.Key{ID: "key_1", Name: "k", Hash: snap.Hasher.Hash("stored-key-0123456789")}
	o := gateway.Options{Store: held, Transport: http.DefaultTransport}
	if o.Catalogue, err = provider.Builtin(); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() int {
		w := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, "/v1/models", nil)
		req.Header.Set("Authorization", "Bearer stored-key-0123456789")
		g.Serve(w, req)
		return w.Code
	}
	for _, step := range []struct {
		revoked bool
		want    int
	}{{false, 200}, {true, 401}} {
		k.Revoked = step.revoked
		if _, err := held.Apply(context.Background(), store.Put(k)); err != nil {
			t.Fatal(err)
		}
		if err := g.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := ask(); got != step.want {
			t.Errorf("revoked %v: %d, want %d", step.revoked, got, step.want)
		}
	}
}

// A client that leaves ends the upstream call, and the exchange is in the books.
func TestALeavingClientEndsTheUpstreamCall(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	r := start(t, nil, upstream{"openai", func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"one"}}]}`+"\n\n")
		w.(http.Flusher).Flush()
		<-req.Context().Done()
		close(ended)
	}})
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(`{"model":"up1/m","stream":true,"messages":[{"role":"user","content":"x"}]}`))
	req.Header.Set("Authorization", "Bearer "+clientKey)
	resp, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || !strings.Contains(line, "one") {
		t.Fatalf("%q %v", line, err)
	}
	cancel()
	<-ended
	resp.Body.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if list := r.exchanges(t); len(list) == 1 && list[0].Outcome == store.Cancelled {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("books: %+v", list)
		}
	}
}

// A waiting client is kept on the line; an error then comes within the stream.
func TestAWaitingClientIsKeptOnTheLine(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	r := start(t, func(o *gateway.Options) { o.Times.KeepAlive = time.Millisecond }, upstream{"openai", func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		<-release
		w.WriteHeader(500)
	}})
	req, _ := http.NewRequest(http.MethodPost, r.URL+"/v1/messages", strings.NewReader(`{"model":"up1/m","stream":true,"max_tokens":3,"messages":[{"role":"user","content":"x"}]}`))
	req.Header.Set("X-Api-Key", clientKey)
	resp, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "event: ping\n" {
		t.Fatalf("%q %v", line, err)
	}
	close(release)
	rest, _ := io.ReadAll(in)
	if !strings.Contains(string(rest), "event: error\n") {
		t.Errorf("no error in %s", rest)
	}
}

func TestManyAtOnceAreAllInTheBooks(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	const n = 200
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			path := []string{"/v1/chat/completions", "/v1/messages"}[i%2]
			resp, body := r.send(t, path, fmt.Sprintf(`{"model":"demo/long","stream":%v,"max_tokens":9,"messages":[{"role":"user","content":"50"}]}`, i%3 == 0))
			if resp.StatusCode != 200 || !strings.Contains(body, "word50") {
				t.Errorf("%d %.200s", resp.StatusCode, body)
			}
		})
	}
	wg.Wait()
	if list := r.exchanges(t); len(list) != n {
		t.Errorf("%d exchanges in the books, want %d", len(list), n)
	}
}
