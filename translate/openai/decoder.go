package openai

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
	d.Again = d.again
	return d
}

type decoder struct {
	answer.Input
	raw []byte // scratch for JSON that is handed on

	usage   translate.Usage
	choices []*choice
	started bool
	over    bool // AnswerEnd or Failure is out
}

// A choice is the state of one alternative. Open blocks are numbers, -1 is none.
type choice struct {
	next     int // number of the next block
	text     int
	thoughts int
	refusal  int
	calls    []openCall
	finish   translate.StopReason
	native   string
	finished bool
	any      bool // something was in it
}

// finished is asked when the provider sent no more.
func (d *decoder) finished() error {
	if d.over {
		return nil
	}
	// Some providers leave out the end mark. What they may not leave out is how
	// the answer ended.
	for _, c := range d.choices {
		if !c.finished && d.Options.Stream {
			return answer.Broken("ended before it was finished")
		}
	}
	if len(d.choices) == 0 {
		return answer.Broken("ended before it began")
	}
	return d.end()
}

// event takes the data of one event of a stream.
func (d *decoder) event(_, data []byte) error {
	if d.over {
		return nil
	}
	data = bytes.TrimSpace(data)
	if string(data) == "[DONE]" {
		for _, c := range d.choices {
			if !c.finished && !c.any {
				return answer.Broken("ended before it was finished")
			}
		}
		if len(d.choices) == 0 {
			return answer.Broken("ended before it began")
		}
		return d.end()
	}
	v, err := d.Object(data)
	if err != nil {
		return err
	}
	return d.chunk(v, "delta")
}

// document takes a whole answer, which has the form of a chunk with messages for
// deltas.
func (d *decoder) document(v *fastjson.Value) error {
	if v.Get("choices") == nil && v.Get("error") == nil {
		return answer.Broken("is not a chat completion")
	}
	return d.chunk(v, "message")
}

// chunk takes one chunk. delta is the member of a choice that has its content.
func (d *decoder) chunk(v *fastjson.Value, delta string) error {
	if e := v.Get("error"); !tree.IsNull(e) && len(v.GetArray("choices")) == 0 {
		return d.fail(v)
	}
	if err := d.start(v); err != nil {
		return err
	}
	for _, c := range v.GetArray("choices") {
		if err := d.choice(c, delta); err != nil {
			return err
		}
	}
	if d.over {
		return nil
	}
	return d.takeUsage(v)
}

func (d *decoder) fail(v *fastjson.Value) error {
	e := &translate.Error{Kind: translate.ServerError}
	ReadError(v, e)
	if n, ok := tree.Int(v, "error", "code"); ok && n >= 400 && n < 600 {
		e.Status, e.Kind = int(n), translate.KindOfStatus(int(n))
	}
	if e.Message == "" {
		e.Message = "The provider failed without an explanation."
	}
	d.over = true
	d.Ev = translate.Event{Kind: translate.Failure, Err: e}
	return d.Emit()
}

func (d *decoder) start(v *fastjson.Value) error {
	if d.started {
		return nil
	}
	d.started = true
	created, _ := tree.Int(v, "created")
	d.Ev = translate.Event{Kind: translate.AnswerStart, ID: tree.Text(v, "id"), Name: tree.Text(v, "model"), Created: created}
	return d.Emit()
}

// maxChoices bounds what a provider can make the gateway remember.
const maxChoices = 128

func (d *decoder) choice(v *fastjson.Value, delta string) error {
	n, _ := tree.Int(v, "index")
	if n < 0 || n >= maxChoices {
		return answer.Broken("has a choice with an impossible number")
	}
	for len(d.choices) <= int(n) {
		d.choices = append(d.choices, &choice{text: -1, thoughts: -1, refusal: -1})
	}
	c := d.choices[n]
	d.Ev = translate.Event{Choice: int(n)}
	if m := v.Get(delta); !tree.IsNull(m) {
		if m.Type() != fastjson.TypeObject {
			return answer.Broken("has a choice of a wrong type")
		}
		if err := d.delta(c, m); err != nil {
			return err
		}
	}
	if l := v.Get("logprobs"); !tree.IsNull(l) {
		d.raw = rawjson.AppendValue(d.raw[:0], l)
		d.Ev.Kind, d.Ev.Block, d.Ev.Part = translate.LogProbs, c.text, translate.Text
		d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), translate.OpenAI
		if err := d.Emit(); err != nil {
			return err
		}
		d.Ev = translate.Event{Choice: int(n)}
	}
	reason, ok := tree.String(v.Get("finish_reason"))
	if !ok || reason == "" {
		return nil
	}
	if reason == "error" {
		return d.fail(v)
	}
	c.finished, c.finish = true, stopReason(reason)
	c.native = string(append([]byte(nil), reason...))
	return nil
}

func stopReason(s string) translate.StopReason {
	switch s {
	case "stop", "eos", "end_turn":
		return translate.StopEnd
	case "length", "max_tokens", "model_length":
		return translate.StopLength
	case "tool_calls", "function_call", "tool_use":
		return translate.StopTools
	case "content_filter", "safety":
		return translate.StopFiltered
	case "refusal":
		return translate.StopRefused
	}
	return translate.StopUnknown
}

func (d *decoder) delta(c *choice, v *fastjson.Value) error {
	if err := d.reasoning(c, v); err != nil {
		return err
	}
	switch content := v.Get("content"); {
	case tree.IsNull(content):
	case content.Type() == fastjson.TypeString:
		s, _ := tree.String(content)
		if err := d.piece(c, translate.Text, s); err != nil {
			return err
		}
	case content.Type() == fastjson.TypeArray: // Mistral
		for _, p := range content.GetArray() {
			part, text := translate.Text, tree.Text(p, "text")
			if tree.Text(p, "type") == "thinking" {
				part, text = translate.Reasoning, thinkingText(p.Get("thinking"))
			}
			if err := d.piece(c, part, text); err != nil {
				return err
			}
		}
	default:
		return answer.Broken("has content of a wrong type")
	}
	if err := d.piece(c, translate.Refusal, tree.Text(v, "refusal")); err != nil {
		return err
	}
	for _, a := range v.GetArray("annotations") {
		if err := d.opaque(c, translate.Citation, a); err != nil {
			return err
		}
	}
	for _, i := range v.GetArray("images") { // OpenRouter
		if err := d.media(c, translate.Image, i); err != nil {
			return err
		}
	}
	if a := v.Get("audio"); !tree.IsNull(a) && !d.Options.Stream && tree.Text(a, "data") != "" {
		if err := d.media(c, translate.Audio, a); err != nil {
			return err
		}
	}
	for i, t := range v.GetArray("tool_calls") {
		if err := d.call(c, i, t); err != nil {
			return err
		}
	}
	if f := v.Get("function_call"); !tree.IsNull(f) && tree.Text(f, "name")+tree.Text(f, "arguments") != "" {
		return d.function(c, 0, "", f, "arguments", false)
	}
	return nil
}

// reasoning takes the reasoning of a delta from wherever the dialect has it.
func (d *decoder) reasoning(c *choice, v *fastjson.Value) error {
	details := v.GetArray("reasoning_details")
	plain := ""
	for _, name := range [...]string{"reasoning_content", "reasoning"} {
		if s := tree.Text(v, name); s != "" {
			plain = s
			break
		}
	}
	for _, e := range details {
		text := tree.Text(e, "text")
		if text == "" {
			text = tree.Text(e, "summary")
		}
		if plain == "" {
			if err := d.piece(c, translate.Reasoning, text); err != nil {
				return err
			}
		}
	}
	if err := d.piece(c, translate.Reasoning, plain); err != nil {
		return err
	}
	for _, e := range details {
		for _, name := range [...]string{"signature", "data"} {
			if err := d.signature(c, tree.Text(e, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *decoder) signature(c *choice, s string) error {
	if s == "" {
		return nil
	}
	if c.thoughts < 0 {
		if err := d.open(c, translate.Reasoning, &c.thoughts); err != nil {
			return err
		}
	}
	d.Ev.Kind, d.Ev.Part, d.Ev.Block = translate.Signature, translate.Reasoning, c.thoughts
	d.Ev.Text, d.Ev.SignedBy = translate.OpenSeal(s, translate.OpenAI)
	return d.Emit()
}

// piece takes a piece of text of the kind.
func (d *decoder) piece(c *choice, part translate.PartKind, s string) error {
	if s == "" {
		return nil
	}
	block := &c.text
	switch part {
	case translate.Reasoning:
		block = &c.thoughts
	case translate.Refusal:
		block = &c.refusal
	}
	if *block < 0 {
		if err := d.open(c, part, block); err != nil {
			return err
		}
	}
	d.Ev.Kind, d.Ev.Part, d.Ev.Block, d.Ev.Text = translate.Delta, part, *block, s
	err := d.Emit()
	d.Ev.Text = ""
	return err
}

// open starts a block, after those of other kinds are closed.
func (d *decoder) open(c *choice, part translate.PartKind, block *int) error {
	if err := d.closeOthers(c); err != nil {
		return err
	}
	*block = c.next
	c.next++
	c.any = true
	d.Ev.Kind, d.Ev.Part, d.Ev.Block, d.Ev.Text = translate.BlockStart, part, *block, ""
	return d.Emit()
}

// closeOthers stops what is open, but for calls whose arguments are not complete:
// some providers stream several at once.
func (d *decoder) closeOthers(c *choice) error {
	for _, b := range [...]struct {
		block *int
		part  translate.PartKind
	}{{&c.thoughts, translate.Reasoning}, {&c.text, translate.Text}, {&c.refusal, translate.Refusal}} {
		if *b.block >= 0 {
			if err := d.stop(*b.block, b.part); err != nil {
				return err
			}
			*b.block = -1
		}
	}
	for i := range c.calls {
		if t := &c.calls[i]; t.open && t.balance.Complete() {
			t.open = false
			if err := d.stop(t.block, translate.ToolCall); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *decoder) stop(block int, part translate.PartKind) error {
	d.Ev.Kind, d.Ev.Part, d.Ev.Block, d.Ev.Text = translate.BlockStop, part, block, ""
	return d.Emit()
}

// opaque hands on what only this format knows, at the last text block.
func (d *decoder) opaque(c *choice, kind translate.EventKind, v *fastjson.Value) error {
	if c.text < 0 {
		if err := d.open(c, translate.Text, &c.text); err != nil {
			return err
		}
	}
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev.Kind, d.Ev.Block, d.Ev.Part = kind, c.text, translate.Text
	d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), translate.OpenAI
	err := d.Emit()
	d.Ev.Raw = ""
	return err
}

func (d *decoder) media(c *choice, part translate.PartKind, v *fastjson.Value) error {
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	var block int
	if err := d.closeOthers(c); err != nil {
		return err
	}
	block = c.next
	c.next++
	c.any = true
	d.Ev.Kind, d.Ev.Part, d.Ev.Block, d.Ev.ID = translate.BlockStart, part, block, tree.Text(v, "id")
	d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), translate.OpenAI
	m := translate.Media{Data: tree.Text(v, "data"), Name: tree.Text(v, "transcript")}
	if u := v.Get("image_url"); !tree.IsNull(u) {
		m.URL = tree.Text(u, "url")
		m.SplitDataURL()
	}
	d.Ev.Media = &m
	if err := d.Emit(); err != nil {
		return err
	}
	d.Ev.ID, d.Ev.Raw, d.Ev.Media = "", "", nil
	return d.stop(block, part)
}

// end closes what is open and tells how each choice ended.
func (d *decoder) end() error {
	d.over = true
	for i, c := range d.choices {
		d.Ev = translate.Event{Choice: i}
		if err := d.closeOthers(c); err != nil {
			return err
		}
		for j := range c.calls {
			if t := &c.calls[j]; t.open {
				t.open = false
				if err := d.stop(t.block, translate.ToolCall); err != nil {
					return err
				}
			}
		}
		stop := c.finish
		if !c.finished {
			stop = translate.StopUnknown
		}
		d.Ev = translate.Event{Kind: translate.Finish, Choice: i, Stop: stop, Native: c.native}
		if err := d.Emit(); err != nil {
			return err
		}
	}
	d.Ev = translate.Event{Kind: translate.AnswerEnd}
	return d.Emit()
}
