// Package caddymodule is the glue between Caddy and the gateway: the app that
// both handlers share, the two HTTP handlers, their Caddyfile syntax, and the
// commands. It turns configuration into options and has no logic of its own that
// could be tested without Caddy.
package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/caddymodule/provider/demo"
	"github.com/nine-router/nine-router/store"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the gateway that the handlers of all sites share. It needs no
// configuration: without any it keeps its data in Caddy's data directory and
// lets nobody in who has no key.
type App struct {
	// The directory of the databases. Only one process can have it open.
	// Default: the environment variable DATA_DIR, else the folder `nine_router`
	// in Caddy's data directory.
	DataDir string `json:"data_dir,omitempty"`

	// The text from which the key is made that seals the stored credentials, at
	// least 16 characters. Use a placeholder such as `{env.NINE_ROUTER_KEY}` or
	// `{file./run/secrets/nine_router}`: what stands here is part of the
	// configuration that Caddy's admin API shows. It cannot be changed later.
	// Default: a key file `master.key` in the data directory.
	EncryptionKey string `json:"encryption_key,omitempty"`

	// Lets clients in without a key. Anybody who can reach the site can then
	// spend your accounts: only for a machine that nobody else reaches.
	// Default: false.
	Open bool `json:"open,omitempty"`

	// Accepts a key as the query parameter `key`, as Google's clients may send
	// it. URLs end up in logs. Default: false.
	QueryKeys bool `json:"query_keys,omitempty"`

	// Refuse WebSockets, over which Codex and OpenAI's SDKs can speak to
	// /v1/responses. They go on over plain HTTP then. Default: false.
	NoSockets bool `json:"no_sockets,omitempty"`

	// Whose requests are refused, with a 400 that names the path, rather than
	// answered when the format of the provider cannot express all of them.
	Strict *Strict `json:"strict,omitempty"`

	// Whether to make a key and print it to standard output when the gateway
	// starts without any. Default: only if standard output is a terminal.
	FirstKey *bool `json:"first_key,omitempty"`

	// The largest request body in bytes, after decompression. Default: 32 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// The largest answer that is not streamed, in bytes. Default: 64 MiB.
	MaxAnswer int64 `json:"max_answer,omitempty"`

	// The largest event of a stream in bytes. Default: 16 MiB.
	MaxEvent int64 `json:"max_event,omitempty"`

	// How long an exchange may take.
	Times Times `json:"times,omitzero"`

	// Providers by name: entries of the catalogue, or nodes with a base URL.
	// The provider `demo` answers within the process, without any account.
	Providers map[string]*Provider `json:"providers,omitempty"`

	// Other names for models. A name may have one *, which stands for any text
	// without a slash; a * in the model is the same text.
	Aliases map[string]string `json:"aliases,omitempty"`

	// Lists of models that are named like a model.
	Combos map[string]*Combo `json:"combos,omitempty"`

	// Keys of clients by name.
	Keys map[string]*Key `json:"keys,omitempty"`

	// What requests ask for that name no model. Default: they are refused.
	DefaultModel string `json:"default_model,omitempty"`

	// The order among connections of equal priority, and among the models of a
	// combo, where they have none of their own: `priority`, `round_robin`,
	// `weighted`, `least_busy`, `fastest`, `cheapest` or `most_quota`.
	// Default: priority.
	Strategy string `json:"strategy,omitempty"`

	// How long a conversation that rests still goes to the connection where it
	// went before, whose prompt cache it may find there. Negative: never.
	// Default: 1h.
	Affinity caddy.Duration `json:"affinity,omitempty"`

	// When those are asked again who failed.
	Retry *Retry `json:"retry,omitempty"`

	// Asks a second candidate when the first takes long. Default: off.
	Hedge *Hedge `json:"hedge,omitempty"`

	// Moves on from providers that are too slow. Default: off.
	Pace *Pace `json:"pace,omitempty"`

	// Rules of your own about whose fault an answer is, for all providers.
	Faults []FaultRule `json:"faults,omitempty"`

	Outbound

	// How providers are reached. Default: Caddy's HTTP transport, without
	// compression.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	ctx       caddy.Context
	events    *caddyevents.App
	log       *zap.Logger
	options   gateway.Options
	dataDir   string
	secret    store.Secret
	ready     chan struct{}
	lease     *lease // set before ready is closed, and never changed after
	acquired  bool   // the lease has to be given up
	running   *gateway.Gateway
	sites     []site
	stopWatch context.CancelFunc

	transports *Transports
}

// Times bound how long an exchange may take. None of them can be switched off,
// but the last.
type Times struct {
	// From the start of an attempt to a connection that is ready. Default: 10s.
	Connect caddy.Duration `json:"connect,omitempty"`
	// From the start of an attempt to its first content. Default: 2m.
	FirstContent caddy.Duration `json:"first_content,omitempty"`
	// Between two reads of a stream. Default: 2m.
	Silence caddy.Duration `json:"silence,omitempty"`
	// All attempts of one request together. Default: 30m.
	Exchange caddy.Duration `json:"exchange,omitempty"`
	// How long the client of a stream waits for the first content before it is
	// sent comments, so that nobody on the way hangs up. From then on an error
	// is sent within the stream. Negative: never. Default: 15s.
	KeepAlive caddy.Duration `json:"keep_alive,omitempty"`
}

// Provider is a provider with its connections.
type Provider struct {
	// The wire format of a node: `openai` or `anthropic`. Default: openai.
	Format string `json:"format,omitempty"`
	// The base URL of a node, up to and including the API's version.
	BaseURL string `json:"base_url,omitempty"`
	// What stands before the slash of its models' names. Default: its name.
	Prefix string `json:"prefix,omitempty"`
	// Headers that are sent with every request. Their values may hold
	// placeholders.
	Headers map[string]string `json:"headers,omitempty"`
	// The models that a node offers. Default: not known, any name is passed on.
	Models []string `json:"models,omitempty"`
	// What you know of its models, by name or by a pattern in which `*` stands
	// for any text. All that fit a name are joined; a name wins over a pattern
	// and a longer pattern over a shorter one.
	ModelInfo map[string]*Model `json:"model_info,omitempty"`
	// Its connections by name.
	Connections map[string]*Connection `json:"connections,omitempty"`

	// The order among connections of equal priority. Default: that of the app.
	Strategy string `json:"strategy,omitempty"`
	// For `round_robin`: how many exchanges before it is the next connection's
	// turn. Default: 1.
	Sticky int `json:"sticky,omitempty"`
	// How many exchanges it has at a time. Default: any number.
	MaxConcurrent int `json:"max_concurrent,omitempty"`
	// How many exchanges may wait for a place at it or at one of its connections.
	// Default: 100.
	Queue int `json:"queue,omitempty"`
	// And for how long. Default: 30s.
	QueueTime caddy.Duration `json:"queue_time,omitempty"`
	// How long its attempts may take: connect, first_content and silence.
	// Default: those of the app.
	Times *Times `json:"times,omitempty"`
	// The same for some of its models, by their names.
	ModelTimes map[string]*Times `json:"model_times,omitempty"`
	// Rules of your own about whose fault one of its answers is.
	Faults []FaultRule `json:"faults,omitempty"`
	// Lets the name of a node lead to this machine or a private network. Without,
	// only an address that is written as such may. Default: false.
	Private bool `json:"private,omitempty"`
	Outbound
	// How it is reached. Default: the app's transport.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`
}

// Connection is one credential at a provider.
type Connection struct {
	// The credential. Use a placeholder such as `{env.OPENAI_API_KEY}`.
	APIKey string `json:"api_key,omitempty"`
	// Connections with a lower number are asked first. Default: 0.
	Priority int `json:"priority,omitempty"`
	// Its share of requests under the strategy `weighted`. Default: 1.
	Weight int `json:"weight,omitempty"`
	// How many exchanges it has at a time. Default: any number.
	MaxConcurrent int `json:"max_concurrent,omitempty"`
	// The models that it may use. Default: all.
	Models []string `json:"models,omitempty"`
	// Keeps the connection but does not use it. Default: false.
	Disabled bool `json:"disabled,omitempty"`
	Outbound
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "nine_router", New: func() caddy.Module { return new(App) }}
}

// Provision computes what the gateway is made of. It opens nothing, so that a
// configuration can be validated beside a running server.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Logger()
	a.ready = make(chan struct{})
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	a.events = events.(*caddyevents.App)
	if a.dataDir, err = a.directory(); err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	if a.secret, err = reveal(repl, "encryption_key", a.EncryptionKey); err != nil {
		return err
	}
	catalogue, err := provider.Builtin()
	if err != nil {
		return err
	}
	if catalogue, err = catalogue.With(demo.Provider()); err != nil {
		return err
	}
	declared, err := a.declared(repl, catalogue)
	if err != nil {
		return err
	}
	faults, err := a.faults()
	if err != nil {
		return err
	}
	if a.transports, err = a.outbound(ctx, repl); err != nil {
		return err
	}
	a.options = gateway.Options{
		Catalogue: catalogue, Declared: declared, Open: a.Open, QueryKeys: a.QueryKeys, NoSockets: a.NoSockets, Strict: a.Strict.options(),
		Limits: gateway.Limits{Body: a.MaxBody, Answer: a.MaxAnswer, Event: a.MaxEvent},
		Times:  a.Times.options(), Retry: a.Retry.options(), Hedge: a.Hedge.options(), Pace: a.Pace.options(),
		Keeping: gateway.Keeping{Affinity: time.Duration(a.Affinity)}, Strategy: schedule.Strategy(a.Strategy), DefaultModel: a.DefaultModel,
		Faults: faults, Transports: a.transports, Logger: a.log,
	}
	// A contradiction within the configuration is told now; one with what is
	// stored can only be seen when the store is open.
	trial := a.options
	trial.Store = store.NewMemory()
	_, err = gateway.New(ctx, trial)
	return err
}

func (a *App) directory() (string, error) {
	dir := a.DataDir
	if dir == "" {
		dir = os.Getenv("DATA_DIR")
	}
	if dir == "" {
		dir = filepath.Join(caddy.AppDataDir(), "nine_router")
	}
	dir, err := caddy.NewReplacer().ReplaceOrErr(dir, true, true)
	if err != nil {
		return "", fmt.Errorf("data_dir: %w", err)
	}
	return filepath.Abs(dir)
}

// reveal resolves the placeholders of a secret. A variable that is not set is an
// error, never an empty secret.
func reveal(repl *caddy.Replacer, what, text string) (store.Secret, error) {
	if text == "" {
		return store.Secret{}, nil
	}
	plain, err := repl.ReplaceOrErr(text, true, true)
	if err != nil {
		return store.Secret{}, fmt.Errorf("%s: the placeholder has no value: is the variable or file there?", what)
	}
	return store.NewSecret(plain), nil
}

// Start opens the store and lets requests in.
func (a *App) Start() error {
	l, err := acquire(a.dataDir, a.secret, a.log)
	if err != nil {
		return err
	}
	if err := l.observer.expose(a.ctx.GetMetricsRegistry()); err != nil {
		return errors.Join(err, l.release())
	}
	o := &a.options
	o.Store, o.Board, o.Affinity, o.Ledger, o.Continuity, o.Observer = l.store, l.board, l.affinity, l.ledger, l.memory, l.observer
	g, err := gateway.New(context.Background(), a.options)
	if err != nil {
		return errors.Join(err, l.release())
	}
	a.lease, a.acquired, a.running = l, true, g
	if err := a.firstKey(); err != nil {
		a.log.Error("making the first key", zap.Error(err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.stopWatch = cancel
	go a.watch(ctx, l.store.Watch(ctx))
	close(a.ready)
	return nil
}

// watch rebuilds the gateway's snapshot when the store changes.
func (a *App) watch(ctx context.Context, changed <-chan struct{}) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("recovered from a panic while watching the store", zap.Any("panic", p), zap.Stack("stack"))
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			if err := a.running.Reload(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("the stored configuration cannot be used; going on with the last one", zap.Error(err))
			}
		}
	}
}

// Stop does nothing: exchanges that are under way go on.
func (a *App) Stop() error { return nil }

// Cleanup gives up what Start acquired.
func (a *App) Cleanup() error {
	if a.stopWatch != nil {
		a.stopWatch()
		a.stopWatch = nil
	}
	if a.transports != nil {
		a.transports.CloseIdleConnections()
	}
	if !a.acquired {
		return nil
	}
	a.acquired = false
	return a.lease.release()
}

// patience is how long a request waits for the start to be done: Caddy may start
// to listen before this app has started.
const patience = 10 * time.Second

// gateway returns the running gateway, waiting for it for a while.
func (a *App) gateway(ctx context.Context) (*gateway.Gateway, bool) {
	select {
	case <-a.ready:
		return a.running, true
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-a.ready:
		return a.running, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, false
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
