package gateway

import (
	"net/http"
	"strconv"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/tokens"
)

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// deliverCount tells the client a provider's count of tokens.
func (a *attempt) deliverCount() *failure {
	v, err := fastjson.ParseBytes(a.whole)
	if err != nil {
		return broken("broken_answer", "The provider gave a count that is not JSON.")
	}
	a.wellAgain()
	for _, name := range [...]string{"input_tokens", "totalTokens"} {
		if n := v.Get(name); n != nil && n.Type() == fastjson.TypeNumber {
			if a.passing {
				return a.deliverDocument(a.whole)
			}
			return a.deliverDocument(appendCount(nil, n.GetInt64(), a.x.call.format))
		}
	}
	return broken("broken_answer", "The provider gave no count of tokens.")
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
func (x *exchange) estimateTokens(model string) *failure {
	if refused := x.decode(); refused != nil {
		return refusal(refused, "malformed")
	}
	n, by := tokens.Estimate(x.request, model)
	x.w.Header().Set("X-Nine-Router-Estimate", by)
	x.rec.Outcome, x.rec.Status = store.Finished, http.StatusOK
	x.record()
	if err := x.out.document(nil, appendCount(nil, n, x.call.format)); err != nil {
		return clientLeft()
	}
	return nil
}

// estimable says that a count which failed is as well estimated: nobody counted,
// and it is not for a reason that the client has to know.
func (f *failure) estimable() bool {
	switch f.fault.Scope {
	case fault.Provider, fault.Model, fault.Connection:
		return true
	case fault.Request:
		return f.fault.Reason == fault.Unsupported
	case fault.Gateway:
		return f.fault.Reason == reasonFull
	}
	return false
}

// inputEstimate is what a client is told of its input before the provider has
// counted it, for formats that tell it at the start.
func (x *exchange) inputEstimate() int64 {
	if x.call.op != provider.Chat || x.call.format != translate.Anthropic {
		return 0
	}
	return tokens.Rough(len(x.env.body))
}
