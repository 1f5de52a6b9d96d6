package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
	"github.com/nine-router/nine-router/translate/sse"
)

// isUpgrade says that a request wants to become a WebSocket.
func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// A session is what the exchanges of one socket share: the last response, which
// the next may name although it is kept nowhere else.
type session struct {
	id   string
	held []byte
}

// Times of a socket: how long it may be silent, and how long a write may take.
const (
	socketIdle  = 30 * time.Minute
	socketWrite = 30 * time.Second
)

// serveSocket answers responses over a WebSocket: each message asks for one, and
// the events of its stream come back as messages. See
// https://developers.openai.com/api/docs/guides/websocket-mode. Each request is
// an exchange like any other; done is called with its record.
func (g *Gateway) serveSocket(w http.ResponseWriter, r *http.Request, c call, k *key, done func(*store.Exchange)) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		// Browsers are kept out by the key, which they cannot send in a header.
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return // it has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(g.o.Limits.Body)
	c.session = &session{}
	// It is read all the time, or else a client that leaves would not be noticed
	// while it is being answered.
	ctx, leave := context.WithCancel(r.Context())
	messages := make(chan message)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer leave()
		listen(ctx, conn, messages)
	})
	defer reading.Wait()
	defer conn.CloseNow()
	defer leave()
	snap := g.snap.Load()
	idle := time.NewTimer(socketIdle)
	defer idle.Stop()
	for {
		idle.Reset(socketIdle)
		var m message
		select {
		case m = <-messages:
		case <-ctx.Done():
			return
		case <-idle.C:
			conn.Close(websocket.StatusPolicyViolation, "nothing was asked for half an hour")
			return
		}
		out := &socketWriter{ctx: ctx, conn: conn, header: http.Header{}}
		body, refused := socketBody(m.kind, m.data)
		if refused != nil {
			g.refuse(out, c.format, refused)
		} else {
			req := r.Clone(ctx)
			req.Method, req.Body, req.ContentLength = http.MethodPost, io.NopCloser(bytes.NewReader(body)), int64(len(body))
			for _, name := range [...]string{"Content-Encoding", "Content-Length", "Upgrade", "Connection"} {
				req.Header.Del(name)
			}
			done(g.exchange(out, req, snap, c, k))
		}
		if err := out.finish(); err != nil {
			return
		}
		var ok bool
		if snap, k, ok = g.stillWelcome(r, k); !ok {
			conn.Close(websocket.StatusPolicyViolation, "the key may not be used any more")
			return
		}
	}
}

// A message is what a client sends over a socket.
type message struct {
	kind websocket.MessageType
	data []byte
}

// listen hands on what a client sends, one message ahead, until it leaves.
func listen(ctx context.Context, conn *websocket.Conn, messages chan<- message) {
	for {
		kind, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		select {
		case messages <- message{kind, data}:
		case <-ctx.Done():
			return
		}
	}
}

// stillWelcome says that the key that opened a socket would open it now.
func (g *Gateway) stillWelcome(r *http.Request, k *key) (*snapshot, *key, bool) {
	snap := g.snap.Load()
	now, denied := g.authenticate(snap, r)
	return snap, now, denied == nil && now.id == k.id
}

// socketBody makes the body of a request out of a message.
func socketBody(kind websocket.MessageType, message []byte) ([]byte, *translate.Error) {
	if kind != websocket.MessageText {
		return nil, translate.Invalid("", "A message must be text.")
	}
	body := []byte{'{'}
	event := ""
	err := rawjson.Object(message, func(name []byte, start, end int) error {
		switch string(name) {
		case "type":
			event = string(rawjson.Unquote(message[start:end]))
		case "stream", "background": // implied, and impossible
		default:
			body = rawjson.AppendMemberRaw(body, string(name), string(message[start:end]))
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, translate.Invalid("", "The message is not valid JSON: %v.", err)
	case event != "response.create":
		return nil, translate.Invalid("type", "type must be response.create.")
	}
	return append(rawjson.AppendBool(body, "stream", true), '}'), nil
}

// A socketWriter takes an exchange's answer, a stream of events or one document
// with an error, and sends it as messages.
type socketWriter struct {
	ctx    context.Context
	conn   *websocket.Conn
	header http.Header
	status int
	events sse.Reader
	body   []byte
	err    error
}

// Header implements http.ResponseWriter.
func (w *socketWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *socketWriter) WriteHeader(status int) { w.status = status }

// Flush implements http.Flusher: every message is sent at once.
func (w *socketWriter) Flush() {}

// Write implements http.ResponseWriter.
func (w *socketWriter) Write(p []byte) (int, error) {
	if w.status != 0 && w.status != http.StatusOK {
		w.body = append(w.body, p...)
		return len(p), nil
	}
	if w.events.Emit == nil {
		w.events.Max = translate.DefaultMaxBody
		w.events.Emit = func(_, data []byte) error {
			if string(data) == "[DONE]" {
				return nil
			}
			return w.send(data)
		}
	}
	if _, err := w.events.Write(p); err != nil {
		return 0, err
	}
	return len(p), w.err
}

func (w *socketWriter) send(data []byte) error {
	if w.err != nil {
		return w.err
	}
	ctx, cancel := context.WithTimeout(w.ctx, socketWrite)
	defer cancel()
	w.err = w.conn.Write(ctx, websocket.MessageText, data)
	return w.err
}

// finish sends an error that came instead of a stream.
func (w *socketWriter) finish() error {
	if len(w.body) == 0 {
		return w.err
	}
	var told struct{ Error json.RawMessage }
	if err := json.Unmarshal(w.body, &told); err != nil {
		return errors.Join(w.err, err)
	}
	b, err := json.Marshal(map[string]any{"type": "error", "status": w.status, "error": told.Error})
	if err != nil {
		return err
	}
	return w.send(b)
}
