package cohere

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
	d.BeforeClose = d.tellPlan
	return d
}

type decoder struct {
	answer.Texts
	raw []byte // scratch for JSON that is handed on

	usage   translate.Usage
	calls   []openCall
	plan    []byte // see tellPlan
	started bool
	over    bool // AnswerEnd or Failure is out
}

type openCall struct {
	index int64 // the provider's number
	block int
	open  bool
}

// finished is asked when the provider sent no more.
func (d *decoder) finished() error {
	if !d.over {
		return answer.Broken("ended before it was finished")
	}
	return nil
}

// event takes one event of a stream: see
// https://docs.cohere.com/v2/docs/streaming. Its type is in the data too, and
// not every server sends the name.
func (d *decoder) event(name, data []byte) error {
	data = bytes.TrimSpace(data)
	if d.over || string(data) == "[DONE]" {
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
	if kind == "" || kind == "error" {
		return d.fail(v)
	}
	// Of message-start nothing else is needed.
	if err := d.start(v); err != nil || kind == "message-start" {
		return err
	}
	message := v.Get("delta", "message")
	switch kind {
	case "content-start", "content-delta":
		if err := d.part(message.Get("content")); err != nil {
			return err
		}
		return d.logProbs(v.Get("logprobs"))
	case "content-end":
		return d.CloseTexts()
	case "tool-plan-delta":
		return d.takePlan(tree.Text(message, "tool_plan"))
	case "tool-call-start":
		return d.callStart(v, message.Get("tool_calls"))
	case "tool-call-delta":
		return d.callDelta(index(v), tree.Text(message.Get("tool_calls", "function"), "arguments"))
	case "tool-call-end":
		return d.callEnd(index(v))
	case "citation-start":
		return d.citations(message.Get("citations"))
	case "citation-end":
		return nil
	case "message-end":
		return d.end(v.Get("delta"))
	}
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev = translate.Event{Kind: translate.Unknown, Name: kind, Raw: tree.View(d.raw), RawFormat: Format}
	err = d.Emit()
	d.Ev = translate.Event{}
	return err
}

func index(v *fastjson.Value) int64 {
	n, _ := tree.Int(v, "index")
	return n
}

// document takes a whole answer.
func (d *decoder) document(v *fastjson.Value) error {
	m := v.Get("message")
	if tree.IsNull(m) || m.Type() != fastjson.TypeObject {
		if text := tree.Text(v, "message"); text != "" || v.Get("error") != nil {
			return d.fail(v)
		}
		return answer.Broken("is not one of Cohere's")
	}
	if err := d.start(v); err != nil {
		return err
	}
	for _, p := range m.GetArray("content") {
		if err := d.part(p); err != nil {
			return err
		}
	}
	if err := d.logProbs(v.Get("logprobs")); err != nil {
		return err
	}
	if err := d.citations(m.Get("citations")); err != nil {
		return err
	}
	if err := d.takePlan(tree.Text(m, "tool_plan")); err != nil {
		return err
	}
	for i, c := range m.GetArray("tool_calls") {
		if err := d.call(int64(i), c); err != nil {
			return err
		}
		if err := d.callEnd(int64(i)); err != nil {
			return err
		}
	}
	return d.end(v)
}

func (d *decoder) fail(v *fastjson.Value) error {
	e := &translate.Error{Kind: translate.ServerError, Message: "The provider failed without an explanation."}
	for _, name := range [...]string{"message", "error", "detail"} {
		if s := tree.Text(v, name); s != "" {
			e.Message = answer.Bounded(s)
			break
		}
	}
	return d.failure(e)
}

func (d *decoder) failure(e *translate.Error) error {
	d.over = true
	d.Ev = translate.Event{Kind: translate.Failure, Err: e}
	return d.Emit()
}

func (d *decoder) start(v *fastjson.Value) error {
	if d.started {
		return nil
	}
	d.started = true
	d.Ev = translate.Event{Kind: translate.AnswerStart, ID: tree.Text(v, "id")}
	err := d.Emit()
	d.Ev = translate.Event{}
	return err
}

// part takes a part of the content, or a piece of one.
func (d *decoder) part(v *fastjson.Value) error {
	if tree.IsNull(v) {
		return nil
	}
	if err := d.Piece(translate.Reasoning, tree.Text(v, "thinking")); err != nil {
		return err
	}
	return d.Piece(translate.Text, tree.Text(v, "text"))
}

// takePlan keeps a piece of the plan.
func (d *decoder) takePlan(s string) error {
	if len(d.plan)+len(s) > d.Options.MaxEvent {
		return answer.Broken("has a plan longer than the gateway takes")
	}
	d.plan = append(d.plan, s...)
	return nil
}

// tellPlan hands on what the model wrote about the calls it is going to make. It
// is neither meant for the user nor what the model reasoned, so no other format
// has a place for it.
func (d *decoder) tellPlan() error {
	if len(d.plan) == 0 {
		return nil
	}
	d.raw = append(d.raw[:0], `{"type":"tool-plan-delta","delta":{"message":{"tool_plan":`...)
	d.raw = append(rawjson.AppendString(d.raw, d.plan), "}}}"...)
	d.plan = d.plan[:0]
	d.Ev = translate.Event{Kind: translate.Unknown, Name: "tool_plan", Raw: tree.View(d.raw), RawFormat: Format}
	err := d.Emit()
	d.Ev = translate.Event{}
	return err
}

func (d *decoder) logProbs(v *fastjson.Value) error {
	if tree.IsNull(v) {
		return nil
	}
	return d.opaque(translate.LogProbs, v, d.TextBlock())
}

// citations takes one citation or a list of them. They may come when the text
// that they are about is closed.
func (d *decoder) citations(v *fastjson.Value) error {
	if tree.IsNull(v) {
		return nil
	}
	if v.Type() == fastjson.TypeArray {
		for _, c := range v.GetArray() {
			if err := d.citations(c); err != nil {
				return err
			}
		}
		return nil
	}
	if err := d.OpenText(); err != nil {
		return err
	}
	return d.opaque(translate.Citation, v, d.TextBlock())
}

// opaque hands on what only this format knows.
func (d *decoder) opaque(kind translate.EventKind, v *fastjson.Value, block int) error {
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev.Kind, d.Ev.Part, d.Ev.Block = kind, translate.Text, block
	d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), Format
	err := d.Emit()
	d.Ev.Raw, d.Ev.RawFormat = "", ""
	return err
}

// callStart takes the beginning of a call in a stream.
func (d *decoder) callStart(v, c *fastjson.Value) error {
	if !tree.IsNull(c) && c.Type() == fastjson.TypeArray && len(c.GetArray()) > 0 {
		c = c.GetArray()[0]
	}
	return d.call(index(v), c)
}

// maxCalls bounds what a provider can make the gateway remember.
const maxCalls = 1024

func (d *decoder) call(n int64, v *fastjson.Value) error {
	if tree.IsNull(v) || tree.IsNull(v.Get("function")) {
		return answer.Broken("has a tool call without a function")
	}
	if len(d.calls) >= maxCalls {
		return answer.Broken("has too many tool calls")
	}
	if err := d.CloseTexts(); err != nil {
		return err
	}
	if err := d.callEnd(n); err != nil { // one whose end was left out
		return err
	}
	d.Ev.ID, d.Ev.Name = tree.Text(v, "id"), tree.Text(v.Get("function"), "name")
	block, err := d.Open(translate.ToolCall)
	if err != nil {
		return err
	}
	d.Ev.ID, d.Ev.Name = "", ""
	d.calls = append(d.calls, openCall{index: n, block: block, open: true})
	return d.callDelta(n, tree.Text(v.Get("function"), "arguments"))
}

// find returns the open call with the number.
func (d *decoder) find(n int64) *openCall {
	for i := len(d.calls) - 1; i >= 0; i-- {
		if c := &d.calls[i]; c.index == n && c.open {
			return c
		}
	}
	return nil
}

func (d *decoder) callDelta(n int64, s string) error {
	c := d.find(n)
	if c == nil || s == "" {
		return nil
	}
	d.Ev.Kind, d.Ev.Part, d.Ev.Block, d.Ev.Text = translate.Delta, translate.ToolCall, c.block, s
	err := d.Emit()
	d.Ev.Text = ""
	return err
}

func (d *decoder) callEnd(n int64) error {
	c := d.find(n)
	if c == nil {
		return nil
	}
	c.open = false
	return d.Stop(c.block, translate.ToolCall)
}

// takeUsage reads the numbers of the model. What is billed is another thing: it
// leaves out what Cohere itself put into the prompt.
func (d *decoder) takeUsage(v *fastjson.Value) error {
	if tree.IsNull(v) {
		return nil
	}
	u := &d.usage
	counts := v.Get("tokens")
	if tree.IsNull(counts) {
		counts = v.Get("billed_units")
	}
	if tree.IsNull(counts) {
		return nil
	}
	if n, ok := tree.Int(counts, "input_tokens"); ok && n >= 0 {
		u.Input, u.HasInput = n, true
	}
	if n, ok := tree.Int(counts, "output_tokens"); ok && n >= 0 {
		u.Output, u.HasOutput = n, true
	}
	if n, ok := tree.Int(v, "cached_tokens"); ok && n >= 0 {
		u.CacheRead = n
	}
	d.Ev = translate.Event{Kind: translate.UsageUpdate, Usage: u}
	err := d.Emit()
	d.Ev = translate.Event{}
	return err
}

// end takes how the answer ended and closes what is open.
func (d *decoder) end(v *fastjson.Value) error {
	reason := tree.Text(v, "finish_reason")
	if reason == "" {
		return answer.Broken("ended before it was finished")
	}
	if err := d.CloseTexts(); err != nil {
		return err
	}
	for i := range d.calls {
		if d.calls[i].open {
			if err := d.callEnd(d.calls[i].index); err != nil {
				return err
			}
		}
	}
	if err := d.takeUsage(v.Get("usage")); err != nil {
		return err
	}
	switch reason {
	case "ERROR":
		return d.fail(v)
	case "TIMEOUT":
		return d.failure(&translate.Error{Kind: translate.Timeout, Message: "The provider took too long to answer."})
	}
	d.over = true
	d.Ev = translate.Event{Kind: translate.Finish, Stop: stopReason(reason), Native: reason}
	if err := d.Emit(); err != nil {
		return err
	}
	d.Ev = translate.Event{Kind: translate.AnswerEnd}
	return d.Emit()
}

func stopReason(s string) translate.StopReason {
	switch s {
	case "COMPLETE":
		return translate.StopEnd
	case "STOP_SEQUENCE":
		return translate.StopSequence
	case "MAX_TOKENS":
		return translate.StopLength
	case "TOOL_CALL":
		return translate.StopTools
	case "ERROR_LIMIT":
		return translate.StopContext
	case "ERROR_TOXIC":
		return translate.StopFiltered
	}
	return translate.StopUnknown
}
