package caddymodule

import (
	"encoding/json"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/nine-router/nine-router/store"
)

// placeholder returns the value of {http.nine_router.NAME} for an exchange. What
// is not known has the empty text; numbers of tokens are 0 then.
func placeholder(rec *store.Exchange, name string) (any, bool) {
	switch name {
	case "exchange":
		return rec.ID, true
	case "operation":
		return rec.Operation, true
	case "format":
		return rec.ClientFormat, true
	case "stream":
		return rec.Stream, true
	case "key":
		return rec.KeyID, true
	case "requested":
		return rec.Requested, true
	case "model":
		return rec.Model, true
	case "provider":
		return rec.Provider, true
	case "connection":
		return rec.ConnectionID, true
	case "attempts":
		return rec.Attempts, true
	case "outcome":
		return string(rec.Outcome), true
	case "scope":
		return rec.Scope, true
	case "reason":
		return rec.Reason, true
	case "tokens.input":
		return rec.Input, true
	case "tokens.cache_read":
		return rec.CacheRead, true
	case "tokens.cache_write":
		return rec.CacheWrite, true
	case "tokens.output":
		return rec.Output, true
	case "tokens.reasoning":
		return rec.Reasoning, true
	case "cost":
		if !rec.Priced {
			return "", true
		}
		return rec.Cost.USD(), true
	case "first_content":
		if rec.FirstContent <= 0 {
			return "", true
		}
		return milliseconds(rec.FirstContent), true
	case "duration":
		return milliseconds(rec.Duration), true
	}
	return nil, false
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// logged is an exchange in the access log.
type logged struct{ *store.Exchange }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l logged) MarshalLogObject(e zapcore.ObjectEncoder) error {
	for _, name := range [...]string{"exchange", "operation", "format", "key", "requested", "model", "provider", "connection", "outcome", "scope", "reason"} {
		if v, _ := placeholder(l.Exchange, name); v != "" {
			e.AddString(name, v.(string))
		}
	}
	e.AddBool("stream", l.Stream)
	e.AddInt("attempts", l.Attempts)
	if l.UsageReported {
		e.AddInt64("input", l.Input)
		e.AddInt64("output", l.Output)
		for _, part := range [...]struct {
			name string
			n    int64
		}{{"cache_read", l.CacheRead}, {"cache_write", l.CacheWrite}, {"reasoning", l.Reasoning}} {
			if part.n != 0 {
				e.AddInt64(part.name, part.n)
			}
		}
	}
	if l.FirstContent > 0 {
		e.AddFloat64("first_content_ms", milliseconds(l.FirstContent))
	}
	e.AddFloat64("duration_ms", milliseconds(l.Duration))
	if l.Priced {
		// As a number with all of its digits, which a float could not hold.
		return e.AddReflected("cost_usd", json.Number(l.Cost.USD()))
	}
	return nil
}
