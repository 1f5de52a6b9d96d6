package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler answers the requests of AI clients: `/v1/chat/completions`,
// `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models` and `/api/hello`, at
// the root of the site or after any prefix. All other requests go on to the next
// handler.
//
// It sets these placeholders, which make access logs useful:
//
// Placeholder | Description
// ------------|-------------
// `{http.nine_router.exchange}` | The id of the exchange, which is in the answer's header too
// `{http.nine_router.operation}` | What was asked for: chat, embed, count_tokens …
// `{http.nine_router.format}` | The wire format of the client
// `{http.nine_router.stream}` | Whether the answer was to be streamed
// `{http.nine_router.key}` | The id of the client's key
// `{http.nine_router.requested}` | The model's name as the client sent it
// `{http.nine_router.model}` | The model that answered, under the provider's own name
// `{http.nine_router.provider}` | The provider that answered
// `{http.nine_router.connection}` | The id of the connection that was used
// `{http.nine_router.attempts}` | How many upstream requests it took
// `{http.nine_router.outcome}` | finished, failed, broken or cancelled
// `{http.nine_router.scope}` | Whose fault a failure was: request, model, connection, provider, client or gateway
// `{http.nine_router.reason}` | What the failure was, in a word
// `{http.nine_router.tokens.input}` | Input tokens, those from and to a cache included
// `{http.nine_router.tokens.cache_read}` | Of these, tokens that were read from a cache
// `{http.nine_router.tokens.cache_write}` | Of these, tokens that were written to a cache
// `{http.nine_router.tokens.output}` | Output tokens, reasoning included
// `{http.nine_router.tokens.reasoning}` | Of these, tokens of reasoning
// `{http.nine_router.cost}` | What it cost in US dollars, to the billionth; empty if the price is not known
// `{http.nine_router.first_content}` | Milliseconds to the first content; empty if there was none
// `{http.nine_router.duration}` | Milliseconds to the end of the answer
//
// They have a value once the exchange is over. The access log has the same in the
// object `nine_router`, as far as it is known; numbers that have a unit are called
// `cost_usd`, `first_content_ms` and `duration_ms` there.
type Handler struct {
	// The path that the API's paths begin after, such as `/ai`. Only they are
	// answered then. Default: any.
	Prefix string `json:"prefix,omitempty"`

	app *App
	log *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.nine_router", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the app.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.log = ctx.Logger()
	if h.Prefix != "" && (!strings.HasPrefix(h.Prefix, "/") || strings.HasSuffix(h.Prefix, "/")) {
		return fmt.Errorf("the prefix %q must begin with a slash and not end with one", h.Prefix)
	}
	app, err := ctx.App("nine_router")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	if srv, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		h.app.sites = append(h.app.sites, site{srv, h.Prefix})
	}
	return nil
}

// ServeHTTP answers what is the API's.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.Prefix != "" {
		path, ok := strings.CutPrefix(r.URL.Path, h.Prefix)
		if !ok || !strings.HasPrefix(path, "/") {
			return next.ServeHTTP(w, r)
		}
	}
	if !gateway.Claims(r, h.Prefix) {
		return next.ServeHTTP(w, r)
	}
	g, ok := h.app.gateway(r.Context())
	if !ok {
		w.Header().Set("Retry-After", "5")
		return caddyhttp.Error(http.StatusServiceUnavailable, errStarting)
	}
	// The exchange may outlive its configuration; the store must outlive it.
	l, err := h.app.lease.hold()
	if err != nil {
		w.Header().Set("Retry-After", "5")
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	defer func() {
		if err := l.release(); err != nil {
			h.log.Error("giving up the store", zap.Error(err))
		}
	}()
	// As the server knows it: behind a trusted proxy it is not the connection's.
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		r = r.WithContext(context.WithValue(r.Context(), gateway.ClientIP, ip))
	}
	rec, _ := g.Serve(w, r)
	if rec != nil {
		tell(r, rec)
	}
	return nil
}

var errStarting = fmt.Errorf("the gateway has not started yet")

// tell makes what became of the exchange known to the access log.
func tell(r *http.Request, rec *store.Exchange) {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(func(name string) (any, bool) {
			name, ok := strings.CutPrefix(name, "http.nine_router.")
			if !ok {
				return nil, false
			}
			return placeholder(rec, name)
		})
	}
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Object("nine_router", logged{rec}))
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
