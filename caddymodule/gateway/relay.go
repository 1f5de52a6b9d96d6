package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/responses"
)

// maxHeld bounds what is held back of a stream before its first content, in
// bytes. A provider that opens with more than that has begun.
const maxHeld = 256 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// read reads the answer as far as there is something for the client: its first
// content, or all of it where either side is no stream.
func (a *attempt) read() *failure {
	x := a.x
	a.found.stream = isStream(a.found.resp.Header)
	if x.call.op != provider.Chat && !a.compacts() {
		a.decoder = discard{}
		return a.readWhole(true)
	}
	limits := x.g.o.Limits
	asIs := a.passing && a.found.stream == x.rec.Stream && !x.call.array
	switch {
	case !asIs:
		a.translates()
	case x.call.format == translate.Responses:
		a.seen.begun = &translate.Event{}
	}
	a.decoder = a.codec().NewDecoder(&a.seen, translate.DecodeOptions{
		Stream: a.found.stream, Listen: asIs, Whole: asIs && x.keeps(), MaxEvent: int(limits.Event), MaxBody: int(limits.Answer),
	})
	if !a.found.stream || !x.rec.Stream {
		return a.readAnswer(asIs)
	}
	return a.readStream()
}

// translates puts an encoder behind the decoder.
func (a *attempt) translates() {
	x := a.x
	// A body that passes needs no decoding, but its answer may need to know what
	// was asked.
	x.decode()
	if forgetful(x.call.format) {
		a.seen.memory = &rememberer{}
	}
	id := strings.TrimPrefix(x.rec.ID, "nrx_")
	a.seen.answer = id
	newEncoder := x.codec.NewEncoder
	if a.compacts() {
		newEncoder = responses.NewCompaction
	}
	a.encoder = newEncoder(translate.EncodeOptions{
		Stream: x.rec.Stream, IncludeUsage: x.request != nil && x.request.IncludeUsage,
		Model: x.rec.Requested, ID: id, Created: x.rec.Began.Unix(),
		Request: x.request, InputEstimate: x.inputEstimate(), List: x.call.array, Whole: x.keeps(), Previous: x.env.previous,
	})
	a.seen.next = a.names.Restore(a.encoder)
}

// readStream reads a stream until there is something for the client.
func (a *attempt) readStream() *failure {
	a.buffer = buffers.Get().(*[]byte)
	a.held = (*a.buffer)[:0]
	for {
		b, err := a.next()
		if len(b) > 0 {
			if f := a.take(b); f != nil {
				return f
			}
		}
		if err != nil {
			if a.found.end = err; err != io.EOF {
				return classifyTransport(a.ctx, a.x.ctx, err)
			}
			return a.close()
		}
		if a.ready() {
			return nil
		}
	}
}

// leastRead is how much room a read has at least, in bytes.
const leastRead = 4 << 10

// next reads some of the stream, behind what is held, and holds it too if it is to
// be passed on. What it returns is valid until the next call.
func (a *attempt) next() ([]byte, error) {
	if cap(a.held)-len(a.held) < leastRead {
		a.held = slices.Grow(a.held, max(len(a.held), leastRead))
	}
	n, err := a.found.body.Read(a.held[len(a.held):cap(a.held)])
	b := a.held[len(a.held) : len(a.held)+n]
	if a.encoder == nil {
		a.held = a.held[:len(a.held)+n]
	}
	return b, err
}

// putBack gives the buffer back.
func (a *attempt) putBack() {
	if a.buffer != nil {
		buffers.Put(a.buffer)
		a.buffer, a.held = nil, nil
	}
}

// ready says that the answer may go to the client. One that opens with more than
// is held back has begun, whatever it says.
func (a *attempt) ready() bool {
	if !a.seen.content {
		return len(a.held) >= maxHeld || a.encoder != nil && len(a.encoder.Bytes()) >= maxHeld
	}
	if a.rec.FirstContent == 0 {
		a.rec.FirstContent = time.Since(a.x.rec.Began)
		a.wellAgain()
	}
	pace := a.x.g.o.Pace
	if pace.CharactersPerSecond == 0 || a.seen.finished {
		return true
	}
	if a.phase.CompareAndSwap(waiting, pacing) {
		// From here on the provider shows what it can do.
		a.watch.Stop()
		var t *time.Timer
		t = time.AfterFunc(time.Hour, func() { // until it is set, so that t is there
			switch {
			case !a.alone:
				a.cancel(errSlow)
			case !a.slow.Swap(true): // better than nobody, unless it stops altogether
				t.Reset(a.times.Silence)
			case a.phase.Load() == pacing:
				a.cancel(errSilence)
			}
		})
		a.watch = t
		t.Reset(pace.Within)
	}
	return a.slow.Load() || a.seen.letters >= int(pace.Within.Seconds()*float64(pace.CharactersPerSecond)) || len(a.held) >= maxHeld
}

// wellAgain tells the scheduler that the candidate has content.
func (a *attempt) wellAgain() {
	cleared := a.Prove(time.Since(a.began))
	if len(cleared) > 0 {
		a.x.g.wellAgain(a.x.ctx, cleared)
	}
}

// take decodes one read of an answer.
func (a *attempt) take(b []byte) *failure {
	_, err := a.decoder.Write(b)
	if a.seen.failure != nil {
		return a.failureInStream()
	}
	if err != nil {
		return a.unreadable(err)
	}
	return nil
}

// close takes the end of an answer.
func (a *attempt) close() *failure {
	if err := a.decoder.Close(); err != nil && a.seen.failure == nil {
		return a.unreadable(err)
	}
	if a.seen.failure != nil {
		return a.failureInStream()
	}
	if !a.content && a.seen.empty() {
		return broken("empty_answer", "The provider gave an empty answer.")
	}
	if a.rec.FirstContent == 0 {
		a.rec.FirstContent = time.Since(a.x.rec.Began)
		a.wellAgain()
	}
	return nil
}

// readAnswer reads an answer to its end because either side is no stream.
func (a *attempt) readAnswer(asIs bool) *failure {
	if f := a.readWhole(asIs); f != nil {
		return f
	}
	return a.close()
}

// readWhole feeds the decoder to the end of the answer, and keeps the bytes if
// they are to be passed on.
func (a *attempt) readWhole(keep bool) *failure {
	p := buffers.Get().(*[]byte)
	defer buffers.Put(p)
	var total int64
	for {
		n, err := a.found.body.Read(*p)
		if total += int64(n); total > a.x.g.o.Limits.Answer {
			return broken("too_large_answer", "The provider gave an answer larger than this gateway takes.")
		}
		if n > 0 {
			if keep {
				a.whole = append(a.whole, (*p)[:n]...)
			}
			if f := a.take((*p)[:n]); f != nil {
				return f
			}
			if a.found.stream && a.seen.content && a.phase.CompareAndSwap(waiting, streaming) {
				a.rec.FirstContent = time.Since(a.x.rec.Began)
				a.wellAgain()
			}
			if a.phase.Load() == streaming {
				a.watch.Reset(a.times.Silence)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return classifyTransport(a.ctx, a.x.ctx, err)
		}
	}
}

// deliver sends the answer to the client.
func (a *attempt) deliver() *failure {
	x := a.x
	x.out.lost(a.losses)
	x.rec.Losses = len(a.losses)
	x.trace.Losses = traced(a.losses)
	if t := &x.trace; t.Affinity == "moved" && a.Preferred {
		t.Affinity = "hit"
	}
	x.stayed(a.Candidate)
	switch {
	case x.call.op == provider.Chat, a.compacts():
	case x.call.op == provider.CountTokens && a.found.resp == nil:
		a.note()
		return x.estimateTokens(a.Model)
	case x.call.op == provider.CountTokens:
		return a.deliverCount()
	case x.call.op == provider.Embed:
		return a.deliverEmbedding()
	default:
		a.wellAgain()
		return a.deliverDocument(a.whole)
	}
	x.rec.FirstContent = a.rec.FirstContent
	if !a.found.stream || !x.rec.Stream {
		return a.deliverWhole()
	}
	return a.deliverStream()
}

func traced(losses translate.Losses) []store.Loss {
	if len(losses) == 0 {
		return nil
	}
	list := make([]store.Loss, 0, min(len(losses), maxPassed))
	for _, l := range losses[:min(len(losses), maxPassed)] {
		list = append(list, store.Loss{Path: l.Path, Why: l.Why})
	}
	return list
}

// deliverStream sends what is there of a stream, and the rest as it comes.
func (a *attempt) deliverStream() *failure {
	a.content = true
	a.watch.Stop()
	if a.found.end != nil {
		return a.last()
	}
	a.phase.Store(streaming)
	a.watch = time.AfterFunc(a.times.Silence, func() { a.cancel(errSilence) })
	defer a.watch.Stop()
	if f := a.send(); f != nil {
		return f
	}
	for {
		b, err := a.next()
		if len(b) > 0 {
			a.watch.Reset(a.times.Silence)
			if f := a.take(b); f != nil {
				return a.failed(f)
			}
			if f := a.send(); f != nil {
				return f
			}
			if int64(len(a.held)) > a.x.g.o.Limits.Event+maxHeld {
				return a.failed(broken("broken_answer", "The provider sent an event longer than this gateway takes."))
			}
		}
		switch {
		case err == io.EOF:
			if f := a.close(); f != nil {
				return a.failed(f)
			}
			return a.last()
		case err != nil:
			return a.failed(classifyTransport(a.ctx, a.x.ctx, err))
		}
	}
}

// send passes on what may go out: bytes of the provider, or of the encoder.
func (a *attempt) send() *failure {
	if a.seen.ended {
		a.finish()
	}
	var err error
	if a.encoder != nil {
		if len(a.encoder.Bytes()) == 0 {
			return nil
		}
		err = a.x.out.stream(a.found.resp.Header, a.encoder.Bytes())
		a.encoder.Reset()
	} else {
		err = a.pass()
	}
	if err != nil {
		return a.left()
	}
	return nil
}

// last sends the end of a stream.
func (a *attempt) last() *failure {
	a.finish()
	rest := a.held
	if a.encoder != nil {
		rest = a.encoder.Bytes()
	}
	if err := a.x.out.stream(a.found.resp.Header, rest); err != nil {
		return a.left()
	}
	return nil
}

// pass sends the provider's bytes on, but only whole events, so that an error of
// our own can follow at any time.
func (a *attempt) pass() error {
	// What was searched before is not searched again, but for a blank line that
	// began in it.
	from := max(0, a.searched-3)
	whole := wholeEvents(a.held[from:], a.x.call.format == translate.Ollama)
	var err error
	if whole > 0 {
		whole += from
		if a.seen.begun != nil {
			a.counted(a.held[:whole])
		}
		err = a.x.out.stream(a.found.resp.Header, a.held[:whole])
	}
	a.held = a.held[:copy(a.held, a.held[whole:])]
	a.searched = len(a.held)
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
	end := bytes.LastIndex(b, []byte("\n\n")) + 2
	if end == 1 {
		end = 0
	}
	if bytes.IndexByte(b[end:], '\r') < 0 { // as almost everywhere
		return end
	}
	for _, blank := range [...]string{"\n\r\n", "\r\r"} {
		if i := bytes.LastIndex(b, []byte(blank)); i >= 0 {
			end = max(end, i+len(blank))
		}
	}
	return end
}

// finish puts the exchange into the books, before the client sees its end.
func (a *attempt) finish() {
	x := a.x
	a.meter()
	x.rec.Outcome, x.rec.Status = store.Finished, http.StatusOK
	if a.seen.memory != nil {
		x.remember(a.seen.memory)
	}
	if !x.recorded {
		x.keep(a.document(a.whole))
	}
	a.note()
	x.record()
}

// failed tells the client within its stream of a failure after the first content.
func (a *attempt) failed(f *failure) *failure {
	x := a.x
	a.meter()
	if f.fault.Scope == fault.Client {
		return f
	}
	x.rec.Outcome, x.rec.Status = store.Broken, http.StatusOK
	x.rec.Scope, x.rec.Reason = string(f.fault.Scope), f.fault.Reason
	a.rec.Scope, a.rec.Reason = string(f.fault.Scope), f.fault.Reason
	a.note()
	x.record()
	told := *f.err
	told.RequestID = x.rec.ID
	f.told = true
	if a.encoder != nil {
		a.encoder.Fail(&told)
		x.out.stream(nil, a.encoder.Bytes())
		return f
	}
	x.out.failInStream(&told, a)
	return f
}

// counted notes the number of the last event that went out. In a text the name
// would have backslashes.
func (a *attempt) counted(events []byte) {
	name := []byte(`"sequence_number":`)
	if i := bytes.LastIndex(events, name); i >= 0 {
		digits := bytes.TrimLeft(events[i+len(name):], " ")
		if end := bytes.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end > 0 {
			a.sequence, _ = strconv.ParseInt(string(digits[:end]), 10, 64)
		}
	}
}

// left is the failure of a client that cannot be written to.
func (a *attempt) left() *failure {
	a.meter()
	return clientLeft()
}

// failureInStream is the failure that a provider states within its answer.
func (a *attempt) failureInStream() *failure {
	e := a.seen.failure
	f := &failure{err: e, fault: a.x.g.o.Faults.Classify(&fault.Answer{
		Provider: a.Provider.Name, Format: a.endpoint.Format, Header: a.found.resp.Header, Err: e}, time.Now())}
	e.Message = a.clean(e.Message)
	return f
}

// unreadable is the failure of an answer that breaks its format.
func (a *attempt) unreadable(err error) *failure {
	f := broken("broken_answer", "The provider sent an answer that cannot be read.")
	var e *translate.Error
	if errors.As(err, &e) && e.Message != "" {
		f.err.Message = "The provider's answer cannot be read: " + a.clean(e.Message)
	}
	return f
}

// deliverWhole sends an answer that was read to its end, in one piece or as a
// stream.
func (a *attempt) deliverWhole() *failure {
	x := a.x
	a.finish()
	var err error
	switch {
	case x.rec.Stream:
		err = x.out.stream(a.found.resp.Header, a.encoder.Bytes())
	case a.encoder != nil:
		err = x.out.document(a.found.resp.Header, a.encoder.Bytes())
	default:
		err = x.out.document(a.found.resp.Header, a.whole)
	}
	if err != nil {
		return a.left()
	}
	return nil
}

// deliverDocument sends an answer that is no conversation.
func (a *attempt) deliverDocument(body []byte) *failure {
	x := a.x
	x.rec.Outcome, x.rec.Status = store.Finished, http.StatusOK
	a.note()
	x.record()
	var header http.Header
	if a.found.resp != nil {
		header = a.found.resp.Header
	}
	if err := x.out.document(header, body); err != nil {
		return a.left()
	}
	return nil
}
