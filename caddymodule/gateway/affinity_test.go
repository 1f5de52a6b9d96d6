package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

func inTurn(o *gateway.Options) { o.Strategy = schedule.RoundRobin }

// ask sends a body and returns who was asked.
func (l *lab) ask(t testing.TB, path, body string, header ...string) string {
	t.Helper()
	if w := l.post(t, path, body, header...); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	return l.took()
}

// Every way in which clients name a conversation keeps it where it is.
func TestANamedConversationStays(t *testing.T) {
	t.Parallel()
	const chat, messages = "/v1/chat/completions", "/v1/messages"
	for name, c := range map[string]struct {
		path, member string
		header       []string
	}{
		"X-Session-Id":             {path: chat, header: []string{"X-Session-Id", "s"}},
		"Session_id":               {path: chat, header: []string{"Session_id", "s"}},
		"X-Claude-Code-Session-Id": {path: messages, header: []string{"X-Claude-Code-Session-Id", "s"}},
		"prompt_cache_key":         {path: chat, member: `"prompt_cache_key":"s",`},
		"metadata.user_id":         {path: messages, member: `"metadata":{"user_id":"s"},`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, answers, inTurn, "a3")
			seen := map[string]bool{}
			for _, text := range []string{"x", "y", "z"} { // whatever it says
				seen[l.ask(t, c.path, `{"model":"a/m","max_tokens":9,`+c.member+`"messages":[{"role":"user","content":"`+text+`"}]}`, c.header...)] = true
			}
			if len(seen) != 1 {
				t.Errorf("it went to %v", seen)
			}
		})
	}
}

// A conversation without a name is known by its beginning, from its second turn on.
func TestAnUnnamedConversationStays(t *testing.T) {
	t.Parallel()
	for path, c := range map[string]struct{ before, user, answer, after string }{
		"/v1/chat/completions":               {`{"model":"a/m","messages":[`, `{"role":"user","content":"%"}`, `{"role":"assistant","content":"x"}`, `]}`},
		"/v1/messages":                       {`{"model":"a/m","max_tokens":9,"messages":[`, `{"role":"user","content":"%"}`, `{"role":"assistant","content":"x"}`, `]}`},
		"/v1/responses":                      {`{"model":"a/m","input":[`, `{"role":"user","content":"%"}`, `{"role":"assistant","content":"x"}`, `]}`},
		"/v1beta/models/a/m:generateContent": {`{"contents":[`, `{"role":"user","parts":[{"text":"%"}]}`, `{"role":"model","parts":[{"text":"x"}]}`, `]}`},
		"/api/chat":                          {`{"model":"a/m","stream":false,"messages":[`, `{"role":"user","content":"%"}`, `{"role":"assistant","content":"x"}`, `]}`},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, answers, inTurn, "a3")
			seen := map[string]bool{}
			for _, text := range []string{"one", "two", "three"} {
				user := strings.Replace(c.user, "%", text, 1)
				at := l.ask(t, path, c.before+user+c.after)
				seen[at] = true
				for turn := user; len(turn) < 500; {
					turn += "," + c.answer + "," + c.user
					if again := l.ask(t, path, c.before+turn+c.after); again != at {
						t.Errorf("%q began at %s and went on at %s", text, at, again)
					}
				}
			}
			if len(seen) != 3 {
				t.Errorf("three conversations went to %v", seen)
			}
		})
	}
}

// Conversations that only begin alike are different ones: nobody has answered in
// them. Agents begin with instructions that are longer than any text of the user.
func TestBeginningsSpread(t *testing.T) {
	t.Parallel()
	system := `{"role":"system","content":"` + strings.Repeat(`an object is {} `, 2000) + `"},`
	for name, messages := range map[string][3]string{
		"the same":               {`{"role":"user","content":"x"}`, `{"role":"user","content":"x"}`, `{"role":"user","content":"x"}`},
		"of two messages":        {`{"role":"user","content":"x"},{"role":"user","content":"y"}`, `{"role":"user","content":"x"},{"role":"user","content":"y"}`, `{"role":"user","content":"x"},{"role":"user","content":"y"}`},
		"with long instructions": {system + `{"role":"user","content":"x"}`, system + `{"role":"user","content":"y"}`, system + `{"role":"user","content":"z"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, answers, inTurn, "a3")
			seen := map[string]bool{}
			for _, m := range messages {
				seen[l.ask(t, "/v1/chat/completions", `{"model":"a/m","messages":[`+m+`]}`)] = true
			}
			if len(seen) != 3 {
				t.Errorf("they all went to %v", seen)
			}
		})
	}
}

// A conversation moves with who is set aside, and stays where it came to.
func TestAConversationMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := ""
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if id == bad {
				return fails(429, "slow down", "Retry-After", "60")
			}
			return answers(id, r)
		}, inTurn, "a2")
		turn := func() (string, string) {
			l.chat(t, "a/m", "X-Session-Id", "s")
			at := l.took()
			_, trace := l.last(t)
			return at, trace.Affinity
		}
		want := func(at, affinity string) {
			t.Helper()
			if a, f := turn(); a != at || f != affinity {
				t.Errorf("asked %s, %s; want %s, %s", a, f, at, affinity)
			}
			time.Sleep(time.Second)
		}
		want("a1", "new")
		want("a1", "hit")
		bad = "a1"
		want("a1 a2", "moved")
		want("a2", "hit")
		bad = ""
		time.Sleep(2 * time.Minute) // a1 is well again
		want("a2", "hit")
		time.Sleep(gateway.DefaultAffinity + time.Second)
		if _, f := turn(); f != "new" {
			t.Errorf("after its rest it is %s", f)
		}
	})
}

// It is of one key, and is not remembered where that is switched off.
func TestWhatConversationsAreKnownBy(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, func(o *gateway.Options) {
		inTurn(o)
		o.Declared.Keys = append(o.Declared.Keys, gateway.DeclaredKey{Name: "other", Secret: store.NewSecret("another-key-of-this-suite")})
	}, "a2")
	l.chat(t, "a/m", "X-Session-Id", "s")
	if l.chat(t, "a/m", "X-Session-Id", "s", "Authorization", "Bearer another-key-of-this-suite"); l.took() != "a1 a2" {
		t.Error("another key's conversation is the same")
	}
	l = newLab(t, answers, func(o *gateway.Options) { inTurn(o); o.Keeping.Affinity = -1 }, "a2")
	l.chat(t, "a/m", "X-Session-Id", "s")
	if l.chat(t, "a/m", "X-Session-Id", "s"); l.took() != "a1 a2" {
		t.Error("it stays although that is switched off")
	}
	if _, trace := l.last(t); trace.Affinity != "" {
		t.Errorf("the trace says %q", trace.Affinity)
	}
}

// That it was there before does not let a conversation go where it may not go, or
// where it would be refused.
func TestAConversationGoesNoFurtherThanAnyOther(t *testing.T) {
	t.Parallel()
	t.Run("than its target can take", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, answers, func(o *gateway.Options) {
			o.Declared.Models = map[string]map[string]provider.Model{"a": {"m": {Context: 1000}}}
		}, "a", "b")
		l.chat(t, "all", "X-Session-Id", "s")
		long := `{"model":"all","messages":[{"role":"user","content":"` + strings.Repeat("word ", 4000) + `"}]}`
		if l.ask(t, "/v1/chat/completions", `{"model":"all","messages":[{"role":"user","content":"x"}]}`, "X-Session-Id", "s") != "a1 a1" {
			t.Error("it did not stay")
		}
		if at := l.ask(t, "/v1/chat/completions", long, "X-Session-Id", "s"); at != "b1" {
			t.Errorf("what has outgrown a model went to %s", at)
		}
	})
	t.Run("than those who have not refused it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			well := true
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				switch {
				case well:
					return answers(id, r)
				case id == "a1":
					return fails(400, "the prompt is too long")
				}
				return fails(500, "an error")
			}, nil, "a", "b")
			l.chat(t, "all", "X-Session-Id", "s")
			well = false
			l.took()
			l.chat(t, "all", "X-Session-Id", "s")
			if got := l.took(); got != "a1 b1 b1" {
				t.Errorf("asked %s", got)
			}
		})
	})
}

// A key that may not use a target any more does not come to it by a conversation.
func TestAConversationDoesNotOutliveItsRight(t *testing.T) {
	t.Parallel()
	affinity := gateway.NewAffinity()
	lab := func(models ...string) *lab {
		return newLab(t, answers, func(o *gateway.Options) {
			o.Affinity = affinity // as after a reload
			o.Declared.Keys[0].Limits.Models = models
		}, "a", "b")
	}
	l := lab("all")
	if l.chat(t, "all", "X-Session-Id", "s"); l.took() != "a1" {
		t.Fatal("it did not begin at a1")
	}
	l = lab("b/m")
	l.chat(t, "all", "X-Session-Id", "s")
	if got := l.took(); got != "b1" {
		t.Errorf("asked %s", got)
	}
}

// However long a first message is, no more of it is looked at than is needed to tell
// conversations apart.
func TestALongBeginningCostsNoMore(t *testing.T) { // not parallel: it counts allocations
	l := newLab(t, answers, inTurn, "a2")
	off := newLab(t, answers, func(o *gateway.Options) { inTurn(o); o.Keeping.Affinity = -1 }, "a2")
	cost := func(l *lab, size int) float64 {
		body := `{"model":"a/m","messages":[{"role":"user","content":"` + strings.Repeat("x", size) + `"}]}`
		return testing.AllocsPerRun(20, func() { l.post(t, "/v1/chat/completions", body) })
	}
	short, long := cost(l, 100)-cost(off, 100), cost(l, 1<<20)-cost(off, 1<<20)
	if long > short+30 { // what is pooled may be lost at any time, and is with the race detector
		t.Errorf("knowing a conversation takes %v allocations for 100 bytes, %v for a megabyte", short, long)
	}
}
