package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/store/limit"
)

// mortal is a provider's account on a server of its own, which can be killed: all
// its sockets are reset, and for a moment nothing gets through.
type mortal struct {
	*httptest.Server
	dead  atomic.Bool
	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newMortal(t *testing.T, words int) *mortal {
	m := &mortal{conns: map[net.Conn]bool{}}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if m.dead.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		for i := range words {
			fmt.Fprintf(w, `data: {"id":"x","choices":[{"index":0,"delta":{"content":"%d "}}]}`+"\n\n", i)
			rc.Flush()
			time.Sleep(20 * time.Millisecond)
		}
		io.WriteString(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`+"\n\ndata: [DONE]\n\n")
	}))
	m.Config.ConnState = func(c net.Conn, s http.ConnState) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if s == http.StateNew {
			m.conns[c] = true
		} else if s == http.StateClosed {
			delete(m.conns, c)
		}
	}
	m.Start()
	t.Cleanup(m.Close)
	return m
}

func (m *mortal) kill() {
	m.dead.Store(true)
	m.mu.Lock()
	for c := range m.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	m.mu.Unlock()
	time.AfterFunc(200*time.Millisecond, func() { m.dead.Store(false) })
}

// Many streams through three connections, one of which dies every second: every
// client gets a whole answer or one honest error, and nothing is left. SOAK=1 makes
// it 1,000 at a time, for a while.
func TestConnectionsDieUnderManyStreams(t *testing.T) {
	streams, words, rounds := 150, 25, 4
	if os.Getenv("SOAK") != "" {
		streams, rounds = 1000, 20
	}
	board := schedule.NewBoard()
	limits := store.Limits{Concurrent: int64(streams), TokensPerMinute: 1 << 50}
	var ledger *limit.Ledger
	accounts := []*mortal{newMortal(t, words), newMortal(t, words), newMortal(t, words)}
	r := start(t, func(o *gateway.Options) {
		ledger = limit.New(o.Store.UsedSince)
		o.Ledger, o.Declared.Keys[0].Limits = ledger, limits
		o.Board, o.Transport = board, &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: streams}
		var members []string
		for i, a := range accounts {
			name := fmt.Sprint("acc", i)
			o.Declared.Nodes = append(o.Declared.Nodes, store.Node{Name: name, Format: "openai", BaseURL: a.URL + "/v1"})
			o.Declared.Connections = append(o.Declared.Connections, store.Connection{ID: name, Provider: name, Name: "c", APIKey: store.NewSecret("k")})
			members = append(members, name+"/m")
		}
		o.Declared.Combos = []store.Combo{{Name: "three", Models: members, Strategy: "least_busy"}}
	})
	r.send(t, "/v1/chat/completions", `{"model":"demo/echo","messages":[{"role":"user","content":"x"}]}`)
	goroutines, memory := runtime.NumGoroutine(), heap()
	stop, killed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(killed)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		time.Sleep(300 * time.Millisecond)
		for i := 0; ; i++ {
			accounts[i%len(accounts)].kill()
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	var all sync.WaitGroup
	var whole, told, refused atomic.Int64
	for range streams {
		once := func() {
			req, _ := http.NewRequest(http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(`{"model":"three","stream":true,"messages":[{"role":"user","content":"x"}]}`))
			req.Header.Set("Authorization", "Bearer "+clientKey)
			resp, err := r.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			text := string(b)
			ends, errors, first := strings.Count(text, "[DONE]"), strings.Count(text, `"error"`), strings.Count(text, `"content":"0 "`)
			switch {
			case err == nil && resp.StatusCode == 200 && errors == 0 && strings.Count(text, `"finish_reason":"stop"`) == 1 && ends == 1 && first == 1 && strings.Count(text, `"content"`) == words:
				whole.Add(1)
			case err == nil && resp.StatusCode == 200 && errors == 1 && !strings.Contains(text, `"finish_reason":"stop"`) && first == 1:
				told.Add(1)
			case err == nil && resp.StatusCode >= 500 && errors == 1:
				refused.Add(1)
			default:
				t.Errorf("neither an answer nor an error: %d %v %.300s … %.300s", resp.StatusCode, err, text, text[max(0, len(text)-300):])
			}
		}
		all.Go(func() {
			for range rounds {
				once()
			}
		})
	}
	all.Wait()
	close(stop)
	<-killed
	t.Logf("%d whole, %d broke off and were told, %d refused", whole.Load(), told.Load(), refused.Load())
	if whole.Load() == 0 || told.Load() == 0 {
		t.Error("nothing was tested")
	}
	if n := int64(len(r.exchanges(t))); n != int64(streams*rounds)+1 {
		t.Errorf("the books have %d exchanges", n)
	}
	id := r.exchanges(t)[0].KeyID
	for _, w := range ledger.Standing(id, &limits, time.Now()) {
		// Who was told nothing of its usage is estimated, and each has a few words.
		if w.Limit == limit.Concurrent && w.Used != 0 || w.Limit == limit.TokensPerMinute && (w.Used == 0 || w.Used > int64(streams*rounds*200)) {
			t.Errorf("the key's limit stands at %+v", w)
		}
	}
	for _, rep := range board.Reports() {
		if rep.Running != 0 {
			t.Errorf("%+v", rep)
		}
	}
	r.Client().CloseIdleConnections()
	for _, a := range accounts {
		a.CloseClientConnections()
	}
	for left := time.Now(); runtime.NumGoroutine() > goroutines+20; time.Sleep(10 * time.Millisecond) {
		if time.Since(left) > 10*time.Second {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
	if now := heap(); now > memory+32<<20 {
		t.Errorf("%d MiB of heap are left, %d before", now>>20, memory>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
