package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
)

// panics is an observer that panics at one of its methods.
type panics struct{ at string }

func (p panics) on(at string) {
	if p.at == at {
		panic("the observer panics")
	}
}

func (p panics) Begin(context.Context, *store.Exchange)             { p.on("begin") }
func (p panics) End(context.Context, *store.Exchange, *store.Trace) {}
func (p panics) BeginAttempt(ctx context.Context, _ *store.Exchange, _ *store.Attempt) context.Context {
	p.on("begin attempt")
	return ctx
}
func (p panics) EndAttempt(context.Context, *store.Exchange, *store.Attempt) { p.on("end attempt") }
func (p panics) Event(context.Context, gateway.Event)                        {}

type panicBody struct{ first string }

func (b *panicBody) Read(p []byte) (int, error) {
	if b.first == "" {
		panic("the body panics")
	}
	n := copy(p, b.first)
	b.first = b.first[n:]
	return n, nil
}
func (b *panicBody) Close() error { return nil }

// A bug anywhere on the way costs one exchange: its client is told, it is in the
// books, and everybody's place is given back.
func TestAPanicCostsOneExchange(t *testing.T) {
	t.Parallel()
	good := func(id string, r *http.Request) (*http.Response, error) { return answers(id, r) }
	body := func(text string) script {
		return func(string, *http.Request) (*http.Response, error) {
			return respondFrom(200, "text/event-stream", &panicBody{text})
		}
	}
	for name, c := range map[string]struct {
		serve   script
		at      string
		hedge   bool
		started bool
	}{
		"in the transport":                {serve: func(string, *http.Request) (*http.Response, error) { panic("the transport panics") }},
		"in the transport, hedged":        {serve: func(string, *http.Request) (*http.Response, error) { panic("the transport panics") }, hedge: true},
		"before the first content":        {serve: body(opening)},
		"after the first content":         {serve: body(opening + says("one")), started: true},
		"before it is known who is asked": {serve: good, at: "begin"},
		"at the beginning of an attempt":  {serve: good, at: "begin attempt"},
		"at the end of an attempt":        {serve: func(string, *http.Request) (*http.Response, error) { return fails(500, "x") }, at: "end attempt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, c.serve, func(o *gateway.Options) {
				o.Observer = panics{c.at}
				o.Hedge.On = c.hedge
				o.Declared.Connections[0].MaxConcurrent = 1
			}, "a2")
			w := l.stream(t, "a/m")
			text := w.Body.String()
			if (w.Code == 200) != c.started || !c.started && w.Code != 500 || !strings.Contains(text, "gateway_error") || strings.Contains(text, "[DONE]") || strings.Contains(text, "panics") {
				t.Errorf("%d %s", w.Code, text)
			}
			if x, _ := l.last(t); x.ID != w.Header().Get("X-Request-Id") || x.Scope != "gateway" || x.Reason != "panic" {
				t.Errorf("%+v", x)
			}
			l.quiet(t)
		})
	}
}

// Bodies of providers are closed, whatever came of them, or their connections pile
// up.
func TestEveryAnswersBodyIsClosed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, body string
		serve      func(io.ReadCloser) (*http.Response, error)
		text       string
	}{
		"a stream":        {text: opening + says("x") + stopping + done},
		"a broken stream": {text: opening + says("x")},
		"an empty stream": {text: opening + stopping + done},
		"an error":        {serve: func(b io.ReadCloser) (*http.Response, error) { return respondFrom(500, "application/json", b) }, text: "{}"},
		"a redirect":      {serve: func(b io.ReadCloser) (*http.Response, error) { return respondFrom(302, "", b) }},
		"damaged gzip": {serve: func(b io.ReadCloser) (*http.Response, error) {
			return respondFrom(200, "", b, "Content-Encoding", "gzip")
		}, text: "no"},
		"an unknown coding": {serve: func(b io.ReadCloser) (*http.Response, error) {
			return respondFrom(200, "", b, "Content-Encoding", "br")
		}},
		"embeddings": {path: "/v1/embeddings", body: `{"model":"a/m","input":"x"}`, text: `{"data":[{"embedding":[1]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opened, closed := 0, 0
			l := newLab(t, func(_ string, r *http.Request) (*http.Response, error) {
				opened++
				b := &slowBody{ctx: r.Context(), pieces: []piece{{0, c.text}}, closed: func() { closed++ }}
				if c.serve != nil {
					return c.serve(b)
				}
				return respondFrom(200, "text/event-stream", b)
			}, nil, "a")
			if c.path == "" {
				c.path, c.body = "/v1/chat/completions", `{"model":"a/m","stream":true,"messages":[{"role":"user","content":"x"}]}`
			}
			l.post(t, c.path, c.body)
			if opened == 0 || closed < opened {
				t.Errorf("%d bodies were opened, %d closed", opened, closed)
			}
			l.quiet(t)
		})
	}
}

// secondPanics panics when another attempt begins beside the first.
type secondPanics struct {
	panics
	begun *atomic.Int32
}

func (s secondPanics) BeginAttempt(ctx context.Context, _ *store.Exchange, _ *store.Attempt) context.Context {
	if s.begun.Add(1) == 2 {
		panic("the observer panics")
	}
	return ctx
}

// drip gives bytes for a while, and does not hear at once that it was hung up on.
type drip struct{ until time.Time }

func (d *drip) Read(p []byte) (int, error) {
	if time.Now().After(d.until) {
		return 0, io.EOF
	}
	time.Sleep(5 * time.Millisecond)
	return copy(p, opening), nil
}
func (d *drip) Close() error { return nil }

// A panic does not get ahead of an attempt that is under way: what that still uses
// would be another exchange's by then.
func TestAPanicWaitsForTheAttemptBesideIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads time.Time
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			reads = time.Now().Add(400 * time.Millisecond)
			return respondFrom(200, "text/event-stream", &drip{reads})
		}, func(o *gateway.Options) {
			o.Observer = secondPanics{begun: new(atomic.Int32)}
			o.Hedge = gateway.Hedge{On: true, After: 50 * time.Millisecond, Share: 1}
		}, "a", "b")
		if w := l.stream(t, "all"); w.Code != 500 || time.Now().Before(reads) {
			t.Errorf("%d %s, %v too soon", w.Code, w.Body, time.Until(reads))
		}
		l.quiet(t)
	})
}
