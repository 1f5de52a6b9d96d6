package gateway

import (
	"net/http"
	"strconv"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/tokens"
)

// relayDocument passes on an answer that is not a conversation.
func (a *answer) relayDocument() *failure {
	a.decoder = discard{}
	body, f := a.readWhole(true)
	if f != nil {
		return f
	}
	a.x.rec.Outcome, a.x.rec.Status = store.Finished, http.StatusOK
	a.x.record()
	if err := a.x.out.document(a.resp.Header, body); err != nil {
		return a.left()
	}
	return nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// relayCount tells the client a provider's count of tokens.
func (a *answer) relayCount() *failure {
	a.decoder = discard{}
	body, f := a.readWhole(true)
	if f != nil {
		return f
	}
	v, err := fastjson.ParseBytes(body)
	if err != nil {
		return a.broken("gave a count that is not JSON")
	}
	for _, name := range [...]string{"input_tokens", "totalTokens"} {
		if n := v.Get(name); n != nil && n.Type() == fastjson.TypeNumber {
			if a.passing {
				return a.count(body)
			}
			return a.count(appendCount(nil, n.GetInt64(), a.x.call.format))
		}
	}
	return a.broken("gave no count of tokens")
}

func (a *answer) count(body []byte) *failure {
	a.x.rec.Outcome, a.x.rec.Status = store.Finished, http.StatusOK
	a.x.record()
	if err := a.x.out.document(a.resp.Header, body); err != nil {
		return a.left()
	}
	return nil
}

// appendCount appends a count in the shape of a format, see
// https://platform.claude.com/docs/en/api/messages-count-tokens,
// https://platform.openai.com/docs/api-reference/responses/input-tokens and
// https://ai.google.dev/api/tokens.
func appendCount(b []byte, n int64, f translate.Format) []byte {
	switch f {
	case translate.Gemini:
		b = append(b, `{"totalTokens":`...)
	case translate.Responses:
		b = append(b, `{"object":"response.input_tokens","input_tokens":`...)
	default:
		b = append(b, `{"input_tokens":`...)
	}
	return append(strconv.AppendInt(b, n, 10), '}')
}

// estimateTokens answers a count for a provider that cannot count. The header
// says that it is an estimate, and by which vocabulary.
func (x *exchange) estimateTokens(c *candidate) *failure {
	if refused := x.decode(); refused != nil {
		return &failure{err: refused, fault: fault{Scope: ScopeRequest, Reason: "malformed"}}
	}
	n, by := tokens.Estimate(x.request, c.model)
	x.w.Header().Set("X-Nine-Router-Estimate", by)
	x.rec.Outcome, x.rec.Status = store.Finished, http.StatusOK
	x.record()
	x.out.document(nil, appendCount(nil, n, x.call.format))
	return nil
}

// inputEstimate is what a client is told of its input before the provider has
// counted it, for formats that tell it at the start.
func (x *exchange) inputEstimate() int64 {
	if x.call.op != provider.Chat || x.call.format != translate.Anthropic {
		return 0
	}
	return tokens.Rough(len(x.env.body))
}
