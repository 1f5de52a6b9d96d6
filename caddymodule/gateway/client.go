package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
	"github.com/nine-router/nine-router/translate/sse"
)

// client is the side of an exchange that faces the client. Its methods are safe
// against the timer that keeps a waiting connection alive.
type client struct {
	x     *exchange
	rc    *http.ResponseController
	timer *time.Timer

	mu      sync.Mutex
	headed  bool // the status and the header are out
	content bool // content is out: no other candidate may answer any more
	done    bool
	losses  translate.Losses // of the request, for the candidate that is asked
	limits  http.Header      // what is left of the key's; it stands in place of the provider's own
}

func (c *client) begin(x *exchange) {
	c.x, c.rc = x, http.NewResponseController(x.w)
	if x.rec.Stream && x.g.o.Times.KeepAlive > 0 {
		// The lock, because the timer may fire before it is assigned.
		c.mu.Lock()
		defer c.mu.Unlock()
		c.timer = time.AfterFunc(x.g.o.Times.KeepAlive, c.keepAlive)
	}
}

// end stops the timer; once it returns the writer is not touched any more.
func (c *client) end() {
	if c.timer == nil {
		return
	}
	c.timer.Stop()
	c.mu.Lock()
	c.done = true
	c.mu.Unlock()
}

// keepAlive tells a client that has waited long that somebody is there.
func (c *client) keepAlive() {
	defer func() {
		// A panic here would take the whole web server down.
		if p := recover(); p != nil {
			c.x.g.logPanic(c.x.rec.ID, p)
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done || c.content {
		return
	}
	c.head(nil)
	c.x.w.Write(c.x.waiting())
	c.rc.Flush()
	c.timer.Reset(c.x.g.o.Times.KeepAlive)
}

// waiting is what tells a client of a stream that there will be more. Clients of
// two formats fail on anything that is not an event of theirs, so they get one
// that says nothing.
func (x *exchange) waiting() []byte {
	switch x.call.format {
	case translate.Anthropic:
		return sse.AppendEvent(nil, "ping", []byte(`{"type":"ping"}`))
	case translate.Gemini:
		if x.call.array {
			return []byte(" ")
		}
		return sse.AppendEvent(nil, "", []byte(`{"candidates":[]}`))
	case translate.Ollama:
		b := rawjson.AppendMember([]byte("{"), "model", x.rec.Requested)
		b = rawjson.AppendMember(b, "created_at", x.rec.Began.UTC().Format(time.RFC3339Nano))
		if x.env.prompt {
			return append(b, `,"response":"","done":false}`+"\n"...)
		}
		return append(b, `,"message":{"role":"assistant","content":""},"done":false}`+"\n"...)
	}
	return sse.AppendComment(nil, "waiting for the provider")
}

// head writes the header of a stream, once. The lock is held.
func (c *client) head(upstream http.Header) {
	if c.headed {
		return
	}
	c.headed = true
	h := c.x.w.Header()
	c.x.g.responseHeaders(h, upstream)
	switch {
	case c.x.call.array:
		h["Content-Type"] = jsonType
	case c.x.call.format == translate.Ollama:
		h["Content-Type"] = lineStream
	default:
		h["Content-Type"] = eventStream
	}
	h["Cache-Control"] = noStore
	h["X-Accel-Buffering"] = unbuffered // for an nginx in front
	setID(h, c.x.call.format, c.x.rec.ID)
	setLosses(h, c.losses)
	c.limited(h)
	c.x.w.WriteHeader(http.StatusOK)
}

// limited tells what is left of the key's limits instead of the account's.
func (c *client) limited(h http.Header) {
	if len(c.limits) == 0 {
		return
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Anthropic-Ratelimit-") {
			delete(h, name)
		}
	}
	for name, values := range c.limits {
		h[name] = values
	}
}

// lost notes what of the request its translation for the next candidate left out.
func (c *client) lost(losses translate.Losses) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.losses = losses
}

// maxLosses bounds how many losses a header names.
const maxLosses = 20

// setLosses tells the client what its request lost on the way to the provider, by
// the paths. They may hold the client's own names, so only plain text gets out.
func setLosses(h http.Header, losses translate.Losses) {
	if len(losses) == 0 {
		return
	}
	var b strings.Builder
	for i, l := range losses {
		if i == maxLosses {
			fmt.Fprintf(&b, ", and %d more", len(losses)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		for _, c := range []byte(l.Path[:min(len(l.Path), 100)]) {
			if c <= ' ' || c >= 0x7f || c == ',' {
				c = '_'
			}
			b.WriteByte(c)
		}
	}
	h["X-Nine-Router-Losses"] = []string{b.String()}
}

var (
	eventStream = []string{"text/event-stream"}
	lineStream  = []string{"application/x-ndjson"}
	noStore     = []string{"no-store"}
	unbuffered  = []string{"no"}
)

// started says that the status is out, so that an error has to be told within
// the stream.
func (c *client) started() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headed
}

// stream sends a piece of a stream.
func (c *client) stream(upstream http.Header, piece []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.content = true
	c.head(upstream)
	n, err := c.x.w.Write(piece)
	c.x.rec.BytesOut += int64(n)
	if err != nil {
		return err
	}
	return c.rc.Flush()
}

// failInStream ends a stream that has begun with the format's own error. a is the
// attempt whose bytes were passed on, or nil.
func (c *client) failInStream(e *translate.Error, a *attempt) {
	told := *e
	told.RequestID = c.x.rec.ID
	o := translate.EncodeOptions{Stream: true, List: c.x.call.array, Request: c.x.request}
	if a == nil || a.seen.begun == nil || a.seen.begun.Kind == 0 {
		o.ID, o.Model, o.Created = strings.TrimPrefix(c.x.rec.ID, "nrx_"), c.x.rec.Requested, c.x.rec.Began.Unix()
		enc := c.x.codec.NewEncoder(o)
		enc.Fail(&told)
		c.stream(nil, enc.Bytes())
		return
	}
	// The answer goes on as what it began. What tells of its beginning, in two
	// events, the client has seen.
	o.Sequence = a.sequence - 1
	enc := c.x.codec.NewEncoder(o)
	enc.Event(a.seen.begun)
	enc.Reset()
	enc.Fail(&told)
	c.stream(nil, enc.Bytes())
}

// document sends a whole answer.
func (c *client) document(upstream http.Header, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headed, c.content = true, true
	h := c.x.w.Header()
	c.x.g.responseHeaders(h, upstream)
	h["Content-Type"] = jsonType
	setID(h, c.x.call.format, c.x.rec.ID)
	setLosses(h, c.losses)
	c.limited(h)
	c.x.w.WriteHeader(http.StatusOK)
	n, err := c.x.w.Write(body)
	c.x.rec.BytesOut += int64(n)
	return err
}

var jsonType = []string{"application/json"}
