package gateway_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
)

// An account that fails while others of the same provider work is left alone after
// several failures in a row, however it fails, and nobody else is.
func TestOneBadAccountAmongGoodOnes(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]script{
		"server error": func(string, *http.Request) (*http.Response, error) { return fails(500, "an error") },
		"a page": func(string, *http.Request) (*http.Response, error) {
			return respond(403, "text/html", "<html>no</html>")
		},
		"empty": func(string, *http.Request) (*http.Response, error) { return respond(200, "text/event-stream", done) },
		"redirect": func(string, *http.Request) (*http.Response, error) {
			return fails(302, "", "Location", "http://elsewhere.test")
		},
		"reset": func(string, *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
		},
		"stall": func(_ string, r *http.Request) (*http.Response, error) { return nil, waits(r, time.Hour) },
		"forbidden": func(string, *http.Request) (*http.Response, error) {
			return respond(403, "application/json", `{"error":{"message":"This is not allowed.","type":"invalid_request_error"}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
					if id == "a1" {
						return fails(id, r)
					}
					return answers(id, r)
				}, func(o *gateway.Options) { o.Retry.Rounds = -1 }, "a2")
				for i := range 12 {
					time.Sleep(time.Millisecond)
					if w := l.chat(t, "a/m"); w.Code != 200 {
						t.Fatalf("request %d: %d %s", i, w.Code, w.Body)
					}
				}
				asked := strings.Fields(l.took())
				bad := 0
				for _, id := range asked {
					if id == "a1" {
						bad++
					}
				}
				if bad != 5 {
					t.Errorf("the bad one was asked %d times of 12", bad)
				}
				for _, r := range l.board.Reports() {
					if r.Connection != "a1" && r.Aside != nil && !r.Aside.Until.IsZero() {
						t.Errorf("set aside as well: %+v", r)
					}
				}
				// It is tried again, by one.
				l.took()
				time.Sleep(10 * time.Minute)
				l.chat(t, "a/m")
				l.chat(t, "a/m")
				if got := l.took(); got != "a1 a2 a2" {
					t.Errorf("ten minutes later %s", got)
				}
				l.quiet(t)
			})
		})
	}
}

// However many accounts of a provider are broken, those that work are found: in the
// same exchange, and by the next ones, one after the other or together.
func TestManyBadAccountsHideNoGoodOne(t *testing.T) {
	t.Parallel()
	for _, strategy := range schedule.Strategies() {
		for _, c := range []struct{ bad, good, together int }{{5, 1, 1}, {6, 1, 4}, {20, 1, 1}, {5, 5, 20}, {200, 200, 20}} {
			if c.bad > 20 && strategy != schedule.RoundRobin {
				continue
			}
			t.Run(fmt.Sprintf("%s, %d bad and %d good for %d together", strategy, c.bad, c.good, c.together), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
						if n, _ := strconv.Atoi(id[1:]); n <= c.bad {
							return fails(500, "an error")
						}
						if err := waits(r, time.Second); err != nil {
							return nil, err
						}
						return answers(id, r)
					}, func(o *gateway.Options) { o.Strategy, o.Retry.Rounds = strategy, -1 }, fmt.Sprint("a", c.bad+c.good))
					refused := 0
					for burst := range 10 {
						var all sync.WaitGroup
						var answered atomic.Int64
						for range c.together {
							all.Go(func() {
								if l.chat(t, "a/m").Code == 200 {
									answered.Add(1)
								}
							})
						}
						all.Wait()
						time.Sleep(time.Duration(burst) * 3 * time.Second)
						refused += c.together - int(answered.Load())
					}
					if refused > 0 {
						t.Errorf("%d of %d were not answered", refused, 10*c.together)
					}
					l.quiet(t)
				})
			})
		}
	}
}

// After an outage of the whole provider, one that answers shows that all are well:
// none of them is left alone for what was not its own fault.
func TestAnOutageIsNotHeldAgainstTheAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := true
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if down {
				return fails(500, "an error")
			}
			return answers(id, r)
		}, nil, "a3")
		for range 600 {
			time.Sleep(time.Second)
			l.chat(t, "a/m")
		}
		down = false
		for w := l.chat(t, "a/m"); w.Code != 200; w = l.chat(t, "a/m") {
			time.Sleep(time.Second)
		}
		for _, r := range l.board.Reports() {
			if r.Aside != nil && !r.Aside.Until.IsZero() {
				t.Errorf("still set aside: %+v", r)
			}
		}
		l.quiet(t)
	})
}

// Who asks to be left alone for a time speaks for itself: the others go on, in the
// same exchange.
func TestATimeThatOneAccountNamesBindsNobodyElse(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 503, 529} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				if id == "a1" {
					return fails(status, "draining", "Retry-After", "3600")
				}
				return answers(id, r)
			}, nil, "a3")
			for range 4 {
				if w := l.chat(t, "a/m"); w.Code != 200 {
					t.Errorf("%d: %d %s", status, w.Code, w.Body)
				}
			}
			if got := l.took(); strings.Count(got, "a1") != 1 {
				t.Errorf("%d: asked %s", status, got)
			}
			l.quiet(t)
		})
	}
}

// A request that its client may not make sets no account aside, neither for that
// client nor for the others.
func TestARequestThatIsNotAllowedPunishesNobody(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"embeddings":  {403, `{"error":{"message":"You are not allowed to generate embeddings from this model","type":"invalid_request_error","param":null,"code":null}}`},
		"a file":      {403, `{"error":{"message":"You do not have permission to access file file-abc.","type":"invalid_request_error","param":"file_id","code":null}}`},
		"a lost file": {404, `{"type":"error","error":{"type":"not_found_error","message":"file_abc not found"}}`},
		"a cache":     {403, `{"error":{"code":403,"message":"CachedContent not found (or permission denied)","status":"PERMISSION_DENIED"}}`},
		"credits":     {402, `{"error":{"code":402,"message":"This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 1200."}}`},
		"anything":    {403, `{"error":{"message":"No.","type":"invalid_request_error"}}`},
		"something":   {404, `{"error":{"message":"There is no such thing.","type":"not_found"}}`},
	} {
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if r.Header.Get("X-Bad") == "" && strings.Contains(r.URL.Path, "embeddings") {
				return respond(answer.status, "application/json", answer.body)
			}
			return answers(id, r)
		}, nil, "a3")
		if w := l.post(t, "/v1/embeddings", `{"model":"a/m","input":"x"}`); w.Code < 400 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w := l.chat(t, "a/m"); w.Code != 200 {
			t.Errorf("%s: and then %d %s", name, w.Code, w.Body)
		}
		for _, r := range l.board.Reports() {
			if r.Aside != nil && !r.Aside.Until.IsZero() {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

// A count that a provider does not give is estimated, whatever the provider says
// instead, and says nothing of how it chats.
func TestACountThatIsNotGivenIsEstimated(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"no such path":     {404, `{"error":"Not Found"}`},
		"a page":           {404, "<html>"},
		"no such method":   {405, ``},
		"not implemented":  {501, `{"error":{"message":"no"}}`},
		"unsupported":      {400, `{"type":"error","error":{"type":"invalid_request_error","message":"count_tokens is not supported"}}`},
		"forbidden":        {403, `{"error":{"message":"no"}}`},
		"a server's error": {500, `oops`},
		"limited":          {429, `{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}`},
		"no count":         {200, `{}`},
	} {
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "count_tokens") {
				return respond(answer.status, "application/json", answer.body)
			}
			return respond(200, "application/json", `{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"yes"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`)
		}, func(o *gateway.Options) { o.Declared.Nodes[0].Format = "anthropic" }, "a2")
		for range 8 {
			w := l.post(t, "/v1/messages/count_tokens", `{"model":"a/m","messages":[{"role":"user","content":"how many tokens are these?"}]}`)
			if w.Code != 200 || !strings.Contains(w.Body.String(), `"input_tokens":`) || w.Header().Get("X-Nine-Router-Estimate") == "" {
				t.Fatalf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
			}
		}
		if w := l.post(t, "/v1/messages", `{"model":"a/m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`); w.Code != 200 {
			t.Errorf("%s: and a chat got %d %s", name, w.Code, w.Body)
		}
	}
	l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
		return respond(400, "application/json", `{"type":"error","error":{"type":"invalid_request_error","message":"messages: at least one is needed"}}`)
	}, func(o *gateway.Options) { o.Declared.Nodes[0].Format = "anthropic" }, "a")
	if w := l.post(t, "/v1/messages/count_tokens", `{"model":"a/m","messages":[{"role":"user","content":"x"}]}`); w.Code != 400 {
		t.Errorf("a bad request got %d %s", w.Code, w.Body)
	}
}

// Whoever will be answered soon is told when, not that an account is refused.
func TestWhoReturnsSoonIsWorthWaitingFor(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 402, 404} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				if id == "a1" {
					return fails(429, "slow down", "Retry-After", "7")
				}
				return fails(status, "The model is none of ours.")
			}, nil, "a", "b")
			l.chat(t, "a/m")
			time.Sleep(time.Second)
			w := l.chat(t, "all")
			if w.Code != 429 || w.Header().Get("X-Should-Retry") != "" || w.Header().Get("Retry-After") != "6" {
				t.Errorf("%d: %d %v %s", status, w.Code, w.Header(), w.Body)
			}
			l.quiet(t)
		})
	}
}

// Those who wait for somebody who is set aside wait for the one that probes as well,
// and nobody waits for who has had its try.
func TestWaitingForWhoReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := true
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if first {
				first = false
				return fails(429, "slow down", "Retry-After", "2")
			}
			if err := waits(r, time.Second); err != nil {
				return nil, err
			}
			return answers(id, r)
		}, func(o *gateway.Options) { o.Retry.Wait = 6 * time.Second }, "a")
		var all sync.WaitGroup
		var good atomic.Int32
		for range 6 {
			all.Go(func() {
				if w := l.chat(t, "a/m"); w.Code == 200 {
					good.Add(1)
				} else {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if good.Load() != 6 {
			t.Errorf("%d of 6 were answered", good.Load())
		}
		l.quiet(t)
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			return fails(502, "Provider returned error", "Retry-After", "2")
		}, func(o *gateway.Options) { o.Retry.Wait = 6 * time.Second }, "a")
		began := time.Now()
		if w := l.chat(t, "a/m"); w.Code != 502 || time.Since(began) > time.Second || !strings.Contains(w.Body.String(), "Provider returned error") {
			t.Errorf("after %v: %d %s", time.Since(began), w.Code, w.Body)
		}
		l.quiet(t)
	})
}

// A failure within a stream of Responses whose bytes pass is told as the end of the
// response that the client has seen begin.
func TestAPassedResponseFailsAsItself(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
		return respond(200, "text/event-stream", `data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_7","model":"m-1","created_at":17}}

data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"i"}}

data: {"type":"response.output_text.delta","sequence_number":2,"output_index":0,"content_index":0,"delta":"a \"sequence_number\":9"}

data: {"type":"response.output_text.delta","sequence_number":3,"output_index":0,"content_index":0,"delta":"b"}

`)
	}, func(o *gateway.Options) { o.Declared.Nodes[0].Format = "responses" }, "a")
	text := l.post(t, "/v1/responses", `{"model":"a/m","stream":true,"input":"x"}`).Body.String()
	_, end, _ := strings.Cut(text, `"delta":"b"}`)
	for _, want := range []string{`"sequence_number":4`, `"sequence_number":5`, `"id":"resp_7"`, `"model":"m-1"`, `"created_at":17`, `"type":"response.failed"`} {
		if !strings.Contains(end, want) {
			t.Errorf("%s is missing in %s", want, end)
		}
	}
}

// An error that comes with status 200 instead of vectors is one, as in a chat.
func TestVectorsThatAreAnError(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{
		"/v1/embeddings":                        `{"model":"a/m","input":"x"}`,
		"/v1beta/models/a/m:batchEmbedContents": `{"requests":[{"model":"models/a/m","content":{"parts":[{"text":"x"}]}}]}`,
	} {
		for name, bad := range map[string]string{"an error": `{"error":{"message":"The server had an error.","type":"server_error"}}`, "nothing": `{}`} {
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				if id == "a1" {
					return respond(200, "application/json", bad)
				}
				return respond(200, "application/json", `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":1,"total_tokens":1}}`)
			}, nil, "a2")
			if w := l.post(t, path, body); w.Code != 200 || !strings.Contains(w.Body.String(), "0.5") || l.took() != "a1 a2" {
				t.Errorf("%s, %s: %d %s", path, name, w.Code, w.Body)
			}
		}
	}
}

// Who has waited in vain is told what is known by then, not what was known before.
func TestWhatIsToldAfterAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		after := "2"
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			now := after
			after = "60"
			return fails(429, "slow down", "Retry-After", now)
		}, func(o *gateway.Options) { o.Retry.Wait = 5 * time.Second }, "a")
		if w := l.chat(t, "a/m"); w.Code != 429 || w.Header().Get("Retry-After") != "60" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		l.quiet(t)
	})
}
