package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/nine-router/nine-router/caddymodule"
	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
)

func init() {
	caddy.RegisterModule(new(recorder))
}

// recorder is a handler of events that passes them on to the test.
type recorder struct {
	Mark string `json:"mark,omitempty"`
}

type recorded struct {
	mark  string
	event caddy.Event
}

var events = make(chan recorded, 100)

func (*recorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.recorder", New: func() caddy.Module { return new(recorder) }}
}

func (r *recorder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	d.Args(&r.Mark)
	return nil
}

func (r *recorder) Handle(_ context.Context, e caddy.Event) error {
	if e.Data["provider"] == "panic" {
		panic("a handler's own fault")
	}
	events <- recorded{r.Mark, e}
	return nil
}

// observer is what the gateway of the running configuration tells what happens.
func observer(t *testing.T) gateway.Observer {
	t.Helper()
	v, err := caddy.ActiveContext().AppIfConfigured("nine_router")
	if err != nil {
		t.Fatal(err)
	}
	return v.(*caddymodule.App).Observer()
}

func TestEventsReachCaddysHandlers(t *testing.T) {
	global := func(mark string) string {
		return declared + "\n\tevents {\n\t\ton connection_set_aside recorder " + mark + "\n\t}"
	}
	s := run(t, global("first"), "nine_router")
	next := func(mark, provider string) {
		t.Helper()
		select {
		case got := <-events:
			origin := got.event.Origin()
			if got.mark != mark || got.event.Name() != "connection_set_aside" || got.event.Data["provider"] != provider || origin == nil || origin.CaddyModule().ID != "nine_router" {
				t.Errorf("handler %s got %s of %v: %v", got.mark, got.event.Name(), origin, got.event.Data)
			}
		case <-time.After(10 * time.Second):
			t.Error("no event came")
		}
	}
	set := func(o gateway.Observer, provider string) {
		o.Event(t.Context(), gateway.Event{Name: gateway.EventSetAside, Data: map[string]any{"provider": provider, "connection": "c"}})
	}
	old := observer(t)
	set(old, "openai")
	next("first", "openai")
	old.Event(t.Context(), gateway.Event{Name: gateway.EventWellAgain, Data: map[string]any{"provider": "openai"}}) // nobody asked for it
	set(old, "panic")
	set(old, "groq")
	next("first", "groq")

	// What exchanges of an earlier configuration have to tell goes to the
	// handlers of the one that runs.
	if err := s.load(global("second"), "nine_router"); err != nil {
		t.Fatal(err)
	}
	set(old, "mistral")
	next("second", "mistral")
}

// Counts outlast a reload, and are at Caddy's usual place.
func TestMetricsOutlastReloads(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := l.Addr().String()
	l.Close()
	s := run(t, declared, "nine_router")
	load := func(global, site string) {
		t.Helper()
		out, err := adapt(fmt.Sprintf("{\n\tadmin %s\n\tpersist_config off\n\tauto_https off\n\tmetrics\n\tlog {\n\t\toutput file %s\n\t}\n%s\n}\nhttp://127.0.0.1:%s {\n%s\n}\n",
			admin, filepath.Join(s.dir, "log"), global, s.port, site))
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.Load([]byte(out), true); err != nil {
			t.Fatal(err)
		}
	}
	scrape := func(url string) string {
		t.Helper()
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
		return string(b)
	}
	count := func() {
		x := &store.Exchange{Operation: "chat", ClientFormat: "openai", Provider: "up", Model: "m", Outcome: store.Finished, UsageReported: true, Input: 7}
		o := observer(t)
		o.Begin(t.Context(), x)
		a := &store.Attempt{Provider: "up"}
		o.EndAttempt(o.BeginAttempt(t.Context(), x, a), x, a)
		o.End(t.Context(), x, new(store.Trace))
	}
	count()
	for range 3 {
		load(declared, "nine_router\nmetrics /metrics")
		count()
	}
	for _, url := range []string{"http://" + admin + "/metrics", "http://127.0.0.1:" + s.port + "/metrics"} {
		text := scrape(url)
		for _, want := range []string{
			`nine_router_exchanges_total{client_format="openai",operation="chat",outcome="finished",provider="up"} 4`,
			`nine_router_attempts_total{provider="up",reason="none",scope="none"} 4`,
			`nine_router_tokens_total{kind="input",model="m",provider="up"} 28`,
			`nine_router_exchanges_in_flight{operation="chat"} 0`,
		} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("%s has no line %s", url, want)
			}
		}
	}
	load("", "respond nothing")
	if text := scrape("http://" + admin + "/metrics"); strings.Contains(text, "nine_router_") {
		t.Error("a configuration without the gateway has its metrics")
	}
}

// Caddy's tracing puts a trace's identity into the request. It is the operator's,
// and no provider is told.
func TestAProviderIsToldNoTrace(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	headers := make(chan http.Header, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers <- r.Header
		io.WriteString(w, `{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"y"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`)
	}))
	defer up.Close()
	s := run(t, "\tnine_router {\n\t\tkey test "+key+"\n\t\tprovider up {\n\t\t\tbase_url "+up.URL+"/v1\n\t\t}\n\t}", "tracing\nnine_router\nheader /traced X-Trace {http.vars.trace_id}\nrespond /traced traced")
	ask := func(method, path, body string) *http.Response {
		t.Helper()
		req, _ := http.NewRequest(method, "http://127.0.0.1:"+s.port+path, strings.NewReader(body))
		req.Header = http.Header{"Authorization": {"Bearer " + key}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Tracestate": {"a=b"}, "Baggage": {"user=me"}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if got := ask("GET", "/traced", "").Header.Get("X-Trace"); got != "0af7651916cd43dd8448eb211c80319c" {
		t.Fatalf("Caddy does not trace: %q", got)
	}
	if resp := ask("POST", "/v1/chat/completions", `{"model":"up/m","messages":[{"role":"user","content":"x"}]}`); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	sent := <-headers
	for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "B3", "Uber-Trace-Id", "X-Amzn-Trace-Id"} {
		if v := sent.Values(name); len(v) > 0 {
			t.Errorf("the provider got %s: %v", name, v)
		}
	}
}

// The access log says what an exchange was, and its placeholders can be used.
func TestTheAccessLogOfAnExchange(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	s := run(t, declared, "log {\n\toutput file "+log+"\n}\nlog_append asked {http.nine_router.requested}\nlog_append spent {http.nine_router.cost}\nlog_append out {http.nine_router.tokens.output}\nnine_router")
	req, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1:"+s.port+"/v1/chat/completions", strings.NewReader(`{"model":"demo/echo","messages":[{"role":"user","content":"a secret of mine"}]}`))
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	var line struct {
		Asked      string
		Spent      *string
		Out        int
		NineRouter struct {
			Exchange, Operation, Format, Requested, Outcome, Reason string
			Attempts, Output                                        int
			Duration                                                float64 `json:"duration_ms"`
		} `json:"nine_router"`
	}
	var b []byte
	// It is written after the answer.
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(string(b), "\n"); {
		if time.Now().After(deadline) {
			t.Fatal("nothing was logged")
		}
		b, _ = os.ReadFile(log)
	}
	if err := json.Unmarshal(b, &line); err != nil {
		t.Fatal(err)
	}
	n := line.NineRouter
	if line.Asked != "demo/echo" || line.Spent == nil || *line.Spent != "0" || line.Out == 0 || line.Out != n.Output ||
		n.Exchange == "" || n.Operation != "chat" || n.Format != "openai" || n.Requested != "demo/echo" || n.Outcome != "finished" || n.Reason != "" || n.Attempts != 1 || n.Duration <= 0 {
		t.Errorf("logged %s", b)
	}
	if strings.Contains(string(b), "secret of mine") {
		t.Error("the log has text of the conversation")
	}
}
