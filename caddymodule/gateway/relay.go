package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/responses"
)

// maxHeld bounds what is held back of a stream before its first content, in
// bytes. A provider that opens with more than that has begun.
const maxHeld = 256 << 10

// An answer is what a provider answered, on its way to the client.
type answer struct {
	x       *exchange
	c       *candidate
	last    bool
	passing bool
	resp    *http.Response
	body    io.Reader
	ctx     context.Context
	cancel  context.CancelCauseFunc
	watch   *time.Timer

	decoder translate.Decoder
	encoder translate.Encoder // nil if bytes pass through
	seen    observer
	whole   []byte // of an answer that passes as one document
	held    []byte // bytes from before the first content, or an event that is not whole yet
	content bool   // the client has been sent content
}

// observer is the sink that learns from the events what the exchange has to
// know, and hands them on to an encoder.
type observer struct {
	next     translate.Sink
	usage    translate.Usage
	reported bool
	content  bool
	finished bool
	stop     translate.StopReason
	ended    bool
	failure  *translate.Error
	memory   *rememberer // nil if there is nothing to remember
	answer   string      // id of the answer, for the ids of its calls
	calls    int
}

// Event implements translate.Sink.
func (o *observer) Event(e *translate.Event) error {
	switch e.Kind {
	case translate.Delta:
		o.content = o.content || e.Text != ""
	case translate.BlockStart:
		switch e.Part {
		case translate.Text, translate.Reasoning, translate.Refusal:
			o.content = o.content || e.Text != ""
		default:
			o.content = true
		}
	case translate.Signature:
		o.content = true
	case translate.AnswerStart:
		o.take(e.Usage)
	case translate.UsageUpdate:
		o.take(e.Usage)
	case translate.Finish:
		o.finished, o.stop = true, e.Stop
	case translate.AnswerEnd:
		o.ended = true
	case translate.Failure:
		// An error is told by the exchange, which may yet ask somebody else.
		err := *e.Err
		o.failure = &err
		return nil
	}
	if o.next == nil {
		return nil
	}
	if e.Kind == translate.BlockStart && e.Part == translate.ToolCall {
		o.calls++
		if e.ID == "" {
			// Calls without an id get one here, so that it is the same for the
			// client and for whatever is remembered of the turn.
			e.ID = "call_" + o.answer + "_" + strconv.Itoa(o.calls)
		}
	}
	if o.memory != nil {
		o.memory.Event(e)
	}
	return o.next.Event(e)
}

func (o *observer) take(u *translate.Usage) {
	if u != nil {
		o.usage, o.reported = *u, o.reported || u.HasInput || u.HasOutput
	}
}

// empty says that the answer has nothing in it and no reason to.
func (o *observer) empty() bool {
	if o.content {
		return false
	}
	return !o.finished || o.stop == translate.StopEnd || o.stop == translate.StopUnknown || o.stop == translate.StopTools
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// relay sends the answer to the client, in whichever way the two sides differ.
func (a *answer) relay() *failure {
	x := a.x
	stream := isStream(a.resp.Header)
	switch {
	case x.call.op == provider.Chat, x.compacts(a.c):
	case x.call.op == provider.CountTokens:
		return a.relayCount()
	case x.call.op == provider.Embed:
		return a.relayEmbedding()
	default:
		return a.relayDocument()
	}
	limits := x.g.o.Limits
	asIs := a.passing && stream == x.rec.Stream && !x.call.array
	if !asIs {
		// A body that passes needs no decoding, but its answer may need to know
		// what was asked.
		x.decode()
		if forgetful(x.call.format) {
			a.seen.memory = &rememberer{}
		}
		a.seen.answer = strings.TrimPrefix(x.rec.ID, "nrx_")
		newEncoder := x.codec.NewEncoder
		if x.compacts(a.c) {
			newEncoder = responses.NewCompaction
		}
		a.encoder = newEncoder(translate.EncodeOptions{
			Stream: x.rec.Stream, IncludeUsage: x.request != nil && x.request.IncludeUsage,
			Model: x.rec.Requested, ID: strings.TrimPrefix(x.rec.ID, "nrx_"), Created: x.rec.Began.Unix(),
			Request: x.request, InputEstimate: x.inputEstimate(), List: x.call.array, Whole: x.keeps(), Previous: x.env.previous,
		})
		a.seen.next = x.names.Restore(a.encoder)
	}
	a.decoder = a.codec().NewDecoder(&a.seen, translate.DecodeOptions{
		Stream: stream, Listen: asIs, Whole: asIs && x.keeps(), MaxEvent: int(limits.Event), MaxBody: int(limits.Answer),
	})
	if !stream || !x.rec.Stream {
		return a.relayWhole(asIs)
	}
	return a.relayStream()
}

// relayStream sends a stream as it comes.
func (a *answer) relayStream() *failure {
	p := buffers.Get().(*[]byte)
	defer buffers.Put(p)
	for {
		n, err := a.body.Read(*p)
		if n > 0 {
			if a.content {
				a.watch.Reset(a.x.g.o.Times.Silence)
			}
			if f := a.piece((*p)[:n]); f != nil {
				return f
			}
		}
		if err != nil {
			return a.close(err)
		}
	}
}

// piece takes one read of a stream: decodes it, and sends what the client may
// see of it.
func (a *answer) piece(b []byte) *failure {
	_, err := a.decoder.Write(b)
	if a.seen.failure != nil {
		return a.failed(a.failureInStream())
	}
	if err != nil {
		return a.failed(a.unreadable(err))
	}
	if a.encoder != nil {
		b = nil
	}
	return a.send(b)
}

// send passes on what may go out: bytes of the provider, or of the encoder.
func (a *answer) send(b []byte) *failure {
	if !a.content {
		if !a.seen.content && len(a.held)+len(b) < maxHeld && (a.encoder == nil || len(a.encoder.Bytes()) < maxHeld) {
			a.held = append(a.held, b...)
			return nil
		}
		a.x.rec.FirstContent = time.Since(a.x.rec.Began)
		a.content = true
		a.watch.Reset(a.x.g.o.Times.Silence)
	}
	if a.seen.ended {
		a.finish()
	}
	var err error
	if a.encoder != nil {
		if len(a.encoder.Bytes()) == 0 {
			return nil
		}
		err = a.x.out.stream(a.resp.Header, a.encoder.Bytes())
		a.encoder.Reset()
	} else {
		err = a.pass(b)
	}
	if err != nil {
		return a.left()
	}
	return nil
}

// pass sends the provider's bytes on, but only whole events, so that an error of
// our own can follow at any time.
func (a *answer) pass(b []byte) error {
	if len(a.held) > 0 {
		a.held = append(a.held, b...)
		b = a.held
	}
	whole := wholeEvents(b, a.x.call.format == translate.Ollama)
	var err error
	if whole > 0 {
		err = a.x.out.stream(a.resp.Header, b[:whole])
	}
	a.held = append(a.held[:0], b[whole:]...)
	return err
}

// wholeEvents returns the length of the part of b that ends with an event's
// blank line, or with the end of a line where each is an event.
func wholeEvents(b []byte, lines bool) int {
	if lines {
		return bytes.LastIndexByte(b, '\n') + 1
	}
	if bytes.HasSuffix(b, []byte("\n\n")) {
		return len(b)
	}
	end := 0
	for _, blank := range [...]string{"\n\n", "\n\r\n", "\r\r"} {
		if i := bytes.LastIndex(b, []byte(blank)); i >= 0 {
			end = max(end, i+len(blank))
		}
	}
	return end
}

// close takes the end of a stream.
func (a *answer) close(err error) *failure {
	if err != io.EOF {
		f, told := classifyTransport(a.ctx, a.x.ctx, err)
		return a.failed(&failure{err: told, fault: f})
	}
	if err := a.decoder.Close(); err != nil && a.seen.failure == nil {
		return a.failed(a.unreadable(err))
	}
	if a.seen.failure != nil {
		return a.failed(a.failureInStream())
	}
	if a.seen.empty() && !a.content && !(a.last && a.seen.finished) {
		f := a.broken("gave an empty answer")
		f.fault.Reason = "empty_answer"
		return f
	}
	a.finish()
	var sent error
	if a.encoder != nil {
		sent = a.x.out.stream(a.resp.Header, a.encoder.Bytes())
	} else {
		sent = a.x.out.stream(a.resp.Header, a.held)
	}
	if sent != nil {
		return a.left()
	}
	return nil
}

// finish puts the exchange into the books, before the client sees its end.
func (a *answer) finish() {
	a.meter()
	a.x.rec.Outcome, a.x.rec.Status = store.Finished, http.StatusOK
	if a.seen.memory != nil {
		a.x.remember(a.seen.memory)
	}
	if !a.x.recorded {
		a.x.keep(a.document(a.whole))
	}
	a.x.record()
}

func (a *answer) meter() {
	rec, u := &a.x.rec, &a.seen.usage
	rec.UsageReported = a.seen.reported
	rec.Input, rec.CacheRead, rec.CacheWrite = u.Input+u.ToolInput, u.CacheRead, u.CacheWrite
	rec.Output, rec.Reasoning = u.Billed(), u.Reasoning
	if a.encoder != nil {
		rec.Losses += len(a.encoder.Losses())
	}
}

// failed is what becomes of a failure: before the first content somebody else
// may answer, after it the client is told within its stream.
func (a *answer) failed(f *failure) *failure {
	a.meter()
	if f.fault.Scope == ScopeClient {
		return f
	}
	if !a.content {
		return f
	}
	a.x.rec.Outcome, a.x.rec.Status = store.Broken, http.StatusOK
	a.x.rec.Scope, a.x.rec.Reason = string(f.fault.Scope), f.fault.Reason
	a.x.record()
	told := *f.err
	told.RequestID = a.x.rec.ID
	f.told = true
	if a.encoder != nil {
		a.encoder.Fail(&told)
		a.x.out.stream(nil, a.encoder.Bytes())
		return f
	}
	a.x.out.failInStream(&told)
	return f
}

// left is the failure of a client that cannot be written to.
func (a *answer) left() *failure {
	a.meter()
	return &failure{
		err:   &translate.Error{Status: statusClientClosed, Kind: translate.Timeout, Message: "The client left."},
		fault: fault{Scope: ScopeClient, Reason: "client_left"},
	}
}

func (a *answer) failureInStream() *failure {
	e := a.seen.failure
	e.Message = a.x.g.clean(e.Message, a.c)
	return &failure{err: e, fault: classifyInStream(e, time.Now())}
}

// unreadable is the failure of an answer that breaks its format.
func (a *answer) unreadable(err error) *failure {
	f := a.broken("sent an answer that cannot be read")
	var e *translate.Error
	if errors.As(err, &e) && e.Message != "" {
		f.err.Message = "The provider's answer cannot be read: " + a.x.g.clean(e.Message, a.c)
	}
	return f
}

// relayWhole answers when either side is not a stream: the provider's answer is
// read to its end and then sent, in one piece or as a stream.
func (a *answer) relayWhole(asIs bool) *failure {
	whole, f := a.readWhole(asIs)
	if f != nil {
		return f
	}
	if err := a.decoder.Close(); err != nil && a.seen.failure == nil {
		return a.unreadable(err)
	}
	if a.seen.failure != nil {
		return a.failureInStream()
	}
	if a.seen.empty() && !(a.last && a.seen.finished) {
		f := a.broken("gave an empty answer")
		f.fault.Reason = "empty_answer"
		return f
	}
	a.x.rec.FirstContent = time.Since(a.x.rec.Began)
	a.whole = whole
	a.finish()
	var err error
	switch {
	case a.x.rec.Stream:
		err = a.x.out.stream(a.resp.Header, a.encoder.Bytes())
	case asIs:
		err = a.x.out.document(a.resp.Header, whole)
	default:
		err = a.x.out.document(a.resp.Header, a.encoder.Bytes())
	}
	if err != nil {
		return a.left()
	}
	return nil
}

// readWhole feeds the decoder to the end of the answer, and keeps the bytes if
// they are to be passed on.
func (a *answer) readWhole(keep bool) ([]byte, *failure) {
	p := buffers.Get().(*[]byte)
	defer buffers.Put(p)
	var whole []byte
	var total int64
	for {
		n, err := a.body.Read(*p)
		if total += int64(n); total > a.x.g.o.Limits.Answer {
			return nil, a.broken("gave an answer larger than this gateway takes")
		}
		if n > 0 {
			if keep {
				whole = append(whole, (*p)[:n]...)
			}
			if _, err := a.decoder.Write((*p)[:n]); err != nil && a.seen.failure == nil {
				return nil, a.unreadable(err)
			}
		}
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			f, told := classifyTransport(a.ctx, a.x.ctx, err)
			return nil, &failure{err: told, fault: f}
		}
	}
}
