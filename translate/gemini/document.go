package gemini

import (
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/cite"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// appendDocument appends a whole answer.
func appendDocument(b []byte, a *translate.Answer, o *translate.EncodeOptions, losses *translate.Losses) []byte {
	b = append(b, `{"candidates":[`...)
	for n := range a.Choices {
		c := &a.Choices[n]
		w := partsWriter{b: append(rawjson.AppendComma(b), `{"content":{"parts":[`...), choice: n, o: o, losses: losses}
		var m metadata
		var place cite.Place
		for i := range c.Blocks {
			w.block(&c.Blocks[i])
			if c.Blocks[i].Part == translate.Text {
				place.Begin()
				place.Add(string(c.Blocks[i].Text))
			}
			for _, s := range c.Blocks[i].Citations {
				m.cite(s.Raw, s.RawFormat, &place, losses)
			}
		}
		w.flush()
		for _, u := range a.Unknown {
			if u.Choice == n && u.RawFormat == translate.Gemini {
				m.keep(u.Name, u.Raw)
			}
		}
		var logprobs []byte
		for _, l := range c.LogProbs {
			var ok bool
			if logprobs, ok = appendElements(logprobs, l.Raw, l.RawFormat); !ok {
				losses.Drop("logprobs", "probabilities in the form of another format")
			}
		}
		b = append(w.b, `],"role":"model"}`...)
		b = appendEnd(b, n, c.Stop, c.Native, &m, logprobs, losses)
	}
	b = append(b, ']')
	b = appendUsage(b, &a.Usage)
	return appendTail(b, a.ID, a.Model, a.Created, o)
}

// A partsWriter writes the blocks of a candidate as parts, and puts signatures to
// the parts that follow them.
type partsWriter struct {
	b       []byte
	choice  int
	calls   int
	pending string // a signature
	o       *translate.EncodeOptions
	losses  *translate.Losses
}

func (w *partsWriter) flush() {
	if w.pending != "" {
		w.b = append(rawjson.AppendComma(w.b), `{"text":""`...)
		w.close()
	}
}

func (w *partsWriter) close() {
	if w.pending != "" {
		w.b = rawjson.AppendMember(w.b, "thoughtSignature", w.pending)
		w.pending = ""
	}
	w.b = append(w.b, '}')
}

func (w *partsWriter) block(k *translate.Block) {
	switch k.Part {
	case translate.Text, translate.Refusal:
		if k.Part == translate.Refusal {
			w.losses.Approximate("content", "a refusal became text")
		}
		w.b = rawjson.AppendMember(append(rawjson.AppendComma(w.b), '{'), "text", k.Text)
		w.close()
	case translate.Reasoning:
		w.flush()
		w.reasoning(k)
	case translate.ToolCall:
		w.b = append(rawjson.AppendComma(w.b), '{')
		w.b = appendCall(w.b, k.ID, k.Name, k.Text, k.Custom, w.choice, w.calls, w.o, w.losses)
		w.calls++
		w.close()
	case translate.Image, translate.Audio:
		if k.Media == nil || k.Media.Data == "" && k.Media.URL == "" {
			w.losses.Drop("content", "an image or a sound whose bytes are not told")
			return
		}
		w.b = appendMedia(append(rawjson.AppendComma(w.b), '{'), k.Media)
		w.close()
	default:
		if k.RawFormat != translate.Gemini {
			w.losses.Drop("content", "a block that only its own format knows")
			return
		}
		w.flush()
		w.b = append(rawjson.AppendComma(w.b), k.Raw...)
	}
}

func (w *partsWriter) reasoning(k *translate.Block) {
	signature := string(k.Signature)
	own := false
	switch {
	case k.Redacted:
		signature = translate.SealBase64(k.SignedBy, redactedMark+string(k.Text))
	case k.SignedBy == translate.Gemini || k.SignedBy == "":
		signature, own = strings.CutPrefix(signature, onThought)
	case signature != "":
		signature = translate.SealBase64(k.SignedBy, signature)
	}
	if len(k.Text) > 0 && !k.Redacted || own {
		text := k.Text
		w.b = rawjson.AppendMember(append(rawjson.AppendComma(w.b), '{'), "text", text)
		w.b = rawjson.AppendBool(w.b, "thought", true)
		if own {
			w.b = rawjson.AppendMember(w.b, "thoughtSignature", signature)
		}
		w.b = append(w.b, '}')
	}
	if !own {
		w.pending = signature
	}
}
