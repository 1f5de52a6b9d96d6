package gemini

import (
	"strconv"
	"strings"
	"time"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/cite"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// NewEncoder implements [translate.Codec].
func (Codec) NewEncoder(o translate.EncodeOptions) translate.Encoder {
	if !o.Stream {
		return &answer.DocumentEncoder{Own: translate.Gemini, AppendError: Codec{}.AppendError, Write: func(b []byte, a *translate.Answer, losses *translate.Losses) []byte {
			return appendDocument(b, a, &o, losses)
		}}
	}
	w := &streamEncoder{o: o, before: "data: ", after: "\r\n\r\n"}
	if o.List {
		w.before, w.after = "[", ""
	}
	return w
}

// streamEncoder writes a piece for each piece of text, one for each call as soon
// as it is whole, and one at the end that has the reasons and the usage. A piece
// has the form of a whole answer.
type streamEncoder struct {
	o             translate.EncodeOptions
	before, after string
	b             []byte
	tail          []byte // what every piece ends with
	losses        translate.Losses
	choices       []streamChoice
	usage         translate.Usage
	over          bool
}

// A streamChoice is a candidate as far as it was written.
type streamChoice struct {
	pending  []byte // a signature for the next part
	calls    []heldCall
	count    int // calls so far
	stop     translate.StopReason
	native   string
	finished bool
	metadata metadata
	place    cite.Place
	logprobs []byte // elements, in the form of Chat Completions
}

// A heldCall is one whose arguments have not all come yet: clients of this format
// take calls only whole.
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

// Fail implements [translate.Encoder].
func (w *streamEncoder) Fail(e *translate.Error) {
	if w.over {
		return
	}
	w.over = true
	w.open()
	w.b = Codec{}.AppendError(w.b, e)
	w.shut()
	if w.o.List {
		w.b = append(w.b, "]\r\n"...)
	}
}

// open begins a piece, and shut ends it.
func (w *streamEncoder) open() {
	w.b = append(w.b, w.before...)
	if w.o.List {
		w.before = ",\r\n"
	}
}

func (w *streamEncoder) shut() { w.b = append(w.b, w.after...) }

func (w *streamEncoder) choice(n int) *streamChoice {
	for len(w.choices) <= n {
		w.choices = append(w.choices, streamChoice{})
	}
	return &w.choices[n]
}

// Event implements [translate.Sink].
func (w *streamEncoder) Event(e *translate.Event) error {
	if w.over {
		return nil
	}
	switch e.Kind {
	case translate.AnswerStart:
		w.tail = appendTail(w.tail[:0], e.ID, e.Name, e.Created, &w.o)
		if e.Usage != nil {
			w.usage = *e.Usage
		}
	case translate.BlockStart:
		w.block(e)
	case translate.Delta:
		w.delta(e)
	case translate.Signature:
		c := w.choice(e.Choice)
		if len(c.pending) == 0 && e.SignedBy != translate.Gemini && e.SignedBy != "" {
			c.pending = append(c.pending, sealPlace(e.SignedBy)...)
		}
		c.pending = append(c.pending, e.Text...)
	case translate.Citation:
		c := w.choice(e.Choice)
		c.metadata.cite(e.Raw, e.RawFormat, &c.place, &w.losses)
	case translate.LogProbs:
		c := w.choice(e.Choice)
		var ok bool
		if c.logprobs, ok = appendElements(c.logprobs, e.Raw, e.RawFormat); !ok {
			w.losses.Drop("logprobs", "probabilities in the form of another format")
		}
	case translate.BlockStop:
		w.blockStop(e)
	case translate.UsageUpdate:
		w.usage = *e.Usage
	case translate.Finish:
		c := w.choice(e.Choice)
		c.stop, c.native, c.finished = e.Stop, strings.Clone(e.Native), true
	case translate.AnswerEnd:
		w.end()
	case translate.Failure:
		w.Fail(e.Err)
	case translate.Unknown:
		if e.RawFormat == translate.Gemini {
			w.choice(e.Choice).metadata.keep(e.Name, e.Raw)
		} else {
			w.losses.Drop(e.Name, "an event that only its own format knows")
		}
	}
	return nil
}

// A signature of several pieces is sealed when it is whole; until then its maker
// stands in front of it, behind this byte.
const sealMark = '\x00'

func sealPlace(by translate.Format) []byte { return append([]byte{sealMark}, by+"\x00"...) }

// sealed returns a signature as a client gets it.
func sealed(pending []byte) string {
	if len(pending) == 0 || pending[0] != sealMark {
		return string(pending)
	}
	by, signature, _ := strings.Cut(string(pending[1:]), "\x00")
	return translate.SealBase64(translate.Format(by), signature)
}

// piece begins a piece with a part of one candidate, and part ends it.
func (w *streamEncoder) piece() {
	w.open()
	w.b = append(w.b, `{"candidates":[{"content":{"parts":[{`...)
}

func (w *streamEncoder) part(choice int) {
	if c := w.choice(choice); len(c.pending) > 0 {
		w.b = rawjson.AppendMember(w.b, "thoughtSignature", sealed(c.pending))
		c.pending = c.pending[:0]
	}
	w.raw(choice)
}

// raw ends a piece whose part bears no signature.
func (w *streamEncoder) raw(choice int) {
	w.b = append(w.b, `}],"role":"model"},"index":`...)
	w.b = append(strconv.AppendInt(w.b, int64(choice), 10), "}]"...)
	w.finishPiece()
}

func (w *streamEncoder) finishPiece() {
	if w.tail == nil {
		w.tail = appendTail(nil, "", "", 0, &w.o)
	}
	w.b = append(w.b, w.tail...)
	w.shut()
}

// flush writes a signature that no part follows.
func (w *streamEncoder) flush(choice int) {
	if len(w.choice(choice).pending) > 0 {
		w.piece()
		w.b = append(w.b, `"text":""`...)
		w.part(choice)
	}
}

func (w *streamEncoder) block(e *translate.Event) {
	c := w.choice(e.Choice)
	switch e.Part {
	case translate.Text:
		c.place.Begin()
	case translate.ToolCall:
		c.calls = append(c.calls, heldCall{block: e.Block, id: strings.Clone(e.ID), name: strings.Clone(e.Name), custom: e.Custom})
	case translate.Reasoning:
		w.flush(e.Choice)
		if e.Redacted {
			c.pending = append(append(append(c.pending, sealPlace(e.SignedBy)...), redactedMark...), e.Text...)
		}
	case translate.Image, translate.Audio:
		if e.Media == nil || e.Media.Data == "" && e.Media.URL == "" {
			w.losses.Drop("content", "an image or a sound whose bytes are not told")
			return
		}
		w.piece()
		w.b = appendMedia(w.b, e.Media)
		w.part(e.Choice)
	case translate.Server:
		if e.RawFormat != translate.Gemini {
			w.losses.Drop("content", "a block that only its own format knows")
			return
		}
		w.flush(e.Choice)
		w.piece()
		w.b = append(w.b[:len(w.b)-1], strings.TrimSuffix(e.Raw, "}")...)
		w.raw(e.Choice)
	case translate.Refusal:
		w.losses.Approximate("content", "a refusal became text")
	}
}

func (w *streamEncoder) delta(e *translate.Event) {
	switch e.Part {
	case translate.Text, translate.Refusal:
		w.choice(e.Choice).place.Add(e.Text)
		w.piece()
		w.b = rawjson.AppendString(append(w.b, `"text":`...), e.Text)
		w.part(e.Choice)
	case translate.Reasoning:
		w.piece()
		w.b = append(rawjson.AppendString(append(w.b, `"text":`...), e.Text), `,"thought":true`...)
		w.raw(e.Choice)
	case translate.ToolCall:
		c := w.choice(e.Choice)
		for i := range c.calls {
			if h := &c.calls[i]; h.block == e.Block {
				h.arguments = append(h.arguments, e.Text...)
			}
		}
	}
}

func (w *streamEncoder) blockStop(e *translate.Event) {
	c := w.choice(e.Choice)
	switch e.Part {
	case translate.Reasoning:
		if rest, ok := strings.CutPrefix(string(c.pending), onThought); ok {
			w.piece()
			w.b = rawjson.AppendMember(append(w.b, `"text":"","thought":true`...), "thoughtSignature", rest)
			c.pending = c.pending[:0]
			w.raw(e.Choice)
		}
	case translate.ToolCall:
		for i := range c.calls {
			h := c.calls[i]
			if h.block != e.Block {
				continue
			}
			c.calls = append(c.calls[:i], c.calls[i+1:]...)
			w.piece()
			w.b = appendCall(w.b, h.id, h.name, h.arguments, h.custom, e.Choice, c.count, &w.o, &w.losses)
			c.count++
			w.part(e.Choice)
			return
		}
	}
}

func (w *streamEncoder) end() {
	for i := range w.choices {
		w.flush(i)
	}
	w.over = true
	w.open()
	w.b = append(w.b, `{"candidates":[`...)
	for i := range w.choices {
		c := &w.choices[i]
		w.b = append(rawjson.AppendComma(w.b), `{"content":{"parts":[{"text":""}],"role":"model"}`...)
		w.b = appendEnd(w.b, i, c.stop, c.native, &c.metadata, c.logprobs, &w.losses)
	}
	w.b = append(w.b, ']')
	w.b = appendUsage(w.b, &w.usage)
	w.finishPiece()
	if w.o.List {
		w.b = append(w.b, "]\r\n"...)
	}
}

// appendTail appends what stands behind the candidates of every piece.
func appendTail(b []byte, id, model string, created int64, o *translate.EncodeOptions) []byte {
	if model == "" {
		model = o.Model
	}
	if id == "" {
		id = o.ID
	}
	b = rawjson.AppendString(append(b, `,"modelVersion":`...), model)
	b = rawjson.AppendMember(b, "responseId", id)
	if created != 0 {
		b = append(rawjson.AppendName(b, "createTime"), '"')
		b = append(time.Unix(created, 0).UTC().AppendFormat(b, time.RFC3339), '"')
	}
	return append(b, '}')
}

// appendCall appends the member of a call. Where the provider gave no id the
// client gets one that is unique in its conversation.
func appendCall(b []byte, id, name string, arguments []byte, custom bool, choice, n int, o *translate.EncodeOptions, losses *translate.Losses) []byte {
	b = append(b, `"functionCall":{"id":`...)
	if id != "" {
		b = rawjson.AppendString(b, id)
	} else {
		b = rawjson.AppendEscaped(append(b, `"call_`...), o.ID)
		if choice > 0 {
			b = strconv.AppendInt(append(b, '_'), int64(choice), 10)
		}
		b = append(strconv.AppendInt(append(b, '_'), int64(n), 10), '"')
	}
	b = rawjson.AppendMember(b, "name", name)
	b, exact := answer.AppendArguments(rawjson.AppendName(b, "args"), arguments, custom)
	if !exact {
		losses.Approximate("tool_calls", "arguments that are not a JSON object were wrapped in one")
	}
	return append(b, '}')
}

// appendMedia appends the member of an image or a sound.
func appendMedia(b []byte, m *translate.Media) []byte {
	if m.Data != "" {
		b = append(b, `"inlineData":{`...)
		b = rawjson.AppendMember(rawjson.AppendMember(b, "mimeType", m.Type), "data", m.Data)
	} else {
		b = append(b, `"fileData":{`...)
		b = rawjson.AppendMember(rawjson.AppendMember(b, "mimeType", m.Type), "fileUri", m.URL)
	}
	return append(b, '}')
}

// appendEnd appends how a candidate ended, with what was collected of it.
func appendEnd(b []byte, n int, stop translate.StopReason, native string, m *metadata, logprobs []byte, losses *translate.Losses) []byte {
	b = rawjson.AppendMember(b, "finishReason", finishReason(stop, native, losses))
	b = strconv.AppendInt(rawjson.AppendName(b, "index"), int64(n), 10)
	b = m.append(b)
	if len(logprobs) > 0 {
		b = appendLogProbsResult(b, logprobs)
	}
	return append(b, '}')
}

// finishReason returns Google's word for why a candidate ended.
func finishReason(s translate.StopReason, native string, losses *translate.Losses) string {
	switch s {
	case translate.StopEnd, translate.StopTools, translate.StopSequence:
		return "STOP"
	case translate.StopLength, translate.StopContext:
		return "MAX_TOKENS"
	case translate.StopFiltered, translate.StopRefused:
		if stopReason(native) == translate.StopFiltered {
			return native
		}
		return "SAFETY"
	case translate.StopPause:
		losses.Approximate("stop_reason", "a paused turn became one that was cut")
		return "MAX_TOKENS"
	case translate.StopError:
		if stopReason(native) == translate.StopError {
			return native
		}
	}
	return "OTHER"
}

// appendUsage appends the usage, see
// https://ai.google.dev/api/generate-content#UsageMetadata.
func appendUsage(b []byte, u *translate.Usage) []byte {
	number := func(name string, n int64) { b = strconv.AppendInt(rawjson.AppendName(b, name), n, 10) }
	thoughts := min(u.Reasoning, u.Billed()) // some providers state more than all
	b = append(rawjson.AppendName(b, "usageMetadata"), '{')
	number("promptTokenCount", u.Input)
	number("candidatesTokenCount", u.Billed()-thoughts)
	number("totalTokenCount", u.Total())
	if u.CacheRead > 0 {
		number("cachedContentTokenCount", u.CacheRead)
	}
	if thoughts > 0 {
		number("thoughtsTokenCount", thoughts)
	}
	if u.ToolInput > 0 {
		number("toolUsePromptTokenCount", u.ToolInput)
	}
	audio := func(name string, n, all int64) {
		if n > 0 {
			b = append(rawjson.AppendName(b, name), `[{"modality":"AUDIO","tokenCount":`...)
			b = append(strconv.AppendInt(b, n, 10), `},{"modality":"TEXT","tokenCount":`...)
			b = append(strconv.AppendInt(b, all-n, 10), "}]"...)
		}
	}
	audio("promptTokensDetails", u.InputAudio, u.Input)
	audio("candidatesTokensDetails", u.OutputAudio, u.Billed()-thoughts)
	return append(b, '}')
}
