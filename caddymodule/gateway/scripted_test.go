package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	faulty "github.com/nine-router/nine-router/caddymodule/gateway/scripted"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

func TestMain(m *testing.M) {
	faulty.Main()
	os.Exit(m.Run())
}

// patience is how long the gateway waits for a provider that will not answer.
const patience = 300 * time.Millisecond

// maxEvent is how much one event may be, in bytes.
const maxEvent = 1 << 20

// A scenario is one failure of one provider, met by one client: alone, and as the
// first of a combo whose second provider is well.
type scenario struct {
	failure faulty.Failure
	client  translate.Format
	stream  bool
	name    string // of the combo; its providers are name+"a" and name+"b"
}

func (s *scenario) String() string {
	return fmt.Sprintf("%s→%s, stream=%v, %s", s.client, s.failure.Format, s.stream, s.failure.Name)
}

// The gateway under test, with the providers of all scenarios. Each has its own,
// so that what is remembered of one does not bear on another.
func scriptedGateway(t *testing.T, up *faulty.Upstream, wait time.Duration, list []scenario) *rig {
	t.Helper()
	return start(t, func(o *gateway.Options) {
		// On a busy machine who is well may take as long as who is not is given.
		o.Times.FirstContent, o.Times.Silence = 20*time.Second, 20*time.Second
		o.Declared.Providers = map[string]gateway.Settings{}
		o.Limits.Event = maxEvent
		o.Transport = &http.Transport{DisableCompression: true, TLSHandshakeTimeout: 4 * patience, MaxResponseHeaderBytes: 1 << 20}
		for i := range list {
			s := &list[i]
			o.Declared.Providers[s.name+"a"] = gateway.Settings{Times: gateway.Times{FirstContent: wait, Silence: wait}}
			for _, who := range []string{"a", "b"} {
				name := s.name + who
				o.Declared.Nodes = append(o.Declared.Nodes, store.Node{Name: name, Format: string(s.failure.Format), BaseURL: up.URL(name) + "/v1"})
				o.Declared.Connections = append(o.Declared.Connections, store.Connection{ID: name, Provider: name, Name: "c", APIKey: store.NewSecret("upstream-secret-" + name)})
			}
			o.Declared.Combos = append(o.Declared.Combos, store.Combo{Name: s.name, Models: []string{s.name + "a/m", s.name + "b/m"}})
		}
	})
}

// tries is how often one provider is asked, at least and at most, in one exchange
// that it fails. alone says that there is nobody else: then what failed before any
// work was done is worth another try.
func tries(f *faulty.Failure, alone bool) (least, most int) {
	n := 1
	if again := f.Reason == "unreachable" || f.Reason == "broken_off" && !f.StreamOnly && !f.DocumentOnly || f.Status >= 500 && f.Step.Header.Get("Retry-After") == ""; alone && again && f.Scope == "provider" {
		n = 2
	}
	switch {
	case f.Step.Refused: // which cannot be counted
		return 0, 0
	case f.Slow: // on a busy machine the time can be over before anybody listens
		return 0, 1
	}
	return n, n
}

// either are pairs of reasons of which chance chooses: a connection that is reset
// at once is broken off, or was never there.
var either = map[string]bool{"unreachable/broken_off": true}

// told is the status that a client is told if nobody else is left; 0 is any of 5xx.
func told(f *faulty.Failure) int {
	switch f.Scope {
	case "connection":
		if f.Reason == "rate_limited" {
			return http.StatusTooManyRequests
		}
		return http.StatusServiceUnavailable // the account is the operator's, not the client's
	case "model":
		return http.StatusNotFound
	}
	switch {
	case f.Reason == "first_content_timeout":
		return http.StatusGatewayTimeout
	case f.Scope == "provider" && f.Status > 0 && f.Status < 500: // which would be the client's fault
		return map[string]int{"overloaded": http.StatusServiceUnavailable, "timeout": http.StatusGatewayTimeout}[f.Reason]
	}
	return f.Status
}

// Every failure that a provider has, as each client meets it.
func TestEveryFailure(t *testing.T) {
	t.Parallel()
	up := faulty.Start(t)
	for _, format := range faulty.Formats() {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			var quick, slow []scenario
			for _, f := range faulty.Failures(format) {
				for client := range clients {
					// All clients meet a provider of the commonest format, the
					// others only who speaks as they do.
					if format != translate.OpenAI && client != format && (format != faulty.Cohere || client != translate.OpenAI) {
						continue
					}
					for _, stream := range []bool{true, false} {
						if stream && f.DocumentOnly || !stream && f.StreamOnly {
							continue
						}
						s := scenario{f, client, stream, fmt.Sprintf("%s%d", format, len(quick)+len(slow))}
						up.Script(s.name+"a", f.Step)
						up.Script(s.name+"b", faulty.Auto(format, "From the second."))
						if f.Slow {
							slow = append(slow, s)
						} else {
							quick = append(quick, s)
						}
					}
				}
			}
			// Who is not waited for is no measure of how busy the machine is.
			meet(t, up, 30*time.Second, quick, 6)
			meet(t, up, patience, slow, 20)
		})
	}
}

// meet plays the scenarios, so many at a time, with gateways that wait so long.
func meet(t *testing.T, up *faulty.Upstream, wait time.Duration, list []scenario, together int) {
	t.Helper()
	each := func(play func(*scenario)) {
		var wg sync.WaitGroup
		next := make(chan *scenario)
		for range together {
			wg.Go(func() {
				for s := range next {
					play(s)
				}
			})
		}
		for i := range list {
			next <- &list[i]
		}
		close(next)
		wg.Wait()
	}
	first := scriptedGateway(t, up, wait, list)
	each(func(s *scenario) { s.first(t, up, first) })
	// Another gateway, which has not met any of it.
	alone := scriptedGateway(t, up, wait, list)
	each(func(s *scenario) { s.alone(t, up, alone) })
	books := map[string]store.Exchange{}
	for _, e := range alone.exchanges(t) {
		books[e.Requested] = e
	}
	for i := range list {
		s := &list[i]
		e, ok := books[s.name+"a/m"]
		outcome, scope, reason := store.Failed, s.failure.Scope, s.failure.Reason
		if s.failure.Told {
			outcome = store.Broken
		}
		if !ok || e.Outcome != outcome || e.Scope != scope || e.Reason != reason && !either[reason+"/"+e.Reason] {
			t.Errorf("%v: the books have %v %s/%s, want %v %s/%s", s, e.Outcome, e.Scope, e.Reason, outcome, scope, reason)
		}
	}
}

// first has the failing provider asked first and the other one after it.
func (s *scenario) first(t *testing.T, up *faulty.Upstream, r *rig) {
	resp, body, took := s.ask(t, r, s.name)
	defer up.Reset(s.name + "a")
	second := up.Count(s.name + "b")
	switch f := &s.failure; {
	case f.Told || !f.Retryable:
		s.failed(t, resp, body)
		if second != 0 {
			t.Errorf("%v: the second was asked %d times", s, second)
		}
	default:
		a := s.decode(body)
		if resp.StatusCode != http.StatusOK || a.Err != nil || len(a.Choices) != 1 || texts(a, translate.Text) != "From the second." || a.Choices[0].Stop != translate.StopEnd || a.Usage.Input != 11 || a.Usage.Billed() != 7 {
			t.Errorf("%v: %d %.500s", s, resp.StatusCode, body)
		}
		if second != 1 {
			t.Errorf("%v: the second was asked %d times", s, second)
		}
	}
	s.ended(t, up, took, false)
}

// alone has nobody else to ask.
func (s *scenario) alone(t *testing.T, up *faulty.Upstream, r *rig) {
	resp, body, took := s.ask(t, r, s.name+"a/m")
	s.failed(t, resp, body)
	s.ended(t, up, took, true)
}

// ask sends the client's request and says how long the answer took.
func (s *scenario) ask(t *testing.T, r *rig, model string) (*http.Response, string, time.Duration) {
	c := clients[s.client]
	request, err := c.codec.AppendRequest(nil, history(s.client, model, s.stream, nil), nil)
	if err != nil {
		t.Error(err)
	}
	began := time.Now()
	resp, body := r.send(t, c.path(model, s.stream), string(request))
	return resp, body, time.Since(began)
}

// decode reads an answer as the client does.
func (s *scenario) decode(body string) *translate.Answer {
	var got translate.Collector
	d := clients[s.client].codec.NewDecoder(&got, translate.DecodeOptions{Stream: s.stream})
	d.Write([]byte(body))
	if err := d.Close(); err != nil && got.Answer.Err == nil {
		got.Answer.Err = &translate.Error{Message: "cannot be read: " + err.Error()}
	}
	return &got.Answer
}

// shapes are how the errors of each format begin.
var shapes = map[translate.Format]string{
	translate.OpenAI: `{"error":{"message":"`, translate.Responses: `{"error":{"message":"`, translate.Anthropic: `{"type":"error","error":{"type":"`,
	translate.Gemini: `{"error":{"code":`, translate.Ollama: `{"error":"`,
}

// failed looks at what the client is told of the failure.
func (s *scenario) failed(t *testing.T, resp *http.Response, body string) {
	f := &s.failure
	id := resp.Header.Get("X-Request-Id") + resp.Header.Get("Request-Id")
	if !strings.HasPrefix(id, "nrx_") || s.client != translate.Ollama && !strings.Contains(body, id) {
		t.Errorf("%v: the exchange's id %q is not in %.500s", s, id, body)
	}
	if f.Told {
		a := s.decode(body)
		// Where bytes pass the client has seen garbage before it sees the error.
		seen := f.Name == "garbage after content" && s.client == f.Format
		if resp.StatusCode != http.StatusOK || a.Err == nil || strings.HasPrefix(a.Err.Message, "cannot be read") && !seen || len(a.Choices) != 1 || !strings.HasPrefix(texts(a, translate.Text), "Begun ") {
			t.Errorf("%v: %d %v %.500s", s, resp.StatusCode, a.Err, body)
		}
		return
	}
	want := told(f)
	if resp.StatusCode != want && (want != 0 || resp.StatusCode < 500) {
		t.Errorf("%v: status %d, want %d", s, resp.StatusCode, want)
	}
	if !strings.HasPrefix(body, shapes[s.client]) || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v: it is no error of the client's format: %s %.500s", s, resp.Header.Get("Content-Type"), body)
	}
	if e := clients[s.client].codec.DecodeError(resp.StatusCode, []byte(body)); e.Message == "" || !strings.Contains(e.Message, f.Says) {
		t.Errorf("%v: it does not say %q: %.500s", s, f.Says, body)
	}
	if after := f.Step.Header.Get("Retry-After"); after != "" && resp.Header.Get("Retry-After") != after {
		t.Errorf("%v: Retry-After is %q", s, resp.Header.Get("Retry-After"))
	}
	if strings.Contains(body, "upstream-secret") {
		t.Errorf("%v: it shows a secret: %s", s, body)
	}
}

// ended looks at what was asked, that nothing of it goes on, and how long it took.
func (s *scenario) ended(t *testing.T, up *faulty.Upstream, took time.Duration, alone bool) {
	least, most := tries(&s.failure, alone)
	if n := up.Count(s.name + "a"); n < least || n > most {
		t.Errorf("%v: the first was asked %d times", s, n)
	}
	if s.failure.Slow && (took < patience*9/10 || took > patience+5*time.Second) {
		t.Errorf("%v: it took %v", s, took)
	}
	for deadline := time.Now().Add(10 * time.Second); up.Open(s.name+"a") > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%v: the request to the provider goes on", s)
			return
		}
	}
}

// An answer that is empty for a reason is one: nobody else is asked.
func TestAnEmptyAnswerWithAReasonIsAnAnswer(t *testing.T) {
	t.Parallel()
	up := faulty.Start(t)
	var list []scenario
	for client := range clients {
		for name, step := range map[string]func(translate.Format, bool) faulty.Step{"limit": faulty.LegalEmpty, "filter": faulty.Withheld} {
			if name == "filter" && client == translate.Ollama {
				continue // which has no such reason
			}
			for _, stream := range []bool{true, false} {
				s := scenario{faulty.Failure{Name: name, Format: client}, client, stream, fmt.Sprint("empty", len(list))}
				up.Script(s.name+"a", step(client, stream))
				up.Script(s.name+"b", faulty.Auto(client, "From the second."))
				list = append(list, s)
			}
		}
	}
	r := scriptedGateway(t, up, 30*time.Second, list)
	for i := range list {
		s := &list[i]
		resp, body, _ := s.ask(t, r, s.name)
		want := map[string]translate.StopReason{"limit": translate.StopLength, "filter": translate.StopFiltered}[s.failure.Name]
		a := s.decode(body)
		if resp.StatusCode != http.StatusOK || a.Err != nil || len(a.Choices) != 1 || texts(a, translate.Text) != "" || a.Choices[0].Stop != want && !(want == translate.StopFiltered && a.Choices[0].Stop == translate.StopRefused) {
			t.Errorf("%v: %d %v %.500s", s, resp.StatusCode, a.Err, body)
		}
		if n := up.Count(s.name + "b"); n != 0 {
			t.Errorf("%v: the second was asked %d times", s, n)
		}
	}
}

// A line that never ends is given up at the limit of an event, and the provider is
// hung up on; one that is merely long is not.
func TestALineWithoutEndIsGivenUp(t *testing.T) {
	t.Parallel()
	up := faulty.Start(t)
	var list []scenario
	for client := range clients {
		endless := scenario{faulty.Failure{Name: "endless", Format: client}, client, true, "endless" + string(client)}
		step := faulty.Lifecycle(client)
		step.EndlessLine = true
		up.Script(endless.name+"a", step)
		up.Script(endless.name+"b", faulty.Auto(client, "From the second."))
		long := endless
		long.failure.Name, long.name = "long", "long"+string(client)
		text := strings.Repeat("x", maxEvent/2)
		up.Script(long.name+"a", faulty.Good(client, true, text))
		up.Script(long.name+"b", faulty.Auto(client, "From the second."))
		list = append(list, endless, long)
	}
	r := scriptedGateway(t, up, 30*time.Second, list)
	for i := range list {
		s := &list[i]
		resp, body, _ := s.ask(t, r, s.name)
		if a := s.decode(body); s.failure.Name == "long" && len(texts(a, translate.Text)) != maxEvent/2 ||
			s.failure.Name == "endless" && a.Err == nil && texts(a, translate.Text) != "From the second." || len(body) > 4*maxEvent {
			t.Errorf("%v: %d %v %d bytes: %.500s", s, resp.StatusCode, a.Err, len(body), body)
		}
		for deadline := time.Now().Add(10 * time.Second); up.Open(s.name+"a") > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%v: the request to the provider goes on", s)
			}
		}
	}
}
