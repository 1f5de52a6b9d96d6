package ollama

import (
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// documentWriter writes a whole answer as one object.
type documentWriter struct {
	o      *translate.EncodeOptions
	shape  shape
	b      []byte
	losses *translate.Losses
}

func (w *documentWriter) write(a *translate.Answer) {
	var c translate.Choice
	if len(a.Choices) > 0 {
		c = a.Choices[0]
	}
	if len(a.Choices) > 1 {
		w.losses.Drop("choices", "Ollama gives one answer")
	}
	var text, thinking strings.Builder
	var calls []*translate.Block
	for i := range c.Blocks {
		b := &c.Blocks[i]
		if len(b.Citations) > 0 {
			w.losses.Drop("citations", "Ollama has no citations")
		}
		if len(b.Signature) > 0 || b.Redacted {
			w.losses.Drop("signature", "Ollama has no signatures")
		}
		switch b.Part {
		case translate.Text, translate.Refusal:
			text.Write(b.Text)
		case translate.Reasoning:
			if !b.Redacted {
				thinking.Write(b.Text)
			}
		case translate.ToolCall:
			calls = append(calls, b)
		case translate.Image, translate.Audio:
			w.losses.Drop("content", "Ollama answers in text")
		default:
			w.losses.Drop("content", "what a provider's own tool did has no place in Ollama's answers")
		}
	}
	w.b = w.shape.open(appendHead(w.b, a.Model, a.Created, w.o))
	w.b = rawjson.AppendString(w.b, text.String())
	if thinking.Len() > 0 {
		w.b = rawjson.AppendMember(w.b, "thinking", thinking.String())
	}
	if len(calls) > 0 {
		w.b = append(rawjson.AppendName(w.b, "tool_calls"), '[')
		for n, call := range calls {
			w.b = appendCall(w.b, call.ID, call.Name, call.Text, call.Custom, n, w.o, w.losses)
		}
		w.b = append(w.b, ']')
	}
	w.b = w.shape.close(w.b)
	w.logProbs(c.LogProbs)
	w.b = appendEnd(w.b, doneReason(c.Stop, c.Native, w.losses), &a.Usage, w.losses)
}

// logProbs joins the lists that came piece by piece.
func (w *documentWriter) logProbs(list []translate.LogProb) {
	begun := false
	for _, l := range list {
		inner, ok := strings.CutPrefix(l.Raw, "[")
		inner, closed := strings.CutSuffix(inner, "]")
		if l.RawFormat != translate.Ollama || !ok || !closed {
			w.losses.Drop("logprobs", "probabilities in another format")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "logprobs"), '['), true
		}
		if inner != "" {
			w.b = append(rawjson.AppendComma(w.b), inner...)
		}
	}
	if begun {
		w.b = append(w.b, ']')
	}
}
