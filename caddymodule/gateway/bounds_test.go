package gateway_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/translate"
)

// zeros compresses so much white space, which is a bomb to whoever undoes it all.
func zeros(t *testing.T, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.CopyN(z, spaces{}, n); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return b.Bytes()
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// A compressed answer is undone as far as an answer may go, and no further.
func TestACompressedAnswerIsBounded(t *testing.T) {
	t.Parallel()
	bomb := zeros(t, 64<<20)
	for _, kind := range []string{"application/json", "text/event-stream"} {
		r := start(t, func(o *gateway.Options) { o.Limits.Answer, o.Limits.Event = 4<<20, 1<<20 }, upstream{"openai", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		}})
		resp, body := r.send(t, "/v1/chat/completions", `{"model":"up1/m","stream":`+fmt.Sprint(kind != "application/json")+`,"messages":[{"role":"user","content":"x"}]}`)
		// A stream that opens with more than is held back has begun; its error is told
		// within.
		told := resp.StatusCode == http.StatusBadGateway || kind == "text/event-stream" && strings.Contains(body, "longer than the gateway takes")
		if !told || len(body) > 1000 {
			t.Errorf("%s: %d, %d bytes: %.200s", kind, resp.StatusCode, len(body), body)
		}
	}
}

// Streams whose clients leave end at the provider at once, nothing of them is left,
// and they are in the books with what they used.
func TestManyClientsLeave(t *testing.T) {
	const streams = 200
	var open atomic.Int64
	r := start(t, nil, upstream{"openai", func(w http.ResponseWriter, req *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if _, err := io.WriteString(w, `data: {"id":"x","choices":[{"index":0,"delta":{"content":"and so on "}}]}`+"\n\n"); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
			select {
			case <-req.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}})
	r.send(t, "/v1/chat/completions", `{"model":"demo/echo","messages":[{"role":"user","content":"x"}]}`)
	before := runtime.NumGoroutine()
	var all sync.WaitGroup
	for range streams {
		all.Go(func() {
			ctx, leave := context.WithCancel(context.Background())
			defer leave()
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(`{"model":"up1/m","stream":true,"messages":[{"role":"user","content":"x"}]}`))
			req.Header.Set("Authorization", "Bearer "+clientKey)
			resp, err := r.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	left := time.Now()
	for ; open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Since(left) > 10*time.Second {
			t.Fatalf("%d streams go on at the provider", open.Load())
		}
	}
	for ; len(r.exchanges(t)) < streams+1; time.Sleep(5 * time.Millisecond) {
		if time.Since(left) > 10*time.Second {
			t.Fatalf("the books have %d exchanges", len(r.exchanges(t)))
		}
	}
	for _, e := range r.exchanges(t) {
		if e.Provider == "up1" && (e.Outcome != "cancelled" || e.UsageReported || e.Input == 0 || e.Output == 0) {
			t.Errorf("%+v", e)
		}
	}
	r.Client().CloseIdleConnections()
	for ; runtime.NumGoroutine() > before+20; time.Sleep(5 * time.Millisecond) {
		if time.Since(left) > 10*time.Second {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// What is estimated of a stream that its client leaves is about what it was sent,
// whether the bytes pass or are translated: a limit cannot be got round by leaving.
func TestWhatAClientLeavesIsCounted(t *testing.T) {
	t.Parallel()
	const pieces, text = 200, "forty letters, of which nobody tells us."
	for from, provider := range clients {
		r := start(t, nil, upstream{string(from), func(w http.ResponseWriter, req *http.Request) {
			enc := provider.codec.NewEncoder(translate.EncodeOptions{Stream: true, Model: "m", ID: "x"})
			tell := func(e translate.Event) {
				enc.Event(&e)
				w.Write(enc.Bytes())
				enc.Reset()
			}
			w.Header().Set("Content-Type", map[bool]string{true: "application/x-ndjson", false: "text/event-stream"}[from == translate.Ollama])
			tell(translate.Event{Kind: translate.AnswerStart, ID: "x", Name: "m"})
			tell(translate.Event{Kind: translate.BlockStart, Part: translate.Text})
			for range pieces {
				tell(translate.Event{Kind: translate.Delta, Part: translate.Text, Text: text})
			}
			http.NewResponseController(w).Flush()
			<-req.Context().Done()
		}})
		for format, c := range clients {
			body, err := c.codec.AppendRequest(nil, history(format, "up1/m", true, nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+c.path("up1/m", true), bytes.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+clientKey)
			resp, err := r.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for b := make([]byte, 4<<10); bytes.Count(got.Bytes(), []byte(text)) < pieces; {
				n, err := resp.Body.Read(b)
				if got.Write(b[:n]); err != nil {
					t.Fatalf("%s → %s: %v", format, from, err)
				}
			}
			before := len(r.exchanges(t))
			leave()
			resp.Body.Close()
			for left := time.Now(); len(r.exchanges(t)) == before; time.Sleep(time.Millisecond) {
				if time.Since(left) > 10*time.Second {
					t.Fatalf("%s → %s is missing in the books", format, from)
				}
			}
			e := r.exchanges(t)[0]
			if want := int64(pieces * len(text) / 4); e.Outcome != "cancelled" || e.Output < want*8/10 || e.Output > want*12/10 {
				t.Errorf("%s → %s: %s, %d tokens of output, about %d expected", format, from, e.Outcome, e.Output, want)
			}
		}
	}
}

// endless gives the line for ever, until it is closed.
type endless struct {
	first, line string
	given       int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.first != "" {
		n := copy(p, e.first)
		e.first = e.first[n:]
		return n, nil
	}
	if e.given > 64<<20 {
		return 0, io.EOF
	}
	n := copy(p, strings.Repeat(e.line, max(1, len(p)/len(e.line))))
	n -= n % len(e.line)
	e.given += n
	return n, nil
}
func (e *endless) Close() error { return nil }

// Lines that never end an event are not held back without a bound.
func TestWhatIsHeldBackIsBounded(t *testing.T) {
	t.Parallel()
	for _, line := range []string{": waiting\n", "id: 1\n", "event: x\n", "retry: 1\n", "stray\n"} {
		body := &endless{first: opening + says("x"), line: line}
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			return respondFrom(200, "text/event-stream", body)
		}, func(o *gateway.Options) { o.Limits.Event = 1 << 20 }, "a")
		if w := l.stream(t, "a/m"); body.given > 4<<20 || !strings.Contains(w.Body.String(), `"error"`) {
			t.Errorf("%q: %d KB were held back, %.300s", line, body.given>>10, w.Body)
		}
	}
}

// What is remembered of reasoning for clients that return none of it costs in
// proportion to its length.
func TestLongReasoningCostsInProportion(t *testing.T) { // alone: it counts all that is allocated
	allocated := func(pieces int) uint64 {
		stream := "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\n" +
			"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n" +
			strings.Repeat("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"0123456789\"}}\n\n", pieces) +
			"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			return respond(200, "text/event-stream", stream)
		}, func(o *gateway.Options) { o.Declared.Nodes[0].Format = "anthropic" }, "a")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := l.stream(t, "a/m")
		runtime.ReadMemStats(&after)
		if w.Code != 200 || strings.Count(w.Body.String(), "0123456789") != pieces {
			t.Fatalf("%d %.300s", w.Code, w.Body)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	allocated(100)
	if few, many := allocated(2_000), allocated(16_000); many > 16*few {
		t.Errorf("8 times as much reasoning allocates %d times as much", many/few)
	}
}

// Bodies that are made to be dear to read are refused, at a price in proportion to
// their length.
func TestDearBodiesAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t, nil, upstream{"openai", func(w http.ResponseWriter, req *http.Request) { t.Error("a body went on") }})
	for name, c := range map[string]struct {
		x    string
		want int
	}{
		"deep":  {strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), 400},
		"names": {"{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, 1_000_000), ",") + "}", 400},
		"list":  {"[" + strings.TrimSuffix(strings.Repeat(`1,`, 16_000_000), ",") + "]", 400},
		"large": {`"` + strings.Repeat("x", 33<<20) + `"`, 413},
	} {
		for format, path := range map[string]string{"openai": "/v1/chat/completions", "anthropic": "/v1/messages"} {
			resp, text := r.send(t, path, `{"x":`+c.x+`,"model":"up1/m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`)
			if resp.StatusCode != c.want || !strings.Contains(text, `"error"`) {
				t.Errorf("%s, %s: %d %.200s", name, format, resp.StatusCode, text)
			}
		}
	}
}

// Whoever reads slowly holds the provider up, not our memory.
func TestASlowReaderCostsNoMemory(t *testing.T) {
	var sent atomic.Int64
	piece := []byte(`data: {"id":"x","choices":[{"index":0,"delta":{"content":"` + strings.Repeat("x", 32<<10) + `"}}]}` + "\n\n")
	r := start(t, nil, upstream{"openai", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for req.Context().Err() == nil {
			n, err := w.Write(piece)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}})
	for name, path := range map[string]string{"same format": "/v1/chat/completions", "translated": "/v1/messages"} {
		ctx, leave := context.WithCancel(t.Context())
		sent.Store(0)
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+path, strings.NewReader(`{"model":"up1/m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`))
		req.Header.Set("Authorization", "Bearer "+clientKey)
		resp, err := r.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		// Until nothing more goes into the sockets on the way.
		for last := int64(-1); last != sent.Load(); time.Sleep(200 * time.Millisecond) {
			last = sent.Load()
		}
		if n := sent.Load(); n > 64<<20 {
			t.Errorf("%s: %d MiB were taken from the provider for a client that reads nothing", name, n>>20)
		}
		leave()
		resp.Body.Close()
	}
}
