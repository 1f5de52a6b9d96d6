package ollama

import (
	"bytes"
	"time"

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
	d.OnEvent, d.OnDocument, d.OnEnd = d.line, d.document, d.finished
	return d
}

type decoder struct {
	answer.Texts
	rest []byte // the beginning of a line whose end has not come yet
	raw  []byte // scratch for JSON that is handed on

	usage   translate.Usage
	calls   int
	started bool
	over    bool // AnswerEnd or Failure is out
}

// Write implements [translate.Decoder]. A stream here is no event stream but
// lines of JSON (https://docs.ollama.com/api/streaming).
func (d *decoder) Write(p []byte) (int, error) {
	if !d.Options.Stream {
		return d.Input.Write(p)
	}
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		piece := p
		if end >= 0 {
			piece = p[:end]
		}
		if len(d.rest)+len(piece) > d.Options.MaxEvent {
			return 0, answer.Broken("has an event longer than the gateway takes")
		}
		if end < 0 {
			d.rest = append(d.rest, piece...)
			break
		}
		p = p[end+1:]
		if len(d.rest) > 0 {
			d.rest = append(d.rest, piece...)
			piece = d.rest
		}
		err := d.Take(nil, piece)
		d.rest = d.rest[:0]
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// Close implements [translate.Decoder]. The last line may lack its end.
func (d *decoder) Close() error {
	if !d.Options.Stream {
		return d.Input.Close()
	}
	if len(d.rest) > 0 {
		err := d.Take(nil, d.rest)
		d.rest = nil
		if err != nil {
			return err
		}
	}
	return d.finished()
}

// finished is asked when the provider sent no more.
func (d *decoder) finished() error {
	if !d.over {
		return answer.Broken("ended before it was finished")
	}
	return nil
}

// line takes one line of a stream.
func (d *decoder) line(_, data []byte) error {
	data = bytes.TrimSpace(data)
	if d.over || len(data) == 0 {
		return nil
	}
	v, err := d.Object(data)
	if err != nil {
		return err
	}
	return d.chunk(v, v.GetBool("done"))
}

// document takes a whole answer, which has the form of a line.
func (d *decoder) document(v *fastjson.Value) error {
	if v.Get("message") == nil && v.Get("response") == nil && v.Get("done") == nil && v.Get("error") == nil {
		return answer.Broken("is not one of Ollama's")
	}
	return d.chunk(v, v.Get("done") == nil || v.GetBool("done"))
}

// chunk takes a piece of an answer; last says that nothing follows.
func (d *decoder) chunk(v *fastjson.Value, last bool) error {
	if !tree.IsNull(v.Get("error")) {
		return d.fail(v)
	}
	if err := d.start(v); err != nil {
		return err
	}
	message, text := v.Get("message"), "content"
	if tree.IsNull(message) { // of /api/generate
		message, text = v, "response"
	} else if message.Type() != fastjson.TypeObject {
		return answer.Broken("has a message of a wrong type")
	}
	if err := d.Piece(translate.Reasoning, tree.Text(message, "thinking")); err != nil {
		return err
	}
	if err := d.Piece(translate.Text, tree.Text(message, text)); err != nil {
		return err
	}
	if l := v.Get("logprobs"); !tree.IsNull(l) {
		if err := d.logProbs(l); err != nil {
			return err
		}
	}
	for _, c := range message.GetArray("tool_calls") {
		if err := d.call(c); err != nil {
			return err
		}
	}
	if !last {
		return nil
	}
	return d.end(v)
}

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

func (d *decoder) start(v *fastjson.Value) error {
	if d.started {
		return nil
	}
	d.started = true
	d.Ev = translate.Event{Kind: translate.AnswerStart, Name: tree.Text(v, "model")}
	if t, err := time.Parse(time.RFC3339, tree.Text(v, "created_at")); err == nil {
		d.Ev.Created = t.Unix()
	}
	err := d.Emit()
	d.Ev = translate.Event{}
	return err
}

func (d *decoder) logProbs(v *fastjson.Value) error {
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev.Kind, d.Ev.Part, d.Ev.Block = translate.LogProbs, translate.Text, d.TextBlock()
	d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), translate.Ollama
	err := d.Emit()
	d.Ev.Raw, d.Ev.RawFormat = "", ""
	return err
}

// maxCalls bounds what a provider can make the gateway remember.
const maxCalls = 1024

// call takes a call, which always comes whole.
func (d *decoder) call(v *fastjson.Value) error {
	f := v.Get("function")
	if tree.IsNull(f) || f.Type() != fastjson.TypeObject {
		return answer.Broken("has a tool call without a function")
	}
	if d.calls++; d.calls > maxCalls {
		return answer.Broken("has too many tool calls")
	}
	if err := d.CloseTexts(); err != nil {
		return err
	}
	d.Ev.ID, d.Ev.Name = tree.Text(v, "id"), tree.Text(f, "name")
	block, err := d.Open(translate.ToolCall)
	if err != nil {
		return err
	}
	d.Ev.ID, d.Ev.Name = "", ""
	d.Ev.Kind, d.Ev.Text = translate.Delta, "{}"
	if a := f.Get("arguments"); !tree.IsNull(a) {
		if s, ok := tree.String(a); ok { // the habit of another format
			d.Ev.Text = s
		} else {
			d.raw = rawjson.AppendValue(d.raw[:0], a)
			d.Ev.Text = tree.View(d.raw)
		}
	}
	if err := d.Emit(); err != nil {
		return err
	}
	d.Ev.Text = ""
	return d.Stop(block, translate.ToolCall)
}

// end takes what the last piece tells of the whole.
func (d *decoder) end(v *fastjson.Value) error {
	if err := d.CloseTexts(); err != nil {
		return err
	}
	d.over = true
	// A prompt that was all in the cache has no count.
	if n, ok := tree.Int(v, "prompt_eval_count"); ok && n >= 0 {
		d.usage.Input, d.usage.HasInput = n, true
	}
	if n, ok := tree.Int(v, "eval_count"); ok && n >= 0 {
		d.usage.Output, d.usage.HasOutput = n, true
	}
	if d.usage.HasInput || d.usage.HasOutput {
		d.Ev = translate.Event{Kind: translate.UsageUpdate, Usage: &d.usage}
		if err := d.Emit(); err != nil {
			return err
		}
	}
	reason := tree.Text(v, "done_reason")
	d.Ev = translate.Event{Kind: translate.Finish, Stop: d.stopReason(reason), Native: reason}
	if err := d.Emit(); err != nil {
		return err
	}
	d.Ev = translate.Event{Kind: translate.AnswerEnd}
	return d.Emit()
}

// stopReason tells what a word means. Ollama has none for calls, and old versions
// have no word at all.
func (d *decoder) stopReason(s string) translate.StopReason {
	switch s {
	case "length":
		return translate.StopLength
	case "stop", "":
		if d.calls > 0 {
			return translate.StopTools
		}
		return translate.StopEnd
	}
	return translate.StopUnknown // load, unload
}
