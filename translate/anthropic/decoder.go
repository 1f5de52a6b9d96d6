package anthropic

import (
	"bytes"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// NewDecoder implements [translate.Codec].
func (Codec) NewDecoder(sink translate.Sink, o translate.DecodeOptions) translate.Decoder {
	d := &decoder{}
	d.Init(sink, o)
	d.OnEvent, d.OnDocument, d.OnEnd = d.event, d.document, d.finished
	return d
}

type decoder struct {
	answer.Input
	raw []byte // scratch for JSON that is handed on

	wire    wireUsage
	usage   translate.Usage
	blocks  []block // by the provider's index
	next    int     // number of the next block
	started bool
	finish  bool // Finish is out
	over    bool // AnswerEnd or Failure is out
}

// A block is one that the provider has opened.
type block struct {
	number int
	part   translate.PartKind
	open   bool
	server *serverBlock
}

// A serverBlock is held back until it is whole, because it goes on as one piece.
type serverBlock struct {
	raw   string // as it was at its start
	input []byte // pieces of its input
}

// wireUsage is the provider's arithmetic, in which later events overlay earlier
// ones.
type wireUsage struct {
	input, read, write, write1h, output, thinking int64
	hasInput, hasOutput                           bool
}

// finished is asked when the provider sent no more.
func (d *decoder) finished() error {
	if !d.over {
		return answer.Broken("ended before it was finished")
	}
	return nil
}

// event takes one event of a stream. Its type is in the data too, and some
// servers leave out the name.
func (d *decoder) event(name, data []byte) error {
	if d.over {
		return nil
	}
	if string(bytes.TrimSpace(data)) == "[DONE]" { // an end mark of another format
		return nil
	}
	v, err := d.Object(data)
	if err != nil {
		return err
	}
	kind := tree.Text(v, "type")
	if kind == "" {
		kind = tree.View(name)
	}
	d.Ev = translate.Event{}
	switch kind {
	case "message_start":
		return d.start(v.Get("message"))
	case "content_block_start":
		return d.blockStart(index(v), v.Get("content_block"))
	case "content_block_delta":
		return d.delta(index(v), v.Get("delta"))
	case "content_block_stop":
		return d.blockStop(index(v))
	case "message_delta":
		return d.messageDelta(v)
	case "message_stop":
		return d.end()
	case "ping":
		d.Ev.Kind = translate.Ping
		return d.Emit()
	case "error":
		return d.fail(v)
	}
	if !d.started {
		return nil // of another protocol, or of none
	}
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev = translate.Event{Kind: translate.Unknown, Name: kind, Raw: tree.View(d.raw), RawFormat: translate.Anthropic}
	return d.Emit()
}

func index(v *fastjson.Value) int {
	n, ok := tree.Int(v, "index")
	if !ok || n < 0 || n >= maxBlocks {
		return -1
	}
	return int(n)
}

// maxBlocks bounds what a provider can make the gateway remember.
const maxBlocks = 10_000

func (d *decoder) fail(v *fastjson.Value) error {
	e := &translate.Error{Kind: translate.ServerError}
	readError(v, e)
	if e.Message == "" {
		e.Message = "The provider failed without an explanation."
	}
	d.over = true
	d.Ev = translate.Event{Kind: translate.Failure, Err: e}
	return d.Emit()
}

// document takes a whole message.
func (d *decoder) document(v *fastjson.Value) error {
	if tree.Text(v, "type") == "error" || v.Get("content") == nil && v.Get("error") != nil {
		return d.fail(v)
	}
	if v.Get("content") == nil || v.Get("content").Type() != fastjson.TypeArray {
		return answer.Broken("is not a message")
	}
	if err := d.start(v); err != nil {
		return err
	}
	for i, b := range v.GetArray("content") {
		d.Ev = translate.Event{}
		if err := d.blockStart(i, b); err != nil {
			return err
		}
		if err := d.blockStop(i); err != nil {
			return err
		}
	}
	if err := d.tell(v); err != nil {
		return err
	}
	return d.end()
}

func (d *decoder) start(m *fastjson.Value) error {
	if d.started {
		return answer.Broken("begins twice")
	}
	if tree.IsNull(m) || m.Type() != fastjson.TypeObject {
		return answer.Broken("has a beginning of a wrong type")
	}
	d.started = true
	d.Ev = translate.Event{Kind: translate.AnswerStart, ID: tree.Text(m, "id"), Name: tree.Text(m, "model")}
	if d.takeUsage(m.Get("usage")) {
		d.Ev.Usage = &d.usage
	}
	return d.Emit()
}

// takeUsage overlays what the provider has told so far. Its input leaves out
// what was read from and written to a cache.
func (d *decoder) takeUsage(u *fastjson.Value) bool {
	if tree.IsNull(u) || u.Type() != fastjson.TypeObject {
		return false
	}
	w := &d.wire
	take := func(to *int64, path ...string) bool {
		n, ok := tree.Int(u, path...)
		if ok && n >= 0 {
			*to = n
		}
		return ok
	}
	w.hasInput = take(&w.input, "input_tokens") || w.hasInput
	w.hasOutput = take(&w.output, "output_tokens") || w.hasOutput
	take(&w.read, "cache_read_input_tokens")
	take(&w.write, "cache_creation_input_tokens")
	take(&w.write1h, "cache_creation", "ephemeral_1h_input_tokens")
	take(&w.thinking, "output_tokens_details", "thinking_tokens")
	d.usage = translate.Usage{
		Input: w.input + w.read + w.write, CacheRead: w.read, CacheWrite: w.write, CacheWrite1h: w.write1h,
		Output: w.output, Reasoning: w.thinking, HasInput: w.hasInput, HasOutput: w.hasOutput,
	}
	return true
}

func (d *decoder) blockStart(i int, v *fastjson.Value) error {
	if i < 0 || tree.IsNull(v) || v.Type() != fastjson.TypeObject {
		return answer.Broken("has a block of a wrong type")
	}
	if !d.started {
		return answer.Broken("has a block before its beginning")
	}
	for len(d.blocks) <= i {
		d.blocks = append(d.blocks, block{})
	}
	b := &d.blocks[i]
	if b.open {
		return answer.Broken("opens a block twice")
	}
	*b = block{number: d.next, open: true}
	d.Ev.Block, d.Ev.Kind = b.number, translate.BlockStart
	text := ""
	switch tree.Text(v, "type") {
	case "text":
		b.part, text = translate.Text, tree.Text(v, "text")
	case "thinking":
		b.part, text = translate.Reasoning, tree.Text(v, "thinking")
	case "redacted_thinking":
		b.part = translate.Reasoning
		d.Ev.Redacted = true
		d.Ev.Text, d.Ev.SignedBy = translate.OpenSeal(tree.Text(v, "data"), translate.Anthropic)
	case "tool_use":
		b.part = translate.ToolCall
		d.Ev.ID, d.Ev.Name = plainOf(tree.Text(v, "id")), tree.Text(v, "name")
		// The input comes in pieces, but for servers that send it at once. An
		// empty one at the start of a stream only says that it is an object.
		if in := v.Get("input"); in != nil && (!d.Options.Stream || in.Type() == fastjson.TypeObject && in.GetObject().Len() > 0) {
			d.raw = rawjson.AppendValue(d.raw[:0], in)
			text = tree.View(d.raw)
		}
	default:
		b.part = translate.Server
		b.server = &serverBlock{raw: string(rawjson.AppendValue(nil, v))}
		return nil // it goes on when it is whole
	}
	d.next++
	d.Ev.Part = b.part
	if err := d.Emit(); err != nil {
		return err
	}
	d.Ev.ID, d.Ev.Name, d.Ev.Text, d.Ev.Redacted = "", "", "", false
	if err := d.text(translate.Delta, text); err != nil {
		return err
	}
	if err := d.text(translate.Signature, tree.Text(v, "signature")); err != nil {
		return err
	}
	for _, c := range v.GetArray("citations") {
		if err := d.citation(c); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) text(kind translate.EventKind, s string) error {
	if s == "" {
		return nil
	}
	d.Ev.Kind, d.Ev.Text = kind, s
	if kind == translate.Signature {
		d.Ev.Text, d.Ev.SignedBy = translate.OpenSeal(s, translate.Anthropic)
	}
	err := d.Emit()
	d.Ev.Text = ""
	return err
}

func (d *decoder) citation(v *fastjson.Value) error {
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev.Kind, d.Ev.Raw, d.Ev.RawFormat = translate.Citation, tree.View(d.raw), translate.Anthropic
	err := d.Emit()
	d.Ev.Raw = ""
	return err
}

func (d *decoder) delta(i int, v *fastjson.Value) error {
	if i < 0 || i >= len(d.blocks) || !d.blocks[i].open || tree.IsNull(v) {
		return answer.Broken("has a piece of a block that is not open")
	}
	b := &d.blocks[i]
	if b.server != nil {
		b.server.input = append(b.server.input, tree.Text(v, "partial_json")...)
		if len(b.server.input) > d.Options.MaxEvent {
			return answer.Broken("has a block longer than the gateway takes")
		}
		return nil
	}
	d.Ev.Block, d.Ev.Part = b.number, b.part
	switch tree.Text(v, "type") {
	case "text_delta":
		return d.text(translate.Delta, tree.Text(v, "text"))
	case "thinking_delta":
		return d.text(translate.Delta, tree.Text(v, "thinking"))
	case "input_json_delta":
		return d.text(translate.Delta, tree.Text(v, "partial_json"))
	case "signature_delta":
		return d.text(translate.Signature, tree.Text(v, "signature"))
	case "citations_delta":
		if c := v.Get("citation"); !tree.IsNull(c) {
			return d.citation(c)
		}
	}
	return nil
}

func (d *decoder) blockStop(i int) error {
	if i < 0 || i >= len(d.blocks) || !d.blocks[i].open {
		return answer.Broken("stops a block that is not open")
	}
	b := &d.blocks[i]
	b.open = false
	if b.server != nil {
		b.number = d.next
		d.next++
		raw := b.server.whole()
		d.Ev = translate.Event{Kind: translate.BlockStart, Block: b.number, Part: translate.Server, Raw: raw, RawFormat: translate.Anthropic}
		b.server = nil
		if err := d.Emit(); err != nil {
			return err
		}
	}
	d.Ev = translate.Event{Kind: translate.BlockStop, Block: b.number, Part: b.part}
	return d.Emit()
}

// whole returns the block with its input put in.
func (s *serverBlock) whole() string {
	if len(s.input) == 0 || rawjson.Valid(s.input) != nil {
		return s.raw
	}
	v, err := fastjson.Parse(s.raw)
	if err != nil {
		return s.raw
	}
	in, err := fastjson.ParseBytes(s.input)
	if err != nil {
		return s.raw
	}
	v.Set("input", in)
	return string(rawjson.AppendValue(nil, v))
}

func (d *decoder) messageDelta(v *fastjson.Value) error {
	if !d.started {
		return answer.Broken("ends before it began")
	}
	m := v.Get("delta")
	if tree.IsNull(m) {
		m = v
	}
	return d.tellWith(m, v.Get("usage"))
}

// tell tells how a whole message ended.
func (d *decoder) tell(m *fastjson.Value) error { return d.tellWith(m, m.Get("usage")) }

func (d *decoder) tellWith(m, usage *fastjson.Value) error {
	if d.takeUsage(usage) {
		d.Ev = translate.Event{Kind: translate.UsageUpdate, Usage: &d.usage}
		if err := d.Emit(); err != nil {
			return err
		}
	}
	reason := tree.Text(m, "stop_reason")
	if reason == "" || d.finish {
		return nil
	}
	// A server that forgot to stop its blocks has stopped them now.
	for i := range d.blocks {
		if d.blocks[i].open {
			if err := d.blockStop(i); err != nil {
				return err
			}
		}
	}
	d.finish = true
	d.Ev = translate.Event{Kind: translate.Finish, Stop: stopReason(reason), Native: reason, StopSequence: tree.Text(m, "stop_sequence")}
	return d.Emit()
}

// stopReason maps https://platform.claude.com/docs/en/api/handling-stop-reasons.
func stopReason(s string) translate.StopReason {
	switch s {
	case "end_turn":
		return translate.StopEnd
	case "max_tokens":
		return translate.StopLength
	case "stop_sequence":
		return translate.StopSequence
	case "tool_use":
		return translate.StopTools
	case "pause_turn":
		return translate.StopPause
	case "refusal":
		return translate.StopRefused
	case "model_context_window_exceeded":
		return translate.StopContext
	}
	return translate.StopUnknown
}

func (d *decoder) end() error {
	if !d.started {
		return answer.Broken("ended before it began")
	}
	if !d.finish {
		d.finish = true
		for i := range d.blocks {
			if d.blocks[i].open {
				if err := d.blockStop(i); err != nil {
					return err
				}
			}
		}
		d.Ev = translate.Event{Kind: translate.Finish, Stop: translate.StopUnknown}
		if err := d.Emit(); err != nil {
			return err
		}
	}
	d.over = true
	d.Ev = translate.Event{Kind: translate.AnswerEnd}
	return d.Emit()
}
