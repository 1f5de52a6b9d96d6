package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// wellNamed is a lab with names of all kinds; its answers tell who was asked for what.
func wellNamed(t *testing.T, change func(*gateway.Options)) *lab {
	return newLab(t, func(id string, r *http.Request) (*http.Response, error) {
		var v struct{ Model string }
		b, _ := io.ReadAll(r.Body)
		json.Unmarshal(b, &v)
		return respond(200, "application/json", fmt.Sprintf(`{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"%s/%s"},"finish_reason":"stop"}]}`, id[:1], v.Model))
	}, func(o *gateway.Options) {
		o.Declared.Nodes[0].Models = []string{"sonnet", "haiku"}
		o.Declared.Nodes[1].Models = []string{"sonnet", "gpt-9", "big[x]"}
		o.Declared.Aliases = []store.Alias{{Name: "fast", Model: "a/haiku"}, {Name: "faster", Model: "fast"}, {Name: "claude-*", Model: "best"},
			{Name: "claude-x-*", Model: "b/x-*"}, {Name: "old/*", Model: "a/*"}, {Name: "lost", Model: "nowhere/m"}}
		o.Declared.Combos = []store.Combo{{Name: "best", Models: []string{"b/gpt-9", "a/haiku"}}, {Name: "outer", Models: []string{"nowhere/m", "best"}}}
		if change != nil {
			change(o)
		}
	}, "a", "b")
}

func TestWhatNamesMean(t *testing.T) {
	t.Parallel()
	l := wellNamed(t, nil)
	for name, want := range map[string]string{
		"a/anything":    "a/anything",
		"a/with/slash":  "a/with/slash",
		"fast":          "a/haiku",
		"faster":        "a/haiku",
		"best":          "b/gpt-9",
		"outer":         "b/gpt-9",
		"claude-opus-5": "b/gpt-9",
		"claude-x-1":    "b/x-1", // the longer pattern
		"old/thing":     "a/thing",
		"haiku":         "a/haiku", // who is known to offer it
		"sonnet":        "a/sonnet",
		"fast[1m]":      "a/haiku",
		"a/opus[1m]":    "a/opus",
		"b/big[x]":      "b/big[x]", // its own name
		"big[x]":        "b/big[x]",
		"b/big[x][1m]":  "b/big[x]",
	} {
		if w := l.chat(t, name); w.Code != 200 || !strings.Contains(w.Body.String(), `"content":"`+want+`"`) {
			t.Errorf("%s: %d %s, want %s", name, w.Code, w.Body, want)
		}
	}
	for format, c := range clients {
		body, err := c.codec.AppendRequest(nil, history(format, "sonet", false, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		w := l.post(t, c.path("sonet", false), string(body))
		if text := w.Body.String(); w.Code != 404 || !strings.HasPrefix(text, shapes[format]) || strings.Count(text, "“") != 4 || !strings.Contains(text, "“a/sonnet”, “b/sonnet” and") || w.Header().Get("X-Should-Retry") != "false" {
			t.Errorf("%s: %d %s", format, w.Code, text)
		}
	}
	for _, name := range []string{"claude-a/b", "nowhere/m", "lost", "[1m]", "a/", "*"} {
		if w := l.chat(t, name); w.Code != 404 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*gateway.Options){
		"means itself: x → y → x": func(o *gateway.Options) {
			o.Declared.Aliases = []store.Alias{{Name: "x", Model: "y"}, {Name: "y", Model: "x"}}
		},
		`"z" means itself: z → z`: func(o *gateway.Options) { o.Declared.Combos = []store.Combo{{Name: "z", Models: []string{"a/m", "z"}}} },
		"has one *":               func(o *gateway.Options) { o.Declared.Aliases = []store.Alias{{Name: "a*b*", Model: "best"}} },
		"is an alias and a combo": func(o *gateway.Options) {
			o.Declared.Aliases = append(o.Declared.Aliases, store.Alias{Name: "best", Model: "a/m"})
		},
		"there is no strategy":     func(o *gateway.Options) { o.Declared.Combos[0].Strategy = "best" },
		"a pattern is the name of": func(o *gateway.Options) { o.Declared.Combos[0].Name = "be*" },
	} {
		catalogue, err := provider.Builtin()
		if err != nil {
			t.Fatal(err)
		}
		o := gateway.Options{Store: store.NewMemory(), Catalogue: catalogue, Declared: gateway.Declared{
			Nodes: []store.Node{{Name: "a", Format: "openai", BaseURL: "http://a.test/v1"}}, Combos: []store.Combo{{Name: "best", Models: []string{"a/m"}}}}}
		change(&o)
		if _, err := gateway.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A request that names no model asks for the default one; nothing else of it changes.
func TestTheDefaultModel(t *testing.T) {
	t.Parallel()
	var got string
	l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		return answers(id, r)
	}, func(o *gateway.Options) { o.DefaultModel = "a/m" }, "a")
	l.post(t, "/v1/chat/completions", `{ "messages":[{"role":"user","content":"x"}], "odd": 1.50}`)
	if got != `{"model":"m", "messages":[{"role":"user","content":"x"}], "odd": 1.50}` {
		t.Error(got)
	}
	l.post(t, "/v1/chat/completions", `{"model":"","messages":[{"role":"user","content":"x"}]}`)
	if got != `{"model":"m","messages":[{"role":"user","content":"x"}]}` {
		t.Error(got)
	}
	if w := newLab(t, answers, nil, "a").post(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}]}`); w.Code != 400 {
		t.Error(w.Code, w.Body)
	}
}

// What a provider offers is asked when somebody wants to know, once for many.
func TestModelsAreDiscovered(t *testing.T) {
	t.Parallel()
	var lists atomic.Int64
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			lists.Add(1)
			io.WriteString(w, `{"object":"list","data":[{"id":"found-1"},{"id":"found-2"}]}`)
			return
		}
		io.WriteString(w, `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}`)
	}))
	t.Cleanup(up.Close)
	r := start(t, func(o *gateway.Options) {
		o.Declared.Nodes = []store.Node{{Name: "up", Format: "openai", BaseURL: up.URL + "/v1"}}
	})
	if resp, body := r.send(t, "/v1/chat/completions", `{"model":"up/whatever","messages":[{"role":"user","content":"x"}]}`); resp.StatusCode != 200 || lists.Load() != 0 {
		t.Fatalf("%d %s, asked for models %d times", resp.StatusCode, body, lists.Load())
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			r.send(t, "/v1/chat/completions", `{"model":"found-2","messages":[{"role":"user","content":"x"}]}`)
		})
	}
	all.Wait()
	if resp, body := r.send(t, "/v1/chat/completions", `{"model":"found-2","messages":[{"role":"user","content":"x"}]}`); resp.StatusCode != 200 || lists.Load() != 1 {
		t.Errorf("%d %s, asked for models %d times", resp.StatusCode, body, lists.Load())
	}
	r.send(t, "/v1/chat/completions", `{"model":"found-3","messages":[{"role":"user","content":"x"}]}`)
	if lists.Load() != 1 {
		t.Error("asked again at once")
	}
}

// A conversation goes where it was before: one that the client names at once, another
// from its second turn on.
func TestConversationsStay(t *testing.T) {
	t.Parallel()
	var sick atomic.Value
	sick.Store("")
	l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
		if id == sick.Load() {
			return fails(401, "no such key")
		}
		return answers(id, r)
	}, func(o *gateway.Options) {
		o.Declared.Providers["a"] = gateway.Settings{Strategy: "round_robin"}
	}, "a4")
	spread := func(ask func(i int)) int {
		l.took()
		for i := range 8 {
			ask(i)
		}
		ids := strings.Fields(l.took())
		slices.Sort(ids)
		return len(slices.Compact(ids))
	}
	const first = `{"role":"user","content":"Hello"}`
	chat := func(turns, more string, header ...string) {
		if w := l.post(t, "/v1/chat/completions", `{"model":"a/m","messages":[`+turns+`]`+more+`}`, header...); w.Code != 200 {
			t.Error(w.Code, w.Body)
		}
	}
	for _, h := range []string{"X-Session-Id", "Session_id", "X-Claude-Code-Session-Id"} {
		if n := spread(func(int) { chat(first, "", h, "s1") }); n != 1 {
			t.Errorf("%s: %d connections", h, n)
		}
	}
	if n := spread(func(int) { chat(first, `,"prompt_cache_key":"c1"`) }); n != 1 {
		t.Errorf("prompt_cache_key: %d connections", n)
	}
	if n := spread(func(int) {
		l.post(t, "/v1/messages", `{"model":"a/m","max_tokens":9,"messages":[`+first+`],"metadata":{"user_id":"u1"}}`)
	}); n != 1 {
		t.Errorf("metadata.user_id: %d connections", n)
	}
	if n := spread(func(int) { chat(first, "") }); n != 4 {
		t.Errorf("what begins alike is one conversation: %d connections", n)
	}
	if n := spread(func(i int) {
		chat(first+strings.Repeat(`,{"role":"assistant","content":"Hi"},{"role":"user","content":"More"}`, i+1), "")
	}); n != 1 {
		t.Errorf("a conversation that goes on: %d connections", n)
	}
	if n := spread(func(i int) {
		chat(fmt.Sprintf(`{"role":"user","content":"Hello %d"},{"role":"assistant","content":"Hi"},{"role":"user","content":"More"}`, i), "")
	}); n != 4 {
		t.Errorf("conversations of their own: %d connections", n)
	}
	// It moves when its connection is ill, and stays where it then is.
	chat(first, "", "X-Session-Id", "mover")
	was := l.took()
	for _, c := range []struct{ ill, affinity string }{{"", "hit"}, {was, "moved"}, {"", "hit"}} {
		if c.ill != "" {
			sick.Store(c.ill)
			chat(first, "", "X-Session-Id", "mover") // it finds out
			sick.Store("")
			l.took()
			continue
		}
		chat(first, "", "X-Session-Id", "mover")
		if _, trace := l.last(t); trace.Affinity != c.affinity {
			t.Errorf("%+v, want %s", trace, c.affinity)
		}
	}
	if now := l.took(); now == was || now == "" {
		t.Errorf("it was at %s and is at %s", was, now)
	}
}
