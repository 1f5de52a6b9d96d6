package gateway

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/responses"
)

// maxErrorBody bounds what is read of an answer with an error status, in bytes.
const maxErrorBody = 64 << 10

// attempt asks one candidate. It returns nil if the client has its answer. last
// says that there is nobody else to ask.
func (x *exchange) attempt(c *candidate, last bool) *failure {
	if !c.endpoint.Can(x.operation(c)) {
		if x.call.op == provider.CountTokens {
			return x.estimateTokens(c)
		}
		return unsupported(c)
	}
	passing := x.passes(c)
	if f := x.dependent(passing); f != nil {
		return f
	}
	body, refused := x.encode(c, passing)
	if refused != nil {
		return &failure{err: refused, fault: fault{Scope: ScopeRequest, Reason: "untranslatable", Elsewhere: true}}
	}
	ctx, cancel := context.WithCancelCause(x.ctx)
	defer cancel(nil)
	watch := time.AfterFunc(x.g.o.Times.FirstContent, func() { cancel(errFirstContent) })
	defer watch.Stop()

	req, err := c.endpoint.NewRequest(ctx, &provider.Call{
		Operation: x.operation(c), Model: c.model, Stream: x.rec.Stream, Body: body,
		Credential: c.connection.APIKey, Client: x.r.Header, PassThrough: passing,
	})
	if errors.Is(err, provider.ErrUnsupported) {
		return &failure{err: unknownModel(x.env.model), fault: fault{Scope: ScopeRequest, Reason: "unknown_model", Elsewhere: true}}
	}
	if err != nil {
		x.g.o.Logger.Error("building an upstream request", zap.String("exchange", x.rec.ID), zap.String("provider", c.provider.Name), zap.Error(err))
		return &failure{err: internal(), fault: fault{Scope: ScopeGateway, Reason: "request"}}
	}
	resp, err := x.g.transport(c.provider, c.connection).RoundTrip(req)
	if err != nil {
		f, told := classifyTransport(ctx, x.ctx, err)
		return &failure{err: told, fault: f}
	}
	defer resp.Body.Close()
	a := &answer{x: x, c: c, last: last, passing: passing, resp: resp, ctx: ctx, cancel: cancel, watch: watch}
	if a.body, err = plain(resp); err != nil {
		return a.broken("answered in a compression that was not asked for")
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return a.refused()
	}
	return a.relay()
}

// unsupported is the failure of a candidate that has no such operation.
func unsupported(c *candidate) *failure {
	return &failure{err: &translate.Error{Status: http.StatusNotFound, Kind: translate.NotFound, Code: "unsupported_operation",
		Message: "The provider " + c.provider.Name + " has no such operation."}, fault: fault{Scope: ScopeRequest, Reason: "unsupported", Elsewhere: true}}
}

// dependent is the failure of a request that goes on with something that only
// another provider has. Both errors make clients send the whole conversation.
func (x *exchange) dependent(passing bool) *failure {
	var err *translate.Error
	switch {
	case passing:
		return nil
	case x.unresolved:
		err = unknownPrevious(x.env.previous)
	case strings.Contains(x.env.thread, `"continue"`):
		err = unknownThread()
	default:
		return nil
	}
	return &failure{err: err, fault: fault{Scope: ScopeRequest, Reason: "not_kept", Elsewhere: true}}
}

// unknownThread is the error on which Anthropic's clients replay a thread as a
// whole; nothing is kept of threads here.
func unknownThread() *translate.Error {
	return &translate.Error{Status: http.StatusNotFound, Kind: translate.NotFound, Details: `{"error_code":"thread_not_found"}`,
		Message: "The thread is not kept by this gateway. Send the whole conversation."}
}

// operation is what the candidate is asked for. Ollama's clients have two ways to
// ask for text; only one of them is a conversation.
func (x *exchange) operation(c *candidate) provider.Operation {
	switch {
	case x.env.prompt && x.passes(c):
		return provider.Generate
	case x.compacts(c):
		return provider.Chat
	}
	return x.call.op
}

// compacts says that the candidate is asked for a summary in place of a compaction,
// which it does not have.
func (x *exchange) compacts(c *candidate) bool {
	return x.call.op == provider.Compact && !c.endpoint.Can(provider.Compact)
}

// passes says that the client's own bytes go to the candidate: both speak the
// same format, and nothing in them is of another provider or of ours.
func (x *exchange) passes(c *candidate) bool {
	if x.call.op == provider.Embed && x.call.format == translate.Gemini {
		return false // the body names the model again, for each text
	}
	return c.endpoint.Format == x.call.format && !x.foreign
}

// plain undoes a compression that we did not ask for.
func plain(resp *http.Response) (io.Reader, error) {
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "", "identity":
		return resp.Body, nil
	case "gzip":
		return gzip.NewReader(resp.Body)
	}
	return nil, errors.New("unknown content encoding")
}

// encode returns the body for the candidate: the client's own bytes but for the
// model's name if both speak the same format, else its translation.
func (x *exchange) encode(c *candidate, passing bool) (provider.Body, *translate.Error) {
	x.out.lost(nil)
	if passing {
		return x.env.withModel(c.model), nil
	}
	if x.call.op == provider.Embed {
		return x.encodeEmbedding(c)
	}
	if refused := x.decode(); refused != nil {
		return nil, refused
	}
	req := *x.request
	req.Model, req.Stream = c.model, x.rec.Stream
	req.CountOnly = x.call.op == provider.CountTokens
	if x.compacts(c) {
		req.Tools, req.ToolChoice, req.Output = nil, translate.ToolChoice{}, translate.Output{}
		req.Messages = append(slices.Clone(req.Messages), translate.Message{
			Role: translate.RoleUser, Parts: []translate.Part{{Kind: translate.Text, Text: responses.CompactionPrompt}}})
	}
	x.recall(&req)
	var losses translate.Losses
	codec := x.g.codecs[c.endpoint.Format]
	adapted, names := translate.Adapt(&req, codec.ToolRules(req.Model), &losses)
	body, err := codec.AppendRequest(nil, adapted, &losses)
	if err != nil {
		return nil, asError(err)
	}
	if x.strict && len(losses) > 0 {
		return nil, lossy(losses)
	}
	x.names = names
	x.rec.Losses = len(losses)
	x.out.lost(losses)
	if ce := x.g.o.Logger.Check(zap.DebugLevel, "translated"); ce != nil {
		ce.Write(zap.String("exchange", x.rec.ID), zap.Any("losses", losses))
	}
	return provider.Body{body}, nil
}

// decode reads the request, once for all candidates.
func (x *exchange) decode() *translate.Error {
	if x.request != nil {
		return nil
	}
	req, err := x.codec.DecodeRequest(x.env.body)
	if err != nil {
		return asError(err)
	}
	x.request = req
	return nil
}

// lossy is the error for a strict request that the candidate's format cannot
// express as it is.
func lossy(losses translate.Losses) *translate.Error {
	var b strings.Builder
	b.WriteString("The request is strict and cannot be expressed as it is:")
	for i, l := range losses {
		if i == 10 {
			fmt.Fprintf(&b, " and %d more", len(losses)-i)
			break
		}
		fmt.Fprintf(&b, " %s (%s);", l.Path, l.Why)
	}
	return &translate.Error{Status: http.StatusBadRequest, Kind: translate.InvalidRequest, Code: "lossy_translation",
		Param: losses[0].Path, Message: strings.TrimSuffix(b.String(), ";") + "."}
}

// asError returns err as what a client can be shown.
func asError(err error) *translate.Error {
	var e *translate.Error
	if errors.As(err, &e) {
		return e
	}
	return internal()
}

func internal() *translate.Error {
	return &translate.Error{Status: http.StatusInternalServerError, Kind: translate.ServerError, Code: "gateway_error",
		Message: "The gateway failed. Its log has more under this request's id."}
}

func (g *Gateway) transport(p *provider.Provider, c *store.Connection) http.RoundTripper {
	if p.Transport != nil {
		return p.Transport
	}
	if g.o.Transports != nil {
		return g.o.Transports.For(p, c)
	}
	return g.o.Transport
}

func (g *Gateway) responseHeaders(dst, src http.Header) {
	if src != nil {
		provider.ResponseHeaders(dst, src)
	}
}

// refused reads and classifies an answer with an error status.
func (a *answer) refused() *failure {
	body, _ := io.ReadAll(io.LimitReader(a.body, maxErrorBody))
	e := a.codec().DecodeError(a.resp.StatusCode, body)
	e.Message = a.x.g.clean(e.Message, a.c)
	if a.resp.StatusCode < 400 {
		e.Status, e.Kind = http.StatusBadGateway, translate.ServerError
		e.Message = "The provider answered with a redirect, which is not followed."
	}
	return &failure{err: e, fault: classify(e, a.resp.Header, time.Now())}
}

func (a *answer) codec() translate.Codec { return a.x.g.codecs[a.c.endpoint.Format] }

// clean takes our credential out of a provider's text, which may quote it, and
// bounds the text.
func (g *Gateway) clean(text string, c *candidate) string {
	if key := c.connection.APIKey.Reveal(); key != "" {
		text = strings.ReplaceAll(text, key, "[redacted]")
	}
	if len(text) > 2000 {
		text = strings.ToValidUTF8(text[:2000], "") + "…"
	}
	if text == "" {
		text = "The provider gave no reason."
	}
	return text
}

// broken is the failure of an answer that is not what it should be.
func (a *answer) broken(how string) *failure {
	return &failure{
		err:   &translate.Error{Status: http.StatusBadGateway, Kind: translate.ServerError, Code: "upstream_broken", Message: "The provider " + how + "."},
		fault: fault{Scope: ScopeProvider, Reason: "broken_answer"},
	}
}

func isStream(h http.Header) bool {
	t, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return t == "text/event-stream" || t == "application/x-ndjson"
}

func (g *Gateway) logAttempt(x *exchange, c *candidate, f *failure) {
	if f.fault.Scope == ScopeClient {
		return
	}
	if ce := g.o.Logger.Check(zap.WarnLevel, "attempt failed"); ce != nil {
		ce.Write(zap.String("exchange", x.rec.ID), zap.String("provider", c.provider.Name), zap.String("connection", c.connection.ID),
			zap.String("model", c.model), zap.String("scope", string(f.fault.Scope)), zap.String("reason", f.fault.Reason),
			zap.Int("status", f.err.Status))
	}
}

func (g *Gateway) logPanic(id string, p any) {
	g.o.Logger.Error("recovered from a panic", zap.String("exchange", id), zap.Any("panic", p), zap.Stack("stack"))
}
