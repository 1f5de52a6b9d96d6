package fault

import (
	"net/http"
	"slices"
	"testing"

	"github.com/nine-router/nine-router/translate"
)

func FuzzClassify(f *testing.F) {
	f.Add(429, `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"36s"}]}}`, "20", "x")
	f.Add(400, `{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{}}","provider_name":"P"}}}`, "1e400", "quota")
	f.Add(0, `[{"error":[{"error":"{\"error\":\"[{\\\"a\\\"\"}"}]}]`, "Wed, 25 Nov 2026 12:00:10 GMT", "try again in 99999999d")
	f.Add(500, `{"detail":{"detail":{"detail":[{"msg":"{"}]}}}`, "-1", `{"error":{"code":"insufficient_quota"}}`)
	f.Add(404, `<html>`, "NaN", "Invalid: {")
	table := table(f)
	// How the built-in rules let a message of a rejected request begin or end.
	own := []string{}
	for _, r := range byWords {
		if r.fault.Scope != Request && (len(r.statuses) == 0 || slices.Contains(r.statuses, 400)) {
			own = append(own, r.says...)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body, after, message string) {
		h := http.Header{}
		for _, name := range []string{"Retry-After", "X-Ratelimit-Reset", "Anthropic-Ratelimit-Unified-5h-Reset", "Anthropic-Ratelimit-Tokens-Reset", "X-Codex-Primary-Reset-At", "Date"} {
			h.Set(name, after)
		}
		h.Set("X-Ratelimit-Remaining", "0")
		h.Set("Anthropic-Ratelimit-Unified-5h-Status", "rejected")
		h.Set("Anthropic-Ratelimit-Tokens-Remaining", "0")
		for _, codec := range codecs {
			a := &Answer{Status: status, Header: h, Body: []byte(body), Err: codec.DecodeError(status, []byte(body))}
			got := table.Classify(a, now)
			if got.After < 0 || got.After > MaxNamed || got.Scope == "" || got.Reason == "" || got.Scope == Request && got.After != 0 {
				t.Fatalf("%d %q %q: %+v", status, body, after, got)
			}
		}
		// Nothing that a client can have quoted makes a bad request anything else.
		e := &translate.Error{Status: 400, Kind: translate.InvalidRequest, Type: "invalid_request_error", Message: message}
		l := layer{message: lowered(message)}
		if slices.ContainsFunc(own, l.says) {
			return
		}
		for _, name := range []string{"openai-chat", "anthropic-messages"} {
			bad := codecs[name].AppendError(nil, e)
			if got := table.Classify(&Answer{Status: 400, Header: h, Body: bad, Err: codecs[name].DecodeError(400, bad)}, now); got.Scope != Request {
				t.Fatalf("%s: %+v", bad, got)
			}
		}
	})
}
