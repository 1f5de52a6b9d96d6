package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
)

// used is what the key of the tests has spent according to the books.
func (l *lab) used() store.Money { return l.books.UsedSince("declared:test", time.Time{}).Cost }

// Whatever a key asks for counts against its budget at exactly what the provider says
// was used, but a count of tokens, which costs nothing.
func TestEveryOperationCounts(t *testing.T) {
	t.Parallel()
	const figures = `"usage":{"prompt_tokens":7,"completion_tokens":2}`
	serve := func(id string, r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/embeddings") {
			return respond(200, "application/json", `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1]}],"usage":{"prompt_tokens":7,"total_tokens":7}}`)
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(b), `"stream":true`) {
			return respond(200, "text/event-stream", opening+says("x")+stopping+`data: {"id":"x","choices":[],`+figures+"}\n\n"+done)
		}
		return respond(200, "application/json", `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],`+figures+`}`)
	}
	const message = `"messages":[{"role":"user","content":"x"}]`
	for name, c := range map[string]struct {
		path, body string
		cost       store.Money
	}{
		"chat":                {"/v1/chat/completions", `{"model":"a/m",` + message + `}`, perRequest},
		"chat, streamed":      {"/v1/chat/completions", `{"model":"a/m","stream":true,` + message + `}`, perRequest},
		"messages":            {"/v1/messages", `{"model":"a/m","max_tokens":9,` + message + `}`, perRequest},
		"messages, streamed":  {"/v1/messages", `{"model":"a/m","max_tokens":9,"stream":true,` + message + `}`, perRequest},
		"responses":           {"/v1/responses", `{"model":"a/m","input":"x"}`, perRequest},
		"responses, streamed": {"/v1/responses", `{"model":"a/m","input":"x","stream":true}`, perRequest},
		"embeddings":          {"/v1/embeddings", `{"model":"a/m","input":"x"}`, 7000},
		"count":               {"/v1/messages/count_tokens", `{"model":"a/m",` + message + `}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, serve, priced(store.Limits{SpendTotal: 3 * perRequest}), "a")
			for i := range 2 {
				w := l.post(t, c.path, c.body)
				if want := store.Money(i+1) * c.cost; w.Code != http.StatusOK || l.used() != want {
					t.Errorf("after %d: %d, %d spent, want %d: %s", i+1, w.Code, l.used(), want, w.Body)
				}
			}
			l.quiet(t)
		})
	}
	t.Run("responses over a socket", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, serve, priced(store.Limits{SpendTotal: 2 * perRequest}), "a")
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.Serve(w, r) }))
		defer srv.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http")+"/v1/responses", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + clientKey}}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		conn.SetReadLimit(1 << 20)
		for i := 1; i <= 3; i++ {
			if err := conn.Write(ctx, websocket.MessageText, []byte(`{"type":"response.create","model":"a/m","input":"x"}`)); err != nil {
				t.Fatal(err)
			}
			for {
				_, b, err := conn.Read(ctx)
				if err != nil {
					t.Fatal(err)
				}
				text := string(b)
				if i < 3 && strings.Contains(text, `"type":"response.completed"`) {
					break
				}
				if strings.Contains(text, `"type":"error"`) {
					if i < 3 || !strings.Contains(text, "budget is spent") {
						t.Errorf("the %dth: %s", i, text)
					}
					break
				}
				if i == 3 && strings.Contains(text, `"type":"response.completed"`) {
					t.Error("the socket goes past the budget")
					break
				}
			}
			if want := store.Money(min(i, 2)) * perRequest; l.used() != want {
				t.Errorf("after the %dth %d are spent, want %d", i, l.used(), want)
			}
		}
	})
}

// Who leaves in the middle of a stream has used what it was sent, by an estimate.
func TestWhoLeavesInTheMiddlePays(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		ctx, leave := context.WithCancel(t.Context())
		cancelled := make(chan struct{})
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if ctx.Err() != nil {
				return answers(id, r)
			}
			return respondFrom(200, "text/event-stream", &leavingBody{ctx: r.Context(), text: opening + says(strings.Repeat("word ", 200)), leave: leave, cancelled: cancelled})
		}, priced(store.Limits{SpendTotal: perRequest}), "a")
		l.postIn(ctx, path, `{"model":"a/m","stream":true,"max_tokens":900,"messages":[{"role":"user","content":"x"}]}`)
		<-cancelled
		x, _ := l.last(t)
		if x.Outcome != store.Cancelled || x.Input == 0 || x.Output < 100 || x.Cost == 0 || l.used() != x.Cost {
			t.Errorf("%s: %+v, %d spent", path, x, l.used())
		}
		if w := l.chat(t, "a/m"); w.Code != http.StatusPaymentRequired {
			t.Errorf("%s: the next one: %d %s", path, w.Code, w.Body)
		}
		l.quiet(t)
	}
}

// leavingBody has the client leave after its text, and waits to be cancelled.
type leavingBody struct {
	ctx       context.Context
	text      string
	leave     func()
	cancelled chan struct{}
}

func (b *leavingBody) Read(p []byte) (int, error) {
	if b.text != "" {
		n := copy(p, b.text)
		b.text = b.text[n:]
		return n, nil
	}
	b.leave()
	<-b.ctx.Done()
	close(b.cancelled)
	return 0, b.ctx.Err()
}

func (b *leavingBody) Close() error { return nil }

// One more at a time than a key may have is told to come again in a second, in every
// format; when the first has ended there is place again.
func TestConcurrentRequestsOfAKey(t *testing.T) {
	t.Parallel()
	for format, client := range clients {
		inside, release := make(chan struct{}, 1), make(chan struct{})
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			inside <- struct{}{}
			<-release
			return answers(id, r)
		}, func(o *gateway.Options) { o.Declared.Keys[0].Limits = store.Limits{Concurrent: 1} }, "a")
		body, err := client.codec.AppendRequest(nil, history(format, "a/m", false, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		first := make(chan int)
		go func() { first <- l.postIn(t.Context(), client.path("a/m", false), string(body)).Code }()
		<-inside
		w := l.post(t, client.path("a/m", false), string(body))
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" || w.Header().Get("X-Should-Retry") == "false" || !strings.HasPrefix(w.Body.String(), shapes[format]) {
			t.Errorf("%s: %d %v %s", format, w.Code, w.Header(), w.Body)
		}
		close(release)
		if code := <-first; code != http.StatusOK {
			t.Errorf("%s: the first: %d", format, code)
		}
		if w := l.post(t, client.path("a/m", false), string(body)); w.Code != http.StatusOK {
			t.Errorf("%s: afterwards: %d %s", format, w.Code, w.Body)
		}
	}
}

// The address that the web server knows counts, not that of the connection.
func TestTheWebServersWordForTheAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, func(o *gateway.Options) { o.Declared.Keys[0].Limits = store.Limits{Networks: []string{"10.0.0.0/8"}} }, "a")
	for ip, status := range map[string]int{"10.1.2.3": 200, "::ffff:10.1.2.3": 200, "192.0.2.1": 403, "nonsense": 403} {
		ctx := context.WithValue(t.Context(), gateway.ClientIP, ip)
		if w := l.postIn(ctx, "/v1/chat/completions", `{"model":"a/m","messages":[{"role":"user","content":"x"}]}`); w.Code != status {
			t.Errorf("%s: %d %s", ip, w.Code, w.Body)
		}
	}
}
