package caddymodule

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logtest "go.uber.org/zap/zaptest/observer"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/gateway/telemetry"
	"github.com/nine-router/nine-router/store"
)

// A handler that hangs costs events, and never the time of an exchange.
func TestAHandlerThatHangsDropsEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang, dropped, emitted := make(chan struct{}), 0, 0
		e := newEmitter(func(gateway.Event) { <-hang; emitted++ }, func() { dropped++ }, zap.NewNop())
		e.add(gateway.Event{Name: "first"})
		synctest.Wait()
		for range maxEvents + 7 {
			e.add(gateway.Event{Name: "more"})
		}
		if dropped != 7 {
			t.Errorf("%d events were dropped", dropped)
		}
		close(hang)
		synctest.Wait()
		if emitted != maxEvents+1 {
			t.Errorf("%d events were emitted", emitted)
		}
		e.close()
		e.close()
		synctest.Wait()
		e.add(gateway.Event{Name: "too late"})
		synctest.Wait()
		if emitted != maxEvents+1 {
			t.Error("an event was emitted after the end")
		}
	})
}

func TestAHandlerThatPanicsIsSurvived(t *testing.T) {
	t.Parallel()
	core, logs := logtest.New(zapcore.ErrorLevel)
	synctest.Test(t, func(t *testing.T) {
		var emitted []string
		e := newEmitter(func(event gateway.Event) {
			if event.Name == "bad" {
				panic("oh")
			}
			emitted = append(emitted, event.Name)
		}, func() {}, zap.New(core))
		for _, name := range []string{"one", "bad", "two"} {
			e.add(gateway.Event{Name: name})
		}
		synctest.Wait()
		if !slices.Equal(emitted, []string{"one", "two"}) || logs.FilterField(zap.String("event", "bad")).Len() != 1 {
			t.Errorf("emitted %v, logged %v", emitted, logs.All())
		}
		e.close()
	})
}

func TestHowConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	connections := []store.Connection{
		{ID: "a", Provider: "openai"}, {ID: "b", Provider: "openai"}, {ID: "c", Provider: "openai"}, {ID: "off", Provider: "openai", Disabled: true},
		{ID: "d", Provider: "anthropic"}, {ID: "e", Provider: "zai"},
	}
	later, past := &schedule.Aside{Until: now.Add(time.Minute)}, &schedule.Aside{Until: now.Add(-time.Minute)}
	reports := []schedule.Report{
		{Subject: schedule.Subject{Provider: "openai", Connection: "a"}, Aside: later},
		{Subject: schedule.Subject{Provider: "openai", Connection: "b"}, Aside: past},
		{Subject: schedule.Subject{Provider: "openai", Connection: "c", Model: "m"}, Aside: later},
		{Subject: schedule.Subject{Provider: "openai", Connection: "off"}, Aside: later},
		{Subject: schedule.Subject{Provider: "anthropic", Connection: "d"}},
		{Subject: schedule.Subject{Provider: "zai"}, Aside: later},
	}
	want := []telemetry.ProviderState{{Provider: "anthropic", Ready: 1}, {Provider: "openai", Ready: 2, SetAside: 1}, {Provider: "zai", SetAside: 1}}
	if got := providerStates(connections, reports, now); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func exchange() *store.Exchange {
	return &store.Exchange{
		ID: "nrx_1", KeyID: "key_1", Operation: "chat", Stream: true, ClientFormat: "openai", Requested: "fast",
		Provider: "anthropic", Model: "opus", ConnectionID: "conn_1", Attempts: 2, Outcome: store.Broken, Scope: "provider", Reason: "silence",
		UsageReported: true, Input: 100, CacheRead: 60, CacheWrite: 10, Output: 50, Reasoning: 20, Priced: true, Cost: 1234567,
		FirstContent: 300500 * time.Microsecond, Duration: 3 * time.Second,
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	unknown := exchange()
	unknown.Priced, unknown.FirstContent = false, 0
	for name, want := range map[string]any{
		"exchange": "nrx_1", "operation": "chat", "format": "openai", "stream": true, "key": "key_1", "requested": "fast", "model": "opus", "provider": "anthropic",
		"connection": "conn_1", "attempts": 2, "outcome": "broken", "scope": "provider", "reason": "silence",
		"tokens.input": int64(100), "tokens.cache_read": int64(60), "tokens.cache_write": int64(10), "tokens.output": int64(50), "tokens.reasoning": int64(20),
		"cost": "0.001234567", "first_content": 300.5, "duration": 3000.0,
	} {
		if got, ok := placeholder(exchange(), name); !ok || got != want {
			t.Errorf("%s is %#v", name, got)
		}
	}
	for _, name := range []string{"cost", "first_content"} {
		if got, ok := placeholder(unknown, name); !ok || got != "" {
			t.Errorf("%s is %#v, though it is not known", name, got)
		}
	}
	if _, ok := placeholder(exchange(), "tokens"); ok {
		t.Error("there is a placeholder that is not documented")
	}
}

func TestTheAccessLogHasWhatIsKnown(t *testing.T) {
	t.Parallel()
	object := func(x *store.Exchange) string {
		b, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(zapcore.Entry{}, []zapcore.Field{zap.Object("nine_router", logged{x})})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(b.String())
	}
	for _, c := range []struct {
		exchange *store.Exchange
		want     string
	}{
		{exchange(), `{"nine_router":{"exchange":"nrx_1","operation":"chat","format":"openai","key":"key_1","requested":"fast","model":"opus","provider":"anthropic","connection":"conn_1",` +
			`"outcome":"broken","scope":"provider","reason":"silence","stream":true,"attempts":2,"input":100,"output":50,"cache_read":60,"cache_write":10,"reasoning":20,` +
			`"first_content_ms":300.5,"duration_ms":3000,"cost_usd":0.001234567}}`},
		{&store.Exchange{ID: "nrx_2", Operation: "chat", ClientFormat: "openai", Outcome: store.Failed, Scope: "request", Reason: "malformed", Duration: time.Millisecond},
			`{"nine_router":{"exchange":"nrx_2","operation":"chat","format":"openai","outcome":"failed","scope":"request","reason":"malformed","stream":false,"attempts":0,"duration_ms":1}}`},
	} {
		if got := object(c.exchange); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}
