package caddymodule

import (
	"context"

	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway"
)

// maxEvents bounds how many events wait for the handlers of earlier ones.
const maxEvents = 256

// An emitter hands events on, one after the other. Handlers may take long, since
// they run commands or call other servers, so no exchange waits for them; and if
// they take too long, events are dropped.
type emitter struct {
	queue   chan gateway.Event
	emit    func(gateway.Event)
	dropped func()
	log     *zap.Logger
	close   context.CancelFunc
}

// newEmitter returns an emitter that runs until it is closed.
func newEmitter(emit func(gateway.Event), dropped func(), log *zap.Logger) *emitter {
	ctx, cancel := context.WithCancel(context.Background())
	e := &emitter{queue: make(chan gateway.Event, maxEvents), emit: emit, dropped: dropped, log: log, close: cancel}
	go e.run(ctx)
	return e
}

// add takes an event, or drops it. It never waits.
func (e *emitter) add(event gateway.Event) {
	select {
	case e.queue <- event:
	default:
		e.dropped()
	}
}

func (e *emitter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-e.queue:
			e.one(event)
		}
	}
}

// one hands on one event. A handler is somebody else's code.
func (e *emitter) one(event gateway.Event) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("recovered from a panic in a handler of an event", zap.String("event", event.Name), zap.Any("panic", p), zap.Stack("stack"))
		}
	}()
	e.emit(event)
}

// emit hands an event to Caddy's event handlers, with the app as its origin. It
// asks the configuration that is running, not the one that the event comes from:
// handlers must not be called before all apps have started, nor after they have
// stopped.
func emit(event gateway.Event) {
	app, err := running()
	if err != nil || app.ctx.Err() != nil {
		return
	}
	app.events.Emit(app.ctx, event.Name, event.Data)
}
