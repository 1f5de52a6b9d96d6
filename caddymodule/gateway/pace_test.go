package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
)

func paced(o *gateway.Options) {
	o.Pace = gateway.Pace{CharactersPerSecond: 10, Within: 2 * time.Second}
	o.Times.Silence, o.Times.KeepAlive = 10*time.Second, -1
}

// dribbles answers with one letter a second, for so long.
func dribbles(r *http.Request, seconds int) (*http.Response, error) {
	pieces := []piece{{0, opening}}
	for range seconds {
		pieces = append(pieces, piece{time.Second, says("s")})
	}
	return streams(r, append(pieces, piece{0, stopping + done})...)
}

// Who is too slow is left before the client has seen anything of it.
func TestTheSlowAreLeftUnseen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if id == "a1" {
				return dribbles(r, 100)
			}
			return answers(id, r)
		}, paced, "a", "b")
		began := time.Now()
		w := l.stream(t, "all")
		if got := l.took(); got != "a1 b1" || !strings.Contains(w.Body.String(), "from b1") || strings.Contains(w.Body.String(), `"s"`) {
			t.Errorf("asked %s: %s", got, w.Body)
		}
		if took := time.Since(began); took != 3*time.Second { // a letter, and two seconds more
			t.Errorf("after %v", took)
		}
		l.quiet(t)
	})
}

// Who is alone is let through, and the fast are not held up.
func TestTheGuardOfThePaceLetsThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(_ string, r *http.Request) (*http.Response, error) { return dribbles(r, 8) }, paced, "a")
		if w := l.stream(t, "all"); strings.Count(w.Body.String(), `"s"`) != 8 || !strings.HasSuffix(w.Body.String(), done) {
			t.Errorf("alone: %s", w.Body)
		}
		l = newLab(t, func(_ string, r *http.Request) (*http.Response, error) {
			return streams(r, piece{time.Second, opening + says(strings.Repeat("f", 30))}, piece{time.Second, says("x") + stopping + done})
		}, paced, "a", "b")
		l.stream(t, "all")
		if x, _ := l.last(t); x.FirstContent != time.Second {
			t.Errorf("the fast one's first content after %v", x.FirstContent)
		}
	})
}

// Who is let through because nobody else is left may still fall silent.
func TestASlowStreamThatStopsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(_ string, r *http.Request) (*http.Response, error) {
			return streams(r, piece{0, opening + says("s")}, piece{24 * time.Hour, done})
		}, func(o *gateway.Options) { paced(o); o.Retry.Rounds = -1 }, "a")
		began := time.Now()
		l.stream(t, "all")
		if took := time.Since(began); took != 12*time.Second {
			t.Errorf("given up after %v", took)
		}
		if x, _ := l.last(t); x.Reason != "silence" {
			t.Errorf("for %s", x.Reason)
		}
		l.quiet(t)
	})
}

// Of two that are asked at the same time, both slow, one is let through.
func TestOneOfTwoSlowHedgesIsLetThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(_ string, r *http.Request) (*http.Response, error) { return dribbles(r, 8) }, func(o *gateway.Options) {
			paced(o)
			o.Hedge, o.Retry.Rounds = gateway.Hedge{On: true, After: time.Second, Share: 1}, -1
		}, "a", "b")
		if w := l.stream(t, "all"); !strings.HasSuffix(w.Body.String(), done) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		l.quiet(t)
	})
}

// The beginning of an answer is no content: an error after it is not seen.
func TestLifecycleEventsAreHeldBack(t *testing.T) {
	t.Parallel()
	for path, start := range map[string]string{
		"/v1/messages":  "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m-of-a\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":1}}}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n",
		"/v1/responses": "data: {\"type\":\"response.created\",\"response\":{\"id\":\"m-of-a\",\"status\":\"in_progress\",\"output\":[]}}\n\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"m-of-a\",\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"busy\"}}}\n\n",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				if id == "a1" {
					return respond(200, "text/event-stream", start)
				}
				return answers(id, r)
			}, func(o *gateway.Options) {
				o.Declared.Nodes[0].Format = map[string]string{"/v1/messages": "anthropic", "/v1/responses": "responses"}[path]
			}, "a", "b")
			w := l.post(t, path, `{"model":"all","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}],"input":"x"}`)
			if got := l.took(); got != "a1 b1" || strings.Contains(w.Body.String(), "m-of-a") || !strings.Contains(w.Body.String(), "from b1") {
				t.Errorf("asked %s: %s", got, w.Body)
			}
		})
	}
}

// The limits of time are a provider's, and one of its models'. After the first
// content, silence is told within the stream.
func TestTimesOfAProviderAndAModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(_ string, r *http.Request) (*http.Response, error) {
			return streams(r, piece{0, opening + says("begun")}, piece{time.Hour, done})
		}, func(o *gateway.Options) {
			o.Times.KeepAlive = -1
			o.Declared.Providers["a"] = gateway.Settings{Times: gateway.Times{Silence: 3 * time.Second},
				ModelTimes: map[string]gateway.Times{"slow": {Silence: 7 * time.Second}}}
		}, "a", "b")
		for model, want := range map[string]time.Duration{"a/m": 3 * time.Second, "a/slow": 7 * time.Second, "b/m": gateway.DefaultSilence} {
			began := time.Now()
			w := l.stream(t, model)
			if took := time.Since(began); took != want || !strings.Contains(w.Body.String(), "begun") || !strings.Contains(w.Body.String(), `"error"`) {
				t.Errorf("%s: after %v: %s", model, took, w.Body)
			}
		}
	})
}

// streams answers with a stream of pieces.
func streams(r *http.Request, pieces ...piece) (*http.Response, error) {
	return respondFrom(200, "text/event-stream", &slowBody{ctx: r.Context(), pieces: pieces})
}
