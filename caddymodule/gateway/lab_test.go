package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// A lab is a gateway without any network: its providers are a function, so that a
// virtual clock can be used. Provider "a" has the host a.test, the connections a1,
// a2 … with the keys secret-a1, secret-a2 … and any model.
type lab struct {
	*gateway.Gateway
	books store.Store
	board *schedule.Board

	mu    sync.Mutex
	asked []string // connections, in the order in which they were asked
}

// A script answers what a connection is asked.
type script func(connection string, r *http.Request) (*http.Response, error)

// newLab makes a lab with providers such as "a" with one connection or "a3" with
// three, all of them in the combo "all".
func newLab(t testing.TB, serve script, change func(*gateway.Options), providers ...string) *lab {
	t.Helper()
	catalogue, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{books: store.NewMemory(), board: schedule.NewBoard()}
	o := gateway.Options{
		Store: l.books, Board: l.board, Catalogue: catalogue,
		Retry: gateway.Retry{BackOff: time.Millisecond},
		Declared: gateway.Declared{
			Keys:      []gateway.DeclaredKey{{Name: "test", Secret: store.NewSecret(clientKey)}},
			Providers: map[string]gateway.Settings{},
		},
	}
	var members []string
	for _, p := range providers {
		name, n := p[:1], 1
		if len(p) > 1 {
			n, _ = strconv.Atoi(p[1:])
		}
		o.Declared.Nodes = append(o.Declared.Nodes, store.Node{Name: name, Format: "openai", BaseURL: "http://" + name + ".test/v1"})
		for i := range n {
			id := name + strconv.Itoa(i+1)
			o.Declared.Connections = append(o.Declared.Connections, store.Connection{ID: id, Provider: name, Name: id, APIKey: store.NewSecret("secret-" + id)})
		}
		members = append(members, name+"/m")
	}
	o.Declared.Combos = []store.Combo{{Name: "all", Models: members}}
	o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		id := credentialOf(r)
		l.mu.Lock()
		l.asked = append(l.asked, id)
		l.mu.Unlock()
		resp, err := serve(id, r)
		if resp != nil {
			resp.Request = r
		}
		return resp, err
	})
	if change != nil {
		change(&o)
	}
	if l.Gateway, err = gateway.New(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return l
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func credentialOf(r *http.Request) string {
	for _, name := range []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key"} {
		if _, id, ok := strings.Cut(r.Header.Get(name), "secret-"); ok {
			return id
		}
	}
	return "keyless"
}

// post sends a request and returns what came.
func (l *lab) post(t testing.TB, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return l.postIn(t.Context(), path, body, header...)
}

func (l *lab) postIn(ctx context.Context, path, body string, header ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+clientKey)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	l.Serve(w, r)
	return w
}

// chat asks a model as a client of OpenAI's does.
func (l *lab) chat(t testing.TB, model string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return l.post(t, "/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"x"}]}`, header...)
}

func (l *lab) stream(t testing.TB, model string) *httptest.ResponseRecorder {
	t.Helper()
	return l.post(t, "/v1/chat/completions", `{"model":"`+model+`","stream":true,"messages":[{"role":"user","content":"x"}]}`)
}

// took returns who was asked since it was called last.
func (l *lab) took() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.Join(l.asked, " ")
	l.asked = nil
	return s
}

// last returns the newest exchange in the books, and its trace.
func (l *lab) last(t testing.TB) (x store.Exchange, trace store.Trace) {
	t.Helper()
	err := l.books.Exchanges(context.Background(), time.Unix(0, 0), time.Now().Add(time.Hour), func(e *store.Exchange) bool {
		x = *e
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := l.books.Exchange(context.Background(), x.ID) // lists have no traces
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(whole.Trace, &trace); err != nil {
		t.Fatal(err)
	}
	return x, trace
}

// quiet fails the test unless everybody has given its place back.
func (l *lab) quiet(t testing.TB) {
	t.Helper()
	for _, r := range l.board.Reports() {
		if r.Running != 0 {
			t.Errorf("%d exchanges seem to be under way at %+v", r.Running, r.Subject)
		}
	}
}

func respond(status int, contentType, body string, header ...string) (*http.Response, error) {
	return respondFrom(status, contentType, io.NopCloser(strings.NewReader(body)), header...)
}

func respondFrom(status int, contentType string, body io.ReadCloser, header ...string) (*http.Response, error) {
	h := http.Header{"Content-Type": {contentType}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: body, ContentLength: -1}, nil
}

// fails answers with an error status in OpenAI's shape.
func fails(status int, message string, header ...string) (*http.Response, error) {
	return respond(status, "application/json", `{"error":{"message":"`+message+`"}}`, header...)
}

// Parts of OpenAI's streams.
const (
	opening  = `data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n"
	stopping = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	done     = "data: [DONE]\n\n"
)

func says(text string) string {
	return `data: {"id":"x","choices":[{"index":0,"delta":{"content":"` + text + `"}}]}` + "\n\n"
}

// answers answers with who answers, streamed if that is asked for.
func answers(connection string, r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(b), `"stream":true`) {
		return respond(200, "text/event-stream", opening+says("from "+connection)+stopping+done)
	}
	return respond(200, "application/json", `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"from `+connection+`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2}}`)
}

// A slowBody gives its pieces after a pause each, by the clock of the test, and
// ends when its request does.
type slowBody struct {
	ctx    context.Context
	pieces []piece
	rest   string
	end    error // nil is io.EOF
	closed func()
}

type piece struct {
	after time.Duration
	text  string
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.rest == "" {
		if len(b.pieces) == 0 {
			if b.end != nil {
				return 0, b.end
			}
			return 0, io.EOF
		}
		timer := time.NewTimer(b.pieces[0].after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-b.ctx.Done():
			return 0, context.Cause(b.ctx)
		}
		b.rest, b.pieces = b.pieces[0].text, b.pieces[1:]
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *slowBody) Close() error {
	if b.closed != nil {
		b.closed()
	}
	return nil
}

// waits answers nothing until the request ends or the time is over.
func waits(r *http.Request, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	}
}
