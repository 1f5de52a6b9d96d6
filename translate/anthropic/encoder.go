package anthropic

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// NewEncoder implements [translate.Codec].
func (Codec) NewEncoder(o translate.EncodeOptions) translate.Encoder {
	if o.Stream {
		return &streamEncoder{o: o}
	}
	return &answer.DocumentEncoder{AppendError: Codec{}.AppendError, Write: func(b []byte, a *translate.Answer, losses *translate.Losses) []byte {
		w := documentWriter{o: &o, b: b, losses: losses}
		w.write(a)
		return w.b
	}}
}

// streamEncoder writes the events of a message: one message_start, blocks one
// after the other, one message_delta, one message_stop. A block that begins while
// another is open is held back until that is stopped.
type streamEncoder struct {
	o      translate.EncodeOptions
	b      []byte
	losses translate.Losses

	usage   translate.Usage
	started bool
	over    bool

	next    int     // index of the next block on the wire
	current int     // number of the open block, -1 without one
	blocks  []*held // blocks by number, nil once they are done
	order   []int   // numbers of the blocks that wait

	calls   bool // a call was written
	refused bool // a refusal was written
	stop    translate.StopReason
	match   string
}

// A held block is open here or waits for its turn.
type held struct {
	part    translate.PartKind
	b       []byte // what was written while it waited
	stopped bool
	custom  bool
	signed  bool // a piece of the signature is out
}

// Bytes implements [translate.Encoder].
func (w *streamEncoder) Bytes() []byte { return w.b }

// Reset implements [translate.Encoder].
func (w *streamEncoder) Reset() { w.b = w.b[:0] }

// Losses implements [translate.Encoder].
func (w *streamEncoder) Losses() translate.Losses { return w.losses }

// Fail implements [translate.Encoder].
func (w *streamEncoder) Fail(e *translate.Error) {
	if w.over {
		return
	}
	w.over = true
	w.b = append(w.b, "event: error\ndata: "...)
	w.b = append(Codec{}.AppendError(w.b, e), "\n\n"...)
}

// Event implements [translate.Sink].
func (w *streamEncoder) Event(e *translate.Event) error {
	if w.over {
		return nil
	}
	if e.Choice > 0 {
		if e.Kind == translate.BlockStart && e.Block == 0 {
			w.losses.Drop("choices", "a message is one answer")
		}
		return nil
	}
	switch e.Kind {
	case translate.AnswerStart:
		w.start(e)
	case translate.BlockStart:
		w.open(e)
	case translate.Delta, translate.Signature, translate.Citation:
		w.piece(e)
	case translate.BlockStop:
		w.close(e.Block)
	case translate.UsageUpdate:
		w.usage = *e.Usage
	case translate.Finish:
		w.stop, w.match = e.Stop, string(append([]byte(nil), e.StopSequence...))
	case translate.AnswerEnd:
		w.end()
	case translate.Failure:
		w.Fail(e.Err)
	case translate.Ping:
		if w.started {
			w.b = append(w.b, "event: ping\ndata: {\"type\":\"ping\"}\n\n"...)
		}
	case translate.LogProbs:
		w.losses.Drop("logprobs", "a message tells no probabilities")
	case translate.Unknown:
		if e.RawFormat != translate.Anthropic {
			w.losses.Drop(e.Name, "an event that only its own format knows")
		}
	}
	return nil
}

func (w *streamEncoder) start(e *translate.Event) {
	w.started, w.current = true, -1
	if e.Usage != nil {
		w.usage = *e.Usage
	}
	known := w.usage
	if !known.HasInput {
		known.Input = w.o.InputEstimate
	}
	w.b = append(w.b, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"...)
	w.b = appendMessageHead(w.b, e.ID, e.Name, &w.o)
	w.b = append(w.b, `"content":[],"stop_reason":null,"stop_sequence":null,"usage":`...)
	w.b = append(appendUsage(w.b, &known), "}}\n\n"...)
}

// appendMessageHead appends the beginning of a message, up to its content.
func appendMessageHead(b []byte, id, model string, o *translate.EncodeOptions) []byte {
	if id == "" {
		id = "msg_" + o.ID
	}
	if model == "" {
		model = o.Model
	}
	b = append(b, '{')
	b = rawjson.AppendMember(b, "id", id)
	b = append(b, `,"type":"message","role":"assistant"`...)
	b = rawjson.AppendMember(b, "model", model)
	return append(b, ',')
}

func appendUsage(b []byte, u *translate.Usage) []byte {
	number := func(name string, n int64) {
		b = strconv.AppendInt(rawjson.AppendName(b, name), n, 10)
	}
	b = append(b, '{')
	number("input_tokens", max(0, u.Input-u.CacheRead-u.CacheWrite))
	number("cache_creation_input_tokens", u.CacheWrite)
	number("cache_read_input_tokens", u.CacheRead)
	if u.CacheWrite1h > 0 {
		b = append(rawjson.AppendName(b, "cache_creation"), '{')
		number("ephemeral_5m_input_tokens", u.CacheWrite-u.CacheWrite1h)
		number("ephemeral_1h_input_tokens", u.CacheWrite1h)
		b = append(b, '}')
	}
	number("output_tokens", u.Output)
	if u.Reasoning > 0 {
		b = append(rawjson.AppendName(b, "output_tokens_details"), '{')
		number("thinking_tokens", u.Reasoning)
		b = append(b, '}')
	}
	return append(b, '}')
}

// open begins a block, at once or when its turn comes.
func (w *streamEncoder) open(e *translate.Event) {
	if !w.started {
		w.start(&translate.Event{})
	}
	for len(w.blocks) <= e.Block {
		w.blocks = append(w.blocks, nil)
	}
	switch e.Part {
	case translate.Image, translate.Audio:
		w.losses.Drop("content", "a message of an assistant holds no media")
		return
	case translate.Server:
		if e.RawFormat != translate.Anthropic {
			w.losses.Drop("content", "a block that only its own format knows")
			return
		}
	}
	h := &held{part: e.Part, custom: e.Custom}
	w.blocks[e.Block] = h
	if w.current >= 0 {
		w.order = append(w.order, e.Block)
	} else {
		w.current = e.Block
	}
	w.write(e.Block, func(b []byte) []byte { return w.appendStart(b, e) })
	switch e.Part {
	case translate.ToolCall:
		w.calls = true
	case translate.Refusal:
		w.refused = true
	}
	if e.Part == translate.ToolCall && e.Custom {
		w.write(e.Block, func(b []byte) []byte {
			return appendDelta(b, "input_json_delta", "partial_json", `{"`+answer.FreeText+`":"`)
		})
	}
}

// write appends an event of the block: to the answer if the block is open there,
// else to what waits. The index is put in when it is known; until then a block's
// events are kept apart.
func (w *streamEncoder) write(number int, event func([]byte) []byte) {
	h := w.blocks[number]
	if number == w.current {
		w.b = w.appendIndexed(w.b, event)
		return
	}
	// The events of a waiting block hold a gap where the index goes.
	from := len(h.b)
	h.b = append(h.b, 0, 0, 0, 0)
	h.b = event(h.b)
	n := len(h.b) - from - 4
	h.b[from], h.b[from+1], h.b[from+2], h.b[from+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
}

// appendIndexed appends an event and puts the index after its type.
func (w *streamEncoder) appendIndexed(b []byte, event func([]byte) []byte) []byte {
	from := len(b)
	b = event(b)
	return insertIndex(b, from, w.next)
}

// indexGap stands in an event where the block's index goes.
const indexGap = 0

func insertIndex(b []byte, from, index int) []byte {
	i := bytes.IndexByte(b[from:], indexGap)
	if i < 0 {
		return b
	}
	var digits [20]byte
	return slices.Replace(b, from+i, from+i+1, strconv.AppendInt(digits[:0], int64(index), 10)...)
}

func (w *streamEncoder) appendStart(b []byte, e *translate.Event) []byte {
	b = append(b, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":\x00,\"content_block\":"...)
	switch e.Part {
	case translate.Reasoning:
		if e.Redacted {
			b = append(b, `{"type":"redacted_thinking","data":"`...)
			b = append(rawjson.AppendEscaped(append(b, seal(e.SignedBy)...), e.Text), `"}`...)
		} else {
			b = append(b, `{"type":"thinking","thinking":"","signature":""}`...)
		}
	case translate.ToolCall:
		b = append(b, `{"type":"tool_use","id":`...)
		b = appendCallID(b, e.ID, w.o.ID, e.Block)
		b = append(b, `,"name":`...)
		b = append(rawjson.AppendString(b, e.Name), `,"input":{}}`...)
	case translate.Server:
		b = append(b, e.Raw...)
	default:
		b = append(b, `{"type":"text","text":""}`...)
	}
	return append(b, "}\n\n"...)
}

// seal returns what stands in front of a signature that is not Anthropic's.
func seal(by translate.Format) string {
	if by == "" || by == translate.Anthropic {
		return ""
	}
	return translate.Seal(by)
}

// appendCallID appends the id of a call. Where the provider gave none the client
// gets one that is unique in its conversation.
func appendCallID(b []byte, id, answer string, n int) []byte {
	if id != "" {
		return appendID(b, id)
	}
	b = append(append(append(b, `"toolu_`...), answer...), '_')
	return append(strconv.AppendInt(b, int64(n), 10), '"')
}

// appendDelta appends a delta with one string member.
func appendDelta[S ~string](b []byte, kind, member string, text S) []byte {
	b = append(b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":\x00,\"delta\":{\"type\":\""...)
	b = append(append(append(append(b, kind...), `","`...), member...), `":`...)
	return append(rawjson.AppendString(b, text), "}}\n\n"...)
}

func (w *streamEncoder) piece(e *translate.Event) {
	if e.Block < 0 || e.Block >= len(w.blocks) || w.blocks[e.Block] == nil {
		return
	}
	h := w.blocks[e.Block]
	kind, member := "text_delta", "text"
	switch {
	case e.Kind == translate.Citation:
		raw, ok := location(e.Raw, e.RawFormat)
		if !ok {
			w.losses.Drop("citations", "citations of another format")
			return
		}
		w.write(e.Block, func(b []byte) []byte {
			b = append(b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":\x00,\"delta\":{\"type\":\"citations_delta\",\"citation\":"...)
			return append(append(b, raw...), "}}\n\n"...)
		})
		return
	case e.Kind == translate.Signature:
		kind, member = "signature_delta", "signature"
		if h.part != translate.Reasoning {
			return
		}
		if s := seal(e.SignedBy); s != "" && !h.signed {
			w.write(e.Block, func(b []byte) []byte { return appendDelta(b, kind, member, s+e.Text) })
			h.signed = true
			return
		}
		h.signed = true
	case h.part == translate.Reasoning:
		kind, member = "thinking_delta", "thinking"
	case h.part == translate.ToolCall:
		kind, member = "input_json_delta", "partial_json"
		if h.custom {
			w.write(e.Block, func(b []byte) []byte {
				return appendDelta(b, kind, member, string(rawjson.AppendEscaped(nil, e.Text)))
			})
			return
		}
	case h.part == translate.Server:
		return
	}
	if e.Block == w.current {
		// The usual case, without a closure: nothing is allocated here.
		from := len(w.b)
		w.b = insertIndex(appendDelta(w.b, kind, member, e.Text), from, w.next)
		return
	}
	w.write(e.Block, func(b []byte) []byte { return appendDelta(b, kind, member, e.Text) })
}

// close stops a block. If it is the open one, those that wait follow.
func (w *streamEncoder) close(number int) {
	if number < 0 || number >= len(w.blocks) || w.blocks[number] == nil {
		return
	}
	h := w.blocks[number]
	if h.custom && !h.stopped {
		w.write(number, func(b []byte) []byte { return appendDelta(b, "input_json_delta", "partial_json", `"}`) })
	}
	h.stopped = true
	for number == w.current {
		w.b = append(w.b, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":"...)
		w.b = append(strconv.AppendInt(w.b, int64(w.next), 10), "}\n\n"...)
		w.blocks[number] = nil
		w.next++
		w.current = -1
		if len(w.order) == 0 {
			return
		}
		number, w.order = w.order[0], w.order[1:]
		w.current = number
		w.release(w.blocks[number])
		if !w.blocks[number].stopped {
			return
		}
	}
}

// release writes what a block's events were while it waited.
func (w *streamEncoder) release(h *held) {
	for b := h.b; len(b) >= 4; {
		n := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		from := len(w.b)
		w.b = insertIndex(append(w.b, b[4:4+n]...), from, w.next)
		b = b[4+n:]
	}
	h.b = nil
}

func (w *streamEncoder) end() {
	if !w.started {
		w.start(&translate.Event{})
	}
	for w.current >= 0 {
		w.close(w.current)
	}
	w.over = true
	w.b = append(w.b, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"...)
	w.b = appendStop(w.b, w.stop, w.match, w.calls, w.refused)
	w.b = append(w.b, `},"usage":`...)
	w.b = append(appendUsage(w.b, &w.usage), "}\n\n"...)
	w.b = append(w.b, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"...)
}

// appendStop appends the value of stop_reason, and the member stop_sequence. The
// reason follows from what was written: a message with calls waits for their
// results.
func appendStop(b []byte, s translate.StopReason, match string, calls, refused bool) []byte {
	reason := "end_turn"
	switch {
	case s == translate.StopLength:
		reason = "max_tokens"
	case s == translate.StopContext:
		reason = "model_context_window_exceeded"
	case s == translate.StopPause:
		reason = "pause_turn"
	case s == translate.StopFiltered || s == translate.StopRefused || refused:
		reason = "refusal"
	case calls:
		reason = "tool_use"
	case s == translate.StopSequence:
		reason = "stop_sequence"
	}
	b = append(append(append(b, '"'), reason...), `","stop_sequence":`...)
	if match == "" {
		return append(b, "null"...)
	}
	return rawjson.AppendString(b, match)
}
