package responses

import (
	"bytes"
	"strings"

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
	d.OnEvent, d.OnDocument, d.OnEnd = d.event, d.response, d.finished
	return d
}

// decoder reads the events of https://platform.openai.com/docs/api-reference/responses-streaming.
// An item is told in pieces and once more when it is done, and all of them again
// at the end. What came in pieces counts; what did not, because a server leaves
// pieces out, is taken from the later telling.
type decoder struct {
	answer.Input
	raw []byte // scratch for JSON that is handed on

	usage   translate.Usage
	items   []item // by output index
	next    int    // number of the next block
	started bool
	calls   bool
	refused bool
	over    bool   // AnswerEnd or Failure is out
	whole   []byte // the response, if it is wanted
}

// Document implements [translate.Documenter].
func (d *decoder) Document() []byte { return d.whole }

// An item is one of the answer's, as far as it has come.
type item struct {
	kind  string
	done  bool
	block int // number of the open block, -1 without one
	part  translate.PartKind
	// Of a message: the part of its content that is open, and how many came.
	index     int
	parts     int
	text      bool // the open part had text
	citations int  // of the open part
	// Of reasoning: whether its summary and its text came in pieces, and which
	// part of the summary is the last.
	summary, thoughts bool
	last              int
}

// finished is asked when the provider sent no more.
func (d *decoder) finished() error {
	if !d.over {
		return answer.Broken("ended before it was finished")
	}
	return nil
}

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
	if kind == "error" {
		return d.fail(v)
	}
	short, ok := strings.CutPrefix(kind, "response.")
	if !ok {
		return d.unknown(kind, v)
	}
	switch short {
	case "created", "in_progress", "queued":
		return d.start(v.Get("response"))
	case "completed", "incomplete", "failed", "cancelled":
		r := v.Get("response")
		if tree.IsNull(r) {
			return answer.Broken("has an end of a wrong type")
		}
		return d.response(r)
	}
	n, ok := tree.Int(v, "output_index")
	if !ok {
		return d.unknown(kind, v)
	}
	if n < 0 || n >= maxItems {
		return answer.Broken("has an item with an impossible number")
	}
	if err := d.start(nil); err != nil {
		return err
	}
	for len(d.items) <= int(n) {
		d.items = append(d.items, item{block: -1, index: -1, last: -1})
	}
	return d.itemEvent(short, &d.items[n], v)
}

// maxItems bounds what a provider can make the gateway remember.
const maxItems = 10_000

func (d *decoder) unknown(kind string, v *fastjson.Value) error {
	if !d.started {
		return nil // of another protocol, or of none
	}
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev = translate.Event{Kind: translate.Unknown, Name: kind, Raw: tree.View(d.raw), RawFormat: translate.Responses}
	return d.Emit()
}

func (d *decoder) itemEvent(kind string, it *item, v *fastjson.Value) error {
	d.Ev = translate.Event{}
	switch kind {
	case "output_item.added":
		return d.added(it, v.Get("item"))
	case "output_item.done":
		return d.done(it, v.Get("item"))
	case "output_text.delta":
		return d.message(it, v, translate.Text, tree.Text(v, "delta"))
	case "refusal.delta":
		return d.message(it, v, translate.Refusal, tree.Text(v, "delta"))
	case "output_text.annotation.added":
		if err := d.message(it, v, translate.Text, ""); err != nil {
			return err
		}
		it.citations++
		return d.citation(it, v.Get("annotation"))
	case "content_part.done":
		return d.messagePart(it, v, v.Get("part"))
	case "reasoning_summary_text.delta":
		n, _ := tree.Int(v, "summary_index")
		return d.summary(it, int(n), tree.Text(v, "delta"))
	case "reasoning_text.delta":
		it.thoughts = true
		return d.piece(it, translate.Reasoning, tree.Text(v, "delta"))
	case "function_call_arguments.delta", "custom_tool_call_input.delta":
		if it.block < 0 {
			return answer.Broken("has a piece of a call that has not begun")
		}
		it.text = true
		return d.piece(it, translate.ToolCall, tree.Text(v, "delta"))
	}
	// Others repeat what was told, or tell of the work of the provider's own
	// tools, whose items go on when they are done.
	return nil
}

func (d *decoder) start(r *fastjson.Value) error {
	if d.started {
		return nil
	}
	d.started = true
	d.Ev = translate.Event{Kind: translate.AnswerStart}
	if !tree.IsNull(r) {
		d.Ev.ID, d.Ev.Name = tree.Text(r, "id"), tree.Text(r, "model")
		d.Ev.Created, _ = tree.Int(r, "created_at")
	}
	return d.Emit()
}

// added takes the beginning of an item. Only calls are told at once: of the
// others something has to come first.
func (d *decoder) added(it *item, v *fastjson.Value) error {
	if tree.IsNull(v) || v.Type() != fastjson.TypeObject {
		return answer.Broken("has an item of a wrong type")
	}
	if it.kind != "" {
		return answer.Broken("begins an item twice")
	}
	it.kind = strings.Clone(tree.Text(v, "type"))
	switch it.kind {
	case "function_call", "custom_tool_call":
		d.Ev.ID, d.Ev.Name, d.Ev.Namespace = tree.Text(v, "call_id"), tree.Text(v, "name"), tree.Text(v, "namespace")
		d.Ev.Custom = it.kind == "custom_tool_call"
		if d.Ev.ID == "" {
			d.Ev.ID = tree.Text(v, "id")
		}
		d.calls = true
		err := d.open(it, translate.ToolCall)
		d.Ev.ID, d.Ev.Name, d.Ev.Namespace, d.Ev.Custom = "", "", "", false
		return err
	}
	return nil
}

// open starts a block of the item.
func (d *decoder) open(it *item, part translate.PartKind) error {
	it.block, it.part = d.next, part
	d.next++
	d.Ev.Kind, d.Ev.Block, d.Ev.Part = translate.BlockStart, it.block, part
	return d.Emit()
}

func (d *decoder) close(it *item) error {
	if it.block < 0 {
		return nil
	}
	d.Ev = translate.Event{Kind: translate.BlockStop, Block: it.block, Part: it.part}
	it.block = -1
	return d.Emit()
}

// piece takes a piece of the item's block, which it opens if need be.
func (d *decoder) piece(it *item, part translate.PartKind, s string) error {
	if s == "" {
		return nil
	}
	if it.block >= 0 && it.part != part {
		if err := d.close(it); err != nil {
			return err
		}
	}
	if it.block < 0 {
		if err := d.open(it, part); err != nil {
			return err
		}
	}
	d.refused = d.refused || part == translate.Refusal
	d.Ev.Kind, d.Ev.Block, d.Ev.Part, d.Ev.Text = translate.Delta, it.block, part, s
	d.Ev.Custom = it.kind == "custom_tool_call"
	err := d.Emit()
	d.Ev.Text, d.Ev.Custom = "", false
	return err
}

// message takes a piece of a message, whose parts are blocks.
func (d *decoder) message(it *item, v *fastjson.Value, part translate.PartKind, s string) error {
	n, _ := tree.Int(v, "content_index")
	if int(n) != it.index {
		if err := d.close(it); err != nil {
			return err
		}
		d.Ev = translate.Event{}
		it.index, it.text, it.citations = int(n), false, 0
		it.parts++
	}
	it.text = it.text || s != ""
	if s == "" && it.block < 0 {
		return d.open(it, part)
	}
	return d.piece(it, part, s)
}

// messagePart takes a part of a message that is done, and what had not come of it
// in pieces.
func (d *decoder) messagePart(it *item, at, part *fastjson.Value) error {
	if tree.IsNull(part) {
		return nil
	}
	kind, member := translate.Text, "text"
	switch tree.Text(part, "type") {
	case "output_text":
	case "refusal":
		kind, member = translate.Refusal, "refusal"
	case "reasoning_text": // of an item of reasoning
		return nil
	default:
		return d.unknown("content_part", part)
	}
	text := tree.Text(part, member)
	if n, _ := tree.Int(at, "content_index"); int(n) == it.index && it.text {
		text = ""
	}
	citations := part.GetArray("annotations")
	if text == "" && len(citations) == 0 && it.block < 0 {
		return nil
	}
	if err := d.message(it, at, kind, text); err != nil {
		return err
	}
	for ; it.citations < len(citations); it.citations++ {
		if err := d.citation(it, citations[it.citations]); err != nil {
			return err
		}
	}
	if len(part.GetArray("logprobs")) > 0 {
		d.raw = append(rawjson.AppendValue(append(d.raw[:0], `{"content":`...), part.Get("logprobs")), `,"refusal":null}`...)
		d.Ev.Kind, d.Ev.Block, d.Ev.Part = translate.LogProbs, it.block, translate.Text
		d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), translate.OpenAI
		if err := d.Emit(); err != nil {
			return err
		}
	}
	return d.close(it)
}

func (d *decoder) citation(it *item, v *fastjson.Value) error {
	if tree.IsNull(v) || it.block < 0 {
		return nil
	}
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev.Kind, d.Ev.Block, d.Ev.Part = translate.Citation, it.block, it.part
	d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), translate.Responses
	err := d.Emit()
	d.Ev.Raw = ""
	return err
}

// summary takes a piece of a summary of reasoning; its parts are paragraphs of
// one text.
func (d *decoder) summary(it *item, index int, s string) error {
	if s == "" {
		return nil
	}
	it.summary = true
	if it.last >= 0 && index != it.last {
		if err := d.piece(it, translate.Reasoning, "\n\n"); err != nil {
			return err
		}
	}
	it.last = index
	return d.piece(it, translate.Reasoning, s)
}

// done takes an item that is complete.
func (d *decoder) done(it *item, v *fastjson.Value) error {
	if tree.IsNull(v) || v.Type() != fastjson.TypeObject {
		return answer.Broken("has an item of a wrong type")
	}
	if it.done {
		return nil
	}
	if it.kind == "" {
		if err := d.added(it, v); err != nil {
			return err
		}
	}
	it.done = true
	switch it.kind {
	case "message":
		for i, p := range v.GetArray("content") {
			if i < it.parts-1 || i == it.parts-1 && it.block < 0 && (it.text || it.citations > 0) {
				continue // it is done already
			}
			d.Ev = translate.Event{}
			if err := d.wholePart(it, i, p); err != nil {
				return err
			}
		}
	case "reasoning":
		return d.reasoningDone(it, v)
	case "function_call", "custom_tool_call":
		member := "arguments"
		if it.kind == "custom_tool_call" {
			member = "input"
		}
		if !it.text {
			s := tree.Text(v, member)
			if a := v.Get(member); a != nil && a.Type() == fastjson.TypeObject {
				s = string(rawjson.AppendValue(nil, a))
			}
			if err := d.piece(it, translate.ToolCall, s); err != nil {
				return err
			}
		}
	default:
		return d.server(it, v)
	}
	return d.close(it)
}

// wholePart takes a part of a message that is told at the end.
func (d *decoder) wholePart(it *item, i int, p *fastjson.Value) error {
	if i != it.index {
		if err := d.close(it); err != nil {
			return err
		}
		d.Ev = translate.Event{}
		it.index, it.text, it.citations = i, false, 0
		it.parts++
	}
	at := (&fastjson.Arena{}).NewObject()
	at.Set("content_index", (&fastjson.Arena{}).NewNumberInt(i))
	return d.messagePart(it, at, p)
}

func (d *decoder) reasoningDone(it *item, v *fastjson.Value) error {
	if !it.summary {
		for i, e := range v.GetArray("summary") {
			if err := d.summary(it, i, tree.Text(e, "text")); err != nil {
				return err
			}
		}
	}
	if !it.thoughts {
		for _, e := range v.GetArray("content") {
			if err := d.piece(it, translate.Reasoning, tree.Text(e, "text")); err != nil {
				return err
			}
		}
	}
	if s := tree.Text(v, "encrypted_content"); s != "" {
		if it.block < 0 {
			if err := d.open(it, translate.Reasoning); err != nil {
				return err
			}
		}
		d.Ev.Kind, d.Ev.Block, d.Ev.Part = translate.Signature, it.block, translate.Reasoning
		d.Ev.Text, d.Ev.SignedBy = translate.OpenSeal(s, translate.Responses)
		if err := d.Emit(); err != nil {
			return err
		}
	}
	return d.close(it)
}

// server hands on an item of the provider's own tools. An image that it made is
// content like any other.
func (d *decoder) server(it *item, v *fastjson.Value) error {
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), translate.Responses
	part := translate.Server
	if result := tree.Text(v, "result"); it.kind == "image_generation_call" && result != "" {
		part = translate.Image
		format := tree.Text(v, "output_format")
		if format == "" {
			format = "png"
		}
		d.Ev.Media = &translate.Media{Data: result, Type: "image/" + format}
	}
	if err := d.open(it, part); err != nil {
		return err
	}
	d.Ev.Raw, d.Ev.Media = "", nil
	return d.close(it)
}
