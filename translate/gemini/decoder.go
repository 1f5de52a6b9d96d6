package gemini

import (
	"bytes"
	"strings"
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
	d.OnEvent, d.OnDocument, d.OnEnd = d.event, d.chunk, d.finished
	d.Again = d.again
	d.OnStray = d.strayLine
	return d
}

// decoder reads the pieces of https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse.
// Nothing in them marks the last one, and some servers name a reason to finish in
// each: so an answer ends when the provider sends no more.
type decoder struct {
	answer.Input
	pieces *splitter // of a stream that is a JSON list; nil for an event stream
	framed bool      // which of them it is, is known
	stray  []byte    // lines that are none of an event stream's
	raw    []byte    // scratch for JSON that is handed on

	usage   translate.Usage
	choices []choice
	blocked string // the prompt was, for this reason
	started bool
	over    bool // AnswerEnd or Failure is out
}

// A choice is one candidate.
type choice struct {
	next   int // number of the next block
	block  int // the open one, if part is set
	part   translate.PartKind
	runes  runeMap // of its text
	call   *partialCall
	calls  bool
	seen   bool
	finish string
}

// Write implements [translate.Decoder]. The first byte tells an event stream from
// a list. A list has the media type of a document, so it may come where one was
// expected.
func (d *decoder) Write(p []byte) (int, error) {
	n := len(p)
	if !d.framed {
		if p = bytes.TrimLeft(p, " \t\r\n"); len(p) == 0 {
			return n, nil
		}
		d.framed = true
		if p[0] == '[' || p[0] == '{' && d.Options.Stream {
			d.pieces = &splitter{max: d.Options.MaxEvent, emit: func(object []byte) error { return d.Take(nil, object) }}
		}
	}
	if d.pieces == nil {
		_, err := d.Input.Write(p)
		return n, err
	}
	if err := d.pieces.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

// Close implements [translate.Decoder].
func (d *decoder) Close() error {
	if d.pieces == nil {
		return d.Input.Close()
	}
	if !d.over && !d.pieces.whole() {
		return answer.Broken("ended before it was finished")
	}
	return d.finished()
}

// strayLine keeps what may be a bare error behind the events.
func (d *decoder) strayLine(line []byte) error {
	if len(d.stray)+len(line) > 64<<10 || len(d.stray) == 0 && line[0] != '{' {
		return nil
	}
	d.stray = append(append(d.stray, line...), '\n')
	return nil
}

// finished is asked when the provider sent no more.
func (d *decoder) finished() error {
	if d.over {
		return nil
	}
	if len(d.stray) > 0 {
		if v, err := d.Parser.ParseBytes(d.stray); err == nil && v.Get("error") != nil {
			return d.fail(v)
		}
	}
	if d.blocked != "" && len(d.choices) == 0 {
		if err := d.start(nil); err != nil {
			return err
		}
		d.choices = append(d.choices, choice{seen: true, finish: d.blocked})
	}
	whole := len(d.choices) > 0
	for i := range d.choices {
		whole = whole && (!d.choices[i].seen || d.choices[i].finish != "")
	}
	if !whole {
		return answer.Broken("ended before it was finished")
	}
	for i := range d.choices {
		if err := d.finish(i); err != nil {
			return err
		}
	}
	d.over = true
	d.Ev = translate.Event{Kind: translate.AnswerEnd}
	return d.Emit()
}

func (d *decoder) finish(i int) error {
	c := &d.choices[i]
	if !c.seen {
		return nil
	}
	if err := d.closeAll(i); err != nil {
		return err
	}
	stop := stopReason(c.finish)
	if c.calls && stop == translate.StopEnd {
		stop = translate.StopTools
	}
	d.Ev = translate.Event{Kind: translate.Finish, Choice: i, Stop: stop, Native: c.finish}
	return d.Emit()
}

// stopReason tells what a word means, see
// https://ai.google.dev/api/generate-content#FinishReason and
// https://ai.google.dev/api/generate-content#BlockReason.
func stopReason(s string) translate.StopReason {
	switch s {
	case "STOP":
		return translate.StopEnd
	case "MAX_TOKENS":
		return translate.StopLength
	case "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "JAILBREAK",
		"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "BLOCKED_REASON_UNSPECIFIED":
		return translate.StopFiltered
	case "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE", "NO_IMAGE", "IMAGE_OTHER":
		return translate.StopError
	}
	return translate.StopUnknown
}

// again counts the text by which citations find their place.
func (d *decoder) again(e *translate.Event) bool {
	if e.Part == translate.Text {
		d.choices[e.Choice].runes.add(e.Text)
	}
	return true
}

// event takes one piece of a stream.
func (d *decoder) event(_, data []byte) error {
	if d.over {
		return nil
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 || string(data) == "[DONE]" { // an end mark of another format
		return nil
	}
	v, err := d.Object(data)
	if err != nil {
		return err
	}
	return d.chunk(v)
}

// chunk takes a piece, or a whole answer, which has the same form.
func (d *decoder) chunk(v *fastjson.Value) error {
	if r := v.Get("response"); r != nil && r.Type() == fastjson.TypeObject { // a wrapper of Google's own services
		v = r
	}
	if !tree.IsNull(v.Get("error")) {
		return d.fail(v)
	}
	candidates, feedback, usage := v.Get("candidates"), v.Get("promptFeedback"), v.Get("usageMetadata")
	if candidates == nil && feedback == nil && usage == nil {
		return answer.Broken("is not one of Gemini's")
	}
	if err := d.start(v); err != nil {
		return err
	}
	for k, c := range candidates.GetArray() {
		n, ok := tree.Int(c, "index")
		if !ok {
			n = int64(k)
		}
		if n < 0 || n >= maxChoices {
			return answer.Broken("has a candidate with an impossible number")
		}
		for len(d.choices) <= int(n) {
			d.choices = append(d.choices, choice{})
		}
		d.choices[n].seen = true
		if err := d.candidate(int(n), c); err != nil {
			return err
		}
	}
	if reason := tree.TextAt(feedback, "blockReason"); reason != "" {
		d.blocked = strings.Clone(reason)
	}
	return d.takeUsage(usage)
}

// maxChoices bounds what a provider can make the gateway remember.
const maxChoices = 128

func (d *decoder) start(v *fastjson.Value) error {
	if d.started {
		return nil
	}
	d.started = true
	d.Ev = translate.Event{Kind: translate.AnswerStart}
	if v != nil {
		d.Ev.ID, d.Ev.Name = tree.Text(v, "responseId"), tree.Text(v, "modelVersion")
		if t, err := time.Parse(time.RFC3339Nano, tree.Text(v, "createTime")); err == nil {
			d.Ev.Created = t.Unix()
		}
	}
	err := d.Emit()
	d.Ev = translate.Event{}
	return err
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

func (d *decoder) candidate(i int, v *fastjson.Value) error {
	d.Ev = translate.Event{Choice: i}
	for _, p := range v.Get("content", "parts").GetArray() {
		if p.Type() != fastjson.TypeObject {
			return answer.Broken("has a part of a wrong type")
		}
		if err := d.partOf(i, p); err != nil {
			return err
		}
	}
	if err := d.sources(i, v); err != nil {
		return err
	}
	if l := v.Get("logprobsResult"); !tree.IsNull(l) {
		d.raw = appendLogProbs(d.raw[:0], l)
		d.Ev = translate.Event{Kind: translate.LogProbs, Choice: i, Block: -1, Part: translate.Text, Raw: tree.View(d.raw), RawFormat: translate.OpenAI}
		if c := &d.choices[i]; c.part == translate.Text {
			d.Ev.Block = c.block
		}
		if err := d.Emit(); err != nil {
			return err
		}
	}
	if s := tree.Text(v, "finishReason"); s != "" && s != "FINISH_REASON_UNSPECIFIED" {
		d.choices[i].finish = strings.Clone(s)
	}
	return nil
}

// partOf takes a part, or a piece of one.
func (d *decoder) partOf(i int, v *fastjson.Value) error {
	signature := tree.Text(v, "thoughtSignature")
	if t := v.Get("text"); t != nil {
		s, _ := tree.String(t)
		kind := translate.Text
		if v.GetBool("thought") {
			kind = translate.Reasoning
			if err := d.piece(i, kind, s); err != nil || signature == "" {
				return err
			}
			return d.sign(i, onThought, signature)
		}
		if signature != "" {
			if err := d.sign(i, "", signature); err != nil {
				return err
			}
		}
		return d.piece(i, kind, s)
	}
	if c := v.Get("functionCall"); !tree.IsNull(c) {
		if signature != "" {
			if err := d.sign(i, "", signature); err != nil {
				return err
			}
		}
		return d.functionCall(i, c)
	}
	if m := v.Get("inlineData"); !tree.IsNull(m) {
		return d.media(i, m, signature)
	}
	if m := v.Get("fileData"); !tree.IsNull(m) {
		return d.media(i, m, signature)
	}
	empty := true
	v.GetObject().Visit(func(name []byte, _ *fastjson.Value) {
		empty = empty && (string(name) == "thoughtSignature" || string(name) == "thought")
	})
	if empty {
		if signature != "" {
			return d.sign(i, "", signature)
		}
		return nil
	}
	// What Google's own tools did.
	if err := d.closeAll(i); err != nil {
		return err
	}
	d.raw = rawjson.AppendValue(d.raw[:0], v)
	d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), translate.Gemini
	err := d.single(i, translate.Server)
	d.Ev.Raw, d.Ev.RawFormat = "", ""
	return err
}

// open starts a block after the one that is open was stopped.
func (d *decoder) open(i int, part translate.PartKind) error {
	if err := d.closeAll(i); err != nil {
		return err
	}
	c := &d.choices[i]
	c.block, c.part = c.next, part
	c.next++
	d.Ev.Kind, d.Ev.Choice, d.Ev.Block, d.Ev.Part = translate.BlockStart, i, c.block, part
	return d.Emit()
}

// closeAll stops what is open of a candidate.
func (d *decoder) closeAll(i int) error {
	c := &d.choices[i]
	if c.call != nil {
		if err := d.endCall(i); err != nil {
			return err
		}
	}
	if c.part == 0 {
		return nil
	}
	raw, format, media := d.Ev.Raw, d.Ev.RawFormat, d.Ev.Media
	d.Ev = translate.Event{Kind: translate.BlockStop, Choice: i, Block: c.block, Part: c.part}
	c.part = 0
	err := d.Emit()
	d.Ev = translate.Event{Choice: i, Raw: raw, RawFormat: format, Media: media}
	return err
}

// single hands on a block that is whole at once.
func (d *decoder) single(i int, part translate.PartKind) error {
	if err := d.open(i, part); err != nil {
		return err
	}
	return d.closeAll(i)
}

func (d *decoder) piece(i int, part translate.PartKind, s string) error {
	if s == "" {
		return nil
	}
	c := &d.choices[i]
	if c.part != part || c.call != nil {
		if err := d.open(i, part); err != nil {
			return err
		}
	}
	if part == translate.Text {
		c.runes.add(s)
	}
	d.Ev.Kind, d.Ev.Choice, d.Ev.Block, d.Ev.Part, d.Ev.Text = translate.Delta, i, c.block, part, s
	err := d.Emit()
	d.Ev.Text = ""
	return err
}

// sign puts a signature to the thinking that is open, or to an empty one.
func (d *decoder) sign(i int, mark, signature string) error {
	c := &d.choices[i]
	if c.part != translate.Reasoning || c.call != nil {
		if err := d.open(i, translate.Reasoning); err != nil {
			return err
		}
	}
	d.Ev.Kind, d.Ev.Choice, d.Ev.Block, d.Ev.Part = translate.Signature, i, c.block, translate.Reasoning
	d.Ev.Text, d.Ev.SignedBy = signature, translate.Gemini
	if mark != "" {
		d.raw = append(append(d.raw[:0], mark...), signature...)
		d.Ev.Text = tree.View(d.raw)
	}
	err := d.Emit()
	d.Ev.Text, d.Ev.SignedBy = "", ""
	if err != nil {
		return err
	}
	return d.closeAll(i)
}

// media takes an image or a sound, which comes whole; a long sound in several.
func (d *decoder) media(i int, v *fastjson.Value, signature string) error {
	if err := d.closeAll(i); err != nil {
		return err
	}
	if signature != "" {
		if err := d.sign(i, "", signature); err != nil {
			return err
		}
	}
	m := &translate.Media{Type: tree.Text(v, "mimeType"), Data: standard(tree.Text(v, "data")), URL: tree.Text(v, "fileUri"), Name: tree.Text(v, "displayName")}
	if m.Data == "" && m.URL == "" {
		return nil // Vertex sends empty ones
	}
	part := kindOf(m.Type)
	if part == translate.File {
		part = translate.Server
		d.raw = append(rawjson.AppendValue(append(d.raw[:0], `{"inlineData":`...), v), '}')
		d.Ev.Raw, d.Ev.RawFormat = tree.View(d.raw), translate.Gemini
	}
	d.Ev.Media = m
	err := d.single(i, part)
	d.Ev.Media, d.Ev.Raw, d.Ev.RawFormat = nil, "", ""
	return err
}
