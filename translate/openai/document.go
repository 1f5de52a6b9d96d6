package openai

import (
	"strconv"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// documentEncoder collects an answer and writes it as one object at the end.
type documentEncoder struct {
	o      translate.EncodeOptions
	all    translate.Collector
	b      []byte
	losses translate.Losses
	over   bool
}

// Bytes implements [translate.Encoder].
func (w *documentEncoder) Bytes() []byte { return w.b }

// Reset implements [translate.Encoder].
func (w *documentEncoder) Reset() { w.b = w.b[:0] }

// Losses implements [translate.Encoder].
func (w *documentEncoder) Losses() translate.Losses { return w.losses }

// Fail implements [translate.Encoder].
func (w *documentEncoder) Fail(e *translate.Error) {
	if !w.over {
		w.over = true
		w.b = Codec{}.AppendError(w.b, e)
	}
}

// Event implements [translate.Sink].
func (w *documentEncoder) Event(e *translate.Event) error {
	if w.over {
		return nil
	}
	switch e.Kind {
	case translate.Failure:
		w.Fail(e.Err)
		return nil
	case translate.Unknown:
		w.losses.Drop(e.Name, "an event that only its own format knows")
	}
	if err := w.all.Event(e); err != nil {
		return err
	}
	if e.Kind == translate.AnswerEnd {
		w.over = true
		w.write(&w.all.Answer)
	}
	return nil
}

func (w *documentEncoder) write(a *translate.Answer) {
	w.b = appendHead(w.b, "chat.completion", a.ID, a.Model, a.Created, &w.o)
	for i := range a.Choices {
		w.choice(i, &a.Choices[i])
	}
	w.b = append(w.b, `],"usage":`...)
	w.b = append(appendUsage(w.b, &a.Usage), '}')
}

func (w *documentEncoder) choice(n int, c *translate.Choice) {
	var text, thoughts, refusal strings.Builder
	var calls []*translate.Block
	var details, citations, images []string
	said, audio := false, ""
	for i := range c.Blocks {
		switch b := &c.Blocks[i]; b.Part {
		case translate.Text:
			said = true
			text.Write(b.Text)
			for _, raw := range b.Citations {
				if !strings.Contains(raw, `"url_citation"`) {
					w.losses.Drop("citations", "citations of another format")
					continue
				}
				citations = append(citations, raw)
			}
		case translate.Reasoning:
			opaque := b.Signature
			if b.Redacted {
				opaque = b.Text
			} else {
				thoughts.Write(b.Text)
			}
			if len(opaque) > 0 {
				details = append(details, string(append(rawjson.AppendString([]byte(`{"type":"reasoning.encrypted","data":`), opaque), '}')))
			}
		case translate.Refusal:
			refusal.Write(b.Text)
		case translate.ToolCall:
			calls = append(calls, b)
		case translate.Image:
			if b.RawFormat == translate.OpenAI {
				images = append(images, b.Raw)
			}
		case translate.Audio:
			if b.RawFormat == translate.OpenAI {
				audio = b.Raw
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
	w.b = rawjson.AppendRaw(w.b, "finish_reason", finishReason(c.Stop, len(calls) > 0, &w.losses))
	w.b = append(w.b, '}')
}

func (w *documentEncoder) list(name string, raw []string) {
	if len(raw) == 0 {
		return
	}
	w.b = append(rawjson.AppendName(w.b, name), '[')
	for _, r := range raw {
		w.b = append(rawjson.AppendComma(w.b), r...)
	}
	w.b = append(w.b, ']')
}

func (w *documentEncoder) calls(calls []*translate.Block) {
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
