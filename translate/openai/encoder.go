package openai

import (
	"strconv"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/cite"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// NewEncoder implements [translate.Codec].
func (Codec) NewEncoder(o translate.EncodeOptions) translate.Encoder {
	if o.Stream {
		return &streamEncoder{o: o}
	}
	return &answer.DocumentEncoder{AppendError: Codec{}.AppendError, Write: func(b []byte, a *translate.Answer, losses *translate.Losses) []byte {
		w := documentWriter{o: &o, b: b, losses: losses}
		w.write(a)
		return w.b
	}}
}

// streamEncoder writes chunks: the role in the first of a choice, one
// finish_reason, usage in a last chunk without choices if it was asked for, and
// the end mark.
type streamEncoder struct {
	o       translate.EncodeOptions
	b       []byte
	head    []byte // what all chunks begin with
	choices []streamChoice
	usage   *translate.Usage
	losses  translate.Losses
	over    bool
}

type streamChoice struct {
	begun bool
	calls []int // the number of a block's call, -1 for other blocks
	count int   // calls so far
	place cite.Place
}

// Bytes implements [translate.Encoder].
func (w *streamEncoder) Bytes() []byte { return w.b }

// Reset implements [translate.Encoder].
func (w *streamEncoder) Reset() { w.b = w.b[:0] }

// Losses implements [translate.Encoder].
func (w *streamEncoder) Losses() translate.Losses { return w.losses }

// Fail implements [translate.Encoder]. Official clients take a chunk with an
// error for the failure that it is; the end mark would make it look complete.
func (w *streamEncoder) Fail(e *translate.Error) {
	if w.over {
		return
	}
	w.over = true
	w.b = append(w.b, `data: {"error":`...)
	w.b = append(appendError(w.b, e), "}\n\n"...)
}

// Event implements [translate.Sink].
func (w *streamEncoder) Event(e *translate.Event) error {
	if w.over {
		return nil
	}
	switch e.Kind {
	case translate.AnswerStart:
		w.start(e)
	case translate.BlockStart:
		w.block(e)
	case translate.Delta:
		w.delta(e)
	case translate.Signature:
		if e.Part == translate.Reasoning {
			w.opaque(e, "")
		}
	case translate.Citation:
		w.citation(e)
	case translate.LogProbs:
		if e.RawFormat == translate.OpenAI {
			w.open(e.Choice)
			w.b = append(append(w.b, `},"logprobs":`...), e.Raw...)
			w.b = append(w.b, `,"finish_reason":null}]}`...)
			w.b = append(w.b, "\n\n"...)
		}
	case translate.UsageUpdate:
		u := *e.Usage
		w.usage = &u
	case translate.Finish:
		w.open(e.Choice)
		w.close(finishReason(e.Stop, w.choice(e.Choice).count > 0, &w.losses))
	case translate.AnswerEnd:
		w.end()
	case translate.Failure:
		w.Fail(e.Err)
	case translate.Unknown:
		w.losses.Drop(e.Name, "an event that only its own format knows")
	}
	return nil
}

func (w *streamEncoder) start(e *translate.Event) {
	if e.Usage != nil {
		u := *e.Usage
		w.usage = &u
	}
	w.head = appendHead(append(w.head[:0], "data: "...), "chat.completion.chunk", e.ID, e.Name, e.Created, &w.o)
}

// appendHead appends the beginning of an object, up to its choices.
func appendHead(b []byte, object, id, model string, created int64, o *translate.EncodeOptions) []byte {
	if id == "" {
		id = "chatcmpl-" + o.ID
	}
	if model == "" {
		model = o.Model
	}
	if created == 0 {
		created = o.Created
	}
	b = append(b, '{')
	b = rawjson.AppendMember(b, "id", id)
	b = rawjson.AppendMember(b, "object", object)
	b = strconv.AppendInt(rawjson.AppendName(b, "created"), created, 10)
	b = rawjson.AppendMember(b, "model", model)
	return append(b, `,"choices":[`...)
}

func (w *streamEncoder) choice(n int) *streamChoice {
	for len(w.choices) <= n {
		w.choices = append(w.choices, streamChoice{})
	}
	return &w.choices[n]
}

// open begins a chunk with a delta of the choice.
func (w *streamEncoder) open(n int) {
	if w.head == nil {
		w.start(&translate.Event{})
	}
	c := w.choice(n)
	w.b = append(append(w.b, w.head...), `{"index":`...)
	w.b = strconv.AppendInt(w.b, int64(n), 10)
	w.b = append(w.b, `,"delta":{`...)
	if !c.begun {
		c.begun = true
		w.b = append(w.b, `"role":"assistant","content":""},"finish_reason":null}]}`...)
		w.b = append(w.b, "\n\n"...)
		w.open(n)
	}
}

func (w *streamEncoder) close(finish string) {
	w.b = append(append(w.b, `},"finish_reason":`...), finish...)
	w.b = append(w.b, "}]}\n\n"...)
}

func (w *streamEncoder) block(e *translate.Event) {
	c := w.choice(e.Choice)
	for len(c.calls) <= e.Block {
		c.calls = append(c.calls, -1)
	}
	switch e.Part {
	case translate.Text:
		c.place.Begin()
	case translate.ToolCall:
		n := c.count
		c.calls[e.Block] = n
		c.count++
		w.open(e.Choice)
		w.b = append(w.b, `"tool_calls":[{"index":`...)
		w.b = strconv.AppendInt(w.b, int64(n), 10)
		w.b = append(w.b, `,"id":`...)
		w.b = appendCallID(w.b, e.ID, w.o.ID, n)
		if e.Custom {
			w.b = append(w.b, `,"type":"custom","custom":{"name":`...)
			w.b = append(rawjson.AppendString(w.b, e.Name), `,"input":""}}]`...)
		} else {
			w.b = append(w.b, `,"type":"function","function":{"name":`...)
			w.b = append(rawjson.AppendString(w.b, e.Name), `,"arguments":""}}]`...)
		}
		w.close("null")
	case translate.Reasoning:
		if e.Redacted {
			w.opaque(e, redactedMark)
		}
	case translate.Image:
		if e.Media != nil {
			w.open(e.Choice)
			w.b = append(appendImage(append(w.b, `"images":[`...), e.Media), ']')
			w.close("null")
		}
	case translate.Audio:
		if e.Media != nil && e.Media.Data != "" {
			w.open(e.Choice)
			w.b = appendAudio(append(w.b, `"audio":`...), e.ID, e.Media)
			w.close("null")
		}
	case translate.Server:
		w.losses.Drop("content", "what a provider's own tool did has no place in Chat Completions")
	}
}

// opaque writes a signature, or reasoning that is nothing else, in the form that
// OpenRouter has for it: https://openrouter.ai/docs/use-cases/reasoning-tokens.
func (w *streamEncoder) opaque(e *translate.Event, mark string) {
	w.open(e.Choice)
	w.b = append(w.b, `"reasoning_details":[{"type":"reasoning.encrypted","data":`...)
	w.b = append(appendOpaque(w.b, e.SignedBy, mark, e.Text), "}]"...)
	w.close("null")
}

// appendOpaque appends a signature as a string, sealed if it is of another format.
func appendOpaque[S ~string | ~[]byte](b []byte, by translate.Format, mark string, text S) []byte {
	b = append(b, '"')
	if by != "" && by != translate.OpenAI {
		b = append(append(b, translate.Seal(by)...), mark...)
	}
	return append(rawjson.AppendEscaped(b, text), '"')
}

// appendImage appends an image of an answer in the form that OpenRouter has for
// it; OpenAI itself has none.
func appendImage(b []byte, m *translate.Media) []byte {
	b = append(b, `{"type":"image_url","image_url":{"url":`...)
	return append(appendDataURL(b, m), "}}"...)
}

func appendAudio(b []byte, id string, m *translate.Media) []byte {
	b = append(b, '{')
	if id != "" {
		b = rawjson.AppendMember(b, "id", id)
	}
	b = rawjson.AppendMember(b, "data", m.Data)
	return append(rawjson.AppendMember(b, "transcript", m.Name), '}')
}

// appendCallID appends the id of a call. Where the provider gave none the client
// gets one that is unique in its conversation.
func appendCallID(b []byte, id, answer string, n int) []byte {
	if id != "" {
		return rawjson.AppendString(b, id)
	}
	b = append(append(append(b, `"call_`...), answer...), '_')
	return append(strconv.AppendInt(b, int64(n), 10), '"')
}

func (w *streamEncoder) delta(e *translate.Event) {
	switch e.Part {
	case translate.Text:
		w.open(e.Choice)
		w.choice(e.Choice).place.Add(e.Text)
		w.b = rawjson.AppendString(append(w.b, `"content":`...), e.Text)
	case translate.Reasoning:
		w.open(e.Choice)
		w.b = rawjson.AppendString(append(w.b, `"reasoning_content":`...), e.Text)
	case translate.Refusal:
		w.open(e.Choice)
		w.b = rawjson.AppendString(append(w.b, `"refusal":`...), e.Text)
	case translate.ToolCall:
		c := w.choice(e.Choice)
		if e.Block < 0 || e.Block >= len(c.calls) || c.calls[e.Block] < 0 {
			return
		}
		w.open(e.Choice)
		w.b = append(w.b, `"tool_calls":[{"index":`...)
		w.b = strconv.AppendInt(w.b, int64(c.calls[e.Block]), 10)
		if e.Custom {
			w.b = append(w.b, `,"custom":{"input":`...)
		} else {
			w.b = append(w.b, `,"function":{"arguments":`...)
		}
		w.b = append(rawjson.AppendString(w.b, e.Text), "}}]"...)
	default:
		return
	}
	w.close("null")
}

func (w *streamEncoder) citation(e *translate.Event) {
	raw, ok := annotation(e.Raw, e.RawFormat, &w.choice(e.Choice).place)
	if !ok {
		w.losses.Drop("citations", "citations of another format")
		return
	}
	w.open(e.Choice)
	w.b = append(append(append(w.b, `"annotations":[`...), raw...), ']')
	w.close("null")
}

// annotation returns a citation as Chat Completions has it, if it is of a page.
func annotation(raw string, format translate.Format, place *cite.Place) (string, bool) {
	switch format {
	case translate.OpenAI:
		return raw, true
	case translate.Anthropic:
		page, ok := cite.Of(raw, format)
		if !ok {
			return "", false
		}
		place.Put(&page)
		return string(append(page.AppendMembers([]byte(`{"type":"url_citation","url_citation":{`)), "}}"...)), true
	case translate.Responses:
		v, err := fastjson.Parse(raw)
		if err != nil || tree.TextAt(v, "type") != "url_citation" {
			return "", false
		}
		v.Del("type")
		b := rawjson.AppendValue([]byte(`{"type":"url_citation","url_citation":`), v)
		return string(append(b, '}')), true
	}
	return "", false
}

func (w *streamEncoder) end() {
	if w.head == nil {
		w.start(&translate.Event{})
	}
	w.over = true
	if w.o.IncludeUsage && w.usage != nil {
		w.b = append(append(w.b, w.head...), `],"usage":`...)
		w.b = append(appendUsage(w.b, w.usage), "}\n\n"...)
	}
	w.b = append(w.b, "data: [DONE]\n\n"...)
}

// finishReason returns the JSON of why a choice ended. It follows from what was
// written: a choice with calls waits for their results.
func finishReason(s translate.StopReason, calls bool, losses *translate.Losses) string {
	switch s {
	case translate.StopLength, translate.StopContext:
		return `"length"`
	case translate.StopFiltered, translate.StopRefused:
		return `"content_filter"`
	case translate.StopPause:
		losses.Approximate("stop_reason", "a paused turn became one that was cut")
		return `"length"`
	}
	if calls {
		return `"tool_calls"`
	}
	return `"stop"`
}

func appendUsage(b []byte, u *translate.Usage) []byte {
	number := func(name string, n int64) {
		b = strconv.AppendInt(rawjson.AppendName(b, name), n, 10)
	}
	b = append(b, '{')
	number("prompt_tokens", u.Input)
	number("completion_tokens", u.Output)
	number("total_tokens", u.Total())
	b = append(rawjson.AppendName(b, "prompt_tokens_details"), '{')
	number("cached_tokens", u.CacheRead)
	if u.CacheWrite > 0 {
		number("cache_write_tokens", u.CacheWrite)
	}
	if u.InputAudio > 0 {
		number("audio_tokens", u.InputAudio)
	}
	b = append(b, '}')
	b = append(rawjson.AppendName(b, "completion_tokens_details"), '{')
	number("reasoning_tokens", u.Reasoning)
	if u.OutputAudio > 0 {
		number("audio_tokens", u.OutputAudio)
	}
	return append(b, "}}"...)
}
