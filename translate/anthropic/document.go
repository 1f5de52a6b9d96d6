package anthropic

import (
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/cite"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// documentWriter writes a whole answer as one object.
type documentWriter struct {
	o      *translate.EncodeOptions
	b      []byte
	losses *translate.Losses
}

func (w *documentWriter) write(a *translate.Answer) {
	var c translate.Choice
	if len(a.Choices) > 0 {
		c = a.Choices[0]
	}
	if len(a.Choices) > 1 {
		w.losses.Drop("choices", "a message is one answer")
	}
	if len(c.LogProbs) > 0 {
		w.losses.Drop("logprobs", "a message tells no probabilities")
	}
	w.b = appendMessageHead(w.b, a.ID, a.Model, w.o)
	w.b = append(w.b, `"content":[`...)
	calls, refused := false, false
	for i := range c.Blocks {
		b := &c.Blocks[i]
		w.block(b, i)
		calls = calls || b.Part == translate.ToolCall
		refused = refused || b.Part == translate.Refusal
	}
	w.b = append(w.b, `],"stop_reason":`...)
	w.b = appendStop(w.b, c.Stop, c.StopSequence, calls, refused)
	w.b = append(w.b, `,"usage":`...)
	w.b = append(appendUsage(w.b, &a.Usage), '}')
}

func (w *documentWriter) block(b *translate.Block, n int) {
	switch b.Part {
	case translate.Image, translate.Audio:
		w.losses.Drop("content", "a message of an assistant holds no media")
		return
	case translate.Server:
		if b.RawFormat != translate.Anthropic {
			w.losses.Drop("content", "a block that only its own format knows")
			return
		}
		w.b = append(rawjson.AppendComma(w.b), b.Raw...)
		return
	}
	w.b = append(rawjson.AppendComma(w.b), '{')
	switch b.Part {
	case translate.Reasoning:
		if b.Redacted {
			w.b = rawjson.AppendMember(w.b, "type", "redacted_thinking")
			w.b = rawjson.AppendMember(w.b, "data", seal(b.SignedBy)+string(b.Text))
			break
		}
		w.b = rawjson.AppendMember(w.b, "type", "thinking")
		w.b = rawjson.AppendMember(w.b, "thinking", b.Text)
		signature := string(b.Signature)
		if signature != "" {
			signature = seal(b.SignedBy) + signature
		}
		w.b = rawjson.AppendMember(w.b, "signature", signature)
	case translate.ToolCall:
		w.b = rawjson.AppendMember(w.b, "type", "tool_use")
		w.b = appendCallID(rawjson.AppendName(w.b, "id"), b.ID, w.o.ID, n)
		w.b = rawjson.AppendMember(w.b, "name", b.Name)
		var ok bool
		if w.b, ok = answer.AppendArguments(rawjson.AppendName(w.b, "input"), string(b.Text), b.Custom); !ok {
			w.losses.Approximate("content", "arguments that are not a JSON object were wrapped in one")
		}
	default:
		w.b = rawjson.AppendMember(w.b, "type", "text")
		w.b = rawjson.AppendMember(w.b, "text", b.Text)
		w.citations(b)
	}
	w.b = append(w.b, '}')
}

func (w *documentWriter) citations(b *translate.Block) {
	begun := false
	for _, c := range b.Citations {
		raw, ok := location(c.Raw, c.RawFormat)
		if !ok {
			w.losses.Drop("citations", "citations of another format")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "citations"), '['), true
		}
		w.b = append(rawjson.AppendComma(w.b), raw...)
	}
	if begun {
		w.b = append(w.b, ']')
	}
}

// location returns a citation as Messages has it, if it is of a page.
func location(raw string, format translate.Format) (string, bool) {
	if format == translate.Anthropic {
		return raw, true
	}
	page, ok := cite.Of(raw, format)
	if !ok {
		return "", false
	}
	return string(page.AppendLocation(nil)), true
}
