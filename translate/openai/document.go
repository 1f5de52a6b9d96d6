package openai

import (
	"strconv"
	"strings"

	"github.com/nine-router/nine-router/translate"
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
	w.b = appendHead(w.b, "chat.completion", a.ID, a.Model, a.Created, w.o)
	for i := range a.Choices {
		w.choice(i, &a.Choices[i])
	}
	w.b = append(w.b, `],"usage":`...)
	w.b = append(appendUsage(w.b, &a.Usage), '}')
}

func (w *documentWriter) choice(n int, c *translate.Choice) {
	var text, thoughts, refusal strings.Builder
	var calls []*translate.Block
	var details, citations, images []string
	said, audio := false, ""
	var place cite.Place
	for i := range c.Blocks {
		switch b := &c.Blocks[i]; b.Part {
		case translate.Text:
			said = true
			text.Write(b.Text)
			place.Begin()
			place.Add(string(b.Text))
			for _, c := range b.Citations {
				if raw, ok := annotation(c.Raw, c.RawFormat, &place); ok {
					citations = append(citations, raw)
				} else {
					w.losses.Drop("citations", "citations of another format")
				}
			}
		case translate.Reasoning:
			opaque, mark := b.Signature, ""
			if b.Redacted {
				opaque, mark = b.Text, redactedMark
			} else {
				thoughts.Write(b.Text)
			}
			if len(opaque) > 0 {
				details = append(details, string(append(appendOpaque([]byte(`{"type":"reasoning.encrypted","data":`), b.SignedBy, mark, opaque), '}')))
			}
		case translate.Refusal:
			refusal.Write(b.Text)
		case translate.ToolCall:
			calls = append(calls, b)
		case translate.Image:
			if b.Media != nil {
				images = append(images, string(appendImage(nil, b.Media)))
			}
		case translate.Audio:
			if b.RawFormat == translate.OpenAI {
				audio = b.Raw
			} else if b.Media != nil {
				audio = string(appendAudio(nil, b.ID, b.Media))
			}
		default:
			w.losses.Drop("content", "what a provider's own tool did has no place in Chat Completions")
		}
	}
	w.b = append(rawjson.AppendComma(w.b), `{"index":`...)
	w.b = strconv.AppendInt(w.b, int64(n), 10)
	w.b = append(w.b, `,"message":{"role":"assistant","content":`...)
	if said || len(calls) == 0 && refusal.Len() == 0 {
		w.b = rawjson.AppendString(w.b, text.String())
	} else {
		w.b = append(w.b, "null"...)
	}
	if thoughts.Len() > 0 {
		w.b = rawjson.AppendMember(w.b, "reasoning_content", thoughts.String())
	}
	w.list("reasoning_details", details)
	if refusal.Len() > 0 {
		w.b = rawjson.AppendMember(w.b, "refusal", refusal.String())
	}
	w.list("annotations", citations)
	w.list("images", images)
	if audio != "" {
		w.b = rawjson.AppendRaw(w.b, "audio", audio)
	}
	w.calls(calls)
	w.b = append(w.b, '}')
	for _, l := range c.LogProbs {
		if l.RawFormat == translate.OpenAI {
			w.b = rawjson.AppendRaw(w.b, "logprobs", l.Raw)
			break
		}
	}
	w.b = rawjson.AppendRaw(w.b, "finish_reason", finishReason(c.Stop, len(calls) > 0, w.losses))
	w.b = append(w.b, '}')
}

func (w *documentWriter) list(name string, raw []string) {
	if len(raw) == 0 {
		return
	}
	w.b = append(rawjson.AppendName(w.b, name), '[')
	for _, r := range raw {
		w.b = append(rawjson.AppendComma(w.b), r...)
	}
	w.b = append(w.b, ']')
}

func (w *documentWriter) calls(calls []*translate.Block) {
	if len(calls) == 0 {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "tool_calls"), '[')
	for n, c := range calls {
		w.b = append(rawjson.AppendComma(w.b), `{"id":`...)
		w.b = appendCallID(w.b, c.ID, w.o.ID, n)
		kind, member, text := "function", "arguments", c.Text
		if c.Custom {
			kind, member = "custom", "input"
		} else if len(text) == 0 {
			text = []byte("{}")
		}
		w.b = rawjson.AppendMember(w.b, "type", kind)
		w.b = append(rawjson.AppendName(w.b, kind), '{')
		w.b = rawjson.AppendMember(w.b, "name", c.Name)
		w.b = append(rawjson.AppendMember(w.b, member, text), "}}"...)
	}
	w.b = append(w.b, ']')
}
