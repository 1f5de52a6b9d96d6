package gateway

import (
	"net/http"
	"strconv"

	"github.com/nine-router/nine-router/store"
)

// relayDocument passes on an answer that is not a conversation, such as a count
// of tokens.
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

// estimateTokens answers a count for a provider that cannot count. Text of
// today's tokenizers has about four bytes a token; the header says that it is
// an estimate.
func (x *exchange) estimateTokens() *failure {
	n := int64(len(x.env.body)+3) / 4
	x.w.Header().Set("X-Nine-Router-Estimate", "bytes/4")
	x.rec.Outcome, x.rec.Status = store.Finished, http.StatusOK
	x.record()
	b := append([]byte(nil), `{"input_tokens":`...)
	b = strconv.AppendInt(b, n, 10)
	x.out.document(nil, append(b, '}'))
	return nil
}
