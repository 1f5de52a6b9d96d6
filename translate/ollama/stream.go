package ollama

import (
	"slices"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// streamEncoder writes a line for each piece of text, one for each call as soon
// as it is whole, and one at the end.
type streamEncoder struct {
	o      translate.EncodeOptions
	shape  shape
	b      []byte
	head   []byte // what all lines begin with
	calls  []heldCall
	count  int // calls so far
	usage  translate.Usage
	stop   translate.StopReason
	native string
	losses translate.Losses
	over   bool
}

// A heldCall is one whose arguments have not all come yet: Ollama has no word for
// a part of a call.
type heldCall struct {
	block     int
	id, name  string
	custom    bool
	arguments []byte
}

// Bytes implements [translate.Encoder].
func (w *streamEncoder) Bytes() []byte { return w.b }

// Reset implements [translate.Encoder].
func (w *streamEncoder) Reset() { w.b = w.b[:0] }

// Losses implements [translate.Encoder].
func (w *streamEncoder) Losses() translate.Losses { return w.losses }

// Fail implements [translate.Encoder]. A line with an error is the last.
func (w *streamEncoder) Fail(e *translate.Error) {
	if !w.over {
		w.over = true
		w.b = append(Codec{}.AppendError(w.b, e), '\n')
	}
}

// Event implements [translate.Sink].
func (w *streamEncoder) Event(e *translate.Event) error {
	if w.over {
		return nil
	}
	if e.Choice > 0 {
		if e.Kind == translate.BlockStart && e.Block == 0 {
			w.losses.Drop("choices", "Ollama gives one answer")
		}
		return nil
	}
	switch e.Kind {
	case translate.AnswerStart:
		w.head = appendHead(w.head[:0], e.Name, e.Created, &w.o)
		if e.Usage != nil {
			w.usage = *e.Usage
		}
	case translate.BlockStart:
		w.block(e)
	case translate.Delta:
		w.delta(e)
	case translate.BlockStop:
		if e.Part == translate.ToolCall {
			w.call(e.Block)
		}
	case translate.Signature:
		w.losses.Drop("signature", "Ollama has no signatures")
	case translate.Citation:
		w.losses.Drop("citations", "Ollama has no citations")
	case translate.LogProbs:
		w.logProbs(e)
	case translate.UsageUpdate:
		w.usage = *e.Usage
	case translate.Finish:
		w.stop, w.native = e.Stop, strings.Clone(e.Native)
	case translate.AnswerEnd:
		w.over = true
		w.line()
		w.b = w.shape.close(append(w.b, `""`...))
		w.b = append(appendEnd(w.b, doneReason(w.stop, w.native, &w.losses), &w.usage, &w.losses), '\n')
	case translate.Failure:
		w.Fail(e.Err)
	case translate.Unknown:
		w.losses.Drop(e.Name, "an event that only its own format knows")
	}
	return nil
}

// line begins a line, up to the value of the text.
func (w *streamEncoder) line() {
	if w.head == nil {
		w.head = appendHead(nil, "", 0, &w.o)
	}
	w.b = w.shape.open(append(w.b, w.head...))
}

// more ends a line that is not the last.
func (w *streamEncoder) more() {
	w.b = append(w.shape.close(w.b), ",\"done\":false}\n"...)
}

func (w *streamEncoder) block(e *translate.Event) {
	switch e.Part {
	case translate.ToolCall:
		w.calls = append(w.calls, heldCall{block: e.Block, id: strings.Clone(e.ID), name: strings.Clone(e.Name), custom: e.Custom, arguments: []byte(e.Text)})
	case translate.Reasoning:
		if e.Redacted {
			w.losses.Drop("signature", "Ollama has no signatures")
		}
	case translate.Image, translate.Audio:
		w.losses.Drop("content", "Ollama answers in text")
	case translate.Server:
		w.losses.Drop("content", "what a provider's own tool did has no place in Ollama's answers")
	}
}

func (w *streamEncoder) delta(e *translate.Event) {
	switch e.Part {
	case translate.Text, translate.Refusal:
		w.line()
		w.b = rawjson.AppendString(w.b, e.Text)
		w.more()
	case translate.Reasoning:
		w.line()
		w.b = rawjson.AppendMember(append(w.b, `""`...), "thinking", e.Text)
		w.more()
	case translate.ToolCall:
		for i := range w.calls {
			if c := &w.calls[i]; c.block == e.Block {
				c.arguments = append(c.arguments, e.Text...)
			}
		}
	}
}

// call writes a call that is whole.
func (w *streamEncoder) call(block int) {
	i := slices.IndexFunc(w.calls, func(c heldCall) bool { return c.block == block })
	if i < 0 {
		return
	}
	c := w.calls[i]
	w.calls = slices.Delete(w.calls, i, i+1)
	w.line()
	w.b = append(w.b, `"","tool_calls":[`...)
	w.b = append(appendCall(w.b, c.id, c.name, c.arguments, c.custom, w.count, &w.o, &w.losses), ']')
	w.count++
	w.more()
}

func (w *streamEncoder) logProbs(e *translate.Event) {
	if e.RawFormat != translate.Ollama {
		w.losses.Drop("logprobs", "probabilities in another format")
		return
	}
	w.line()
	w.b = w.shape.close(append(w.b, `""`...))
	w.b = append(rawjson.AppendRaw(w.b, "logprobs", e.Raw), ",\"done\":false}\n"...)
}
