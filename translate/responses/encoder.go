package responses

import (
	"strconv"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// NewEncoder implements [translate.Codec].
func (Codec) NewEncoder(o translate.EncodeOptions) translate.Encoder {
	if o.Stream {
		return &streamEncoder{o: o, seq: o.Sequence}
	}
	return &answer.DocumentEncoder{AppendError: Codec{}.AppendError, Write: func(b []byte, a *translate.Answer, losses *translate.Losses) []byte {
		return appendDocument(b, a, &o, losses)
	}}
}

// streamEncoder writes the events of a response: created, in progress, the items
// with their pieces, and one end that has the whole once more. Every event has
// the next sequence number.
type streamEncoder struct {
	o      translate.EncodeOptions
	b      []byte
	losses translate.Losses
	seq    int64

	head    head
	usage   translate.Usage
	started bool
	over    bool
	stop    translate.StopReason
	items   []streamItem // by block number
	outputs int          // items so far
	whole   []byte       // the response, if it is wanted
}

// Document implements [translate.Documenter].
func (w *streamEncoder) Document() []byte { return w.whole }

// A streamItem is the item that a block became.
type streamItem struct {
	begun, done bool
	part        translate.PartKind
	index       int // of the output
	id          string
	callID      string
	namespace   string
	name        string
	custom      bool
	redacted    bool
	by          translate.Format
	text        []byte
	signature   []byte
	annotations []byte // elements
	citations   int
	logprobs    []byte // elements
	summary     bool   // the part of the summary is open
	raw         string // the item itself
}

// Bytes implements [translate.Encoder].
func (w *streamEncoder) Bytes() []byte { return w.b }

// Reset implements [translate.Encoder].
func (w *streamEncoder) Reset() { w.b = w.b[:0] }

// Losses implements [translate.Encoder].
func (w *streamEncoder) Losses() translate.Losses { return w.losses }

// Fail implements [translate.Encoder]. Clients learn of a failure from either
// event, so both are written, as OpenAI itself does.
func (w *streamEncoder) Fail(e *translate.Error) {
	if w.over {
		return
	}
	w.over = true
	w.event("error")
	w.b = append(w.b, `,"error":`...)
	body := Codec{}.AppendError(nil, e)
	w.b = append(w.b, body[len(`{"error":`):len(body)-1]...)
	w.close()
	w.event("response.failed")
	w.b = append(w.b, `,"response":`...)
	w.b = w.head.append(w.b, &w.o, "failed")
	w.b = append(rawjson.AppendName(w.b, "error"), '{')
	code := e.Code
	if code == "" {
		code = string(e.Kind)
	}
	w.b = rawjson.AppendMember(w.b, "code", code)
	w.b = append(rawjson.AppendMember(w.b, "message", e.Message), '}')
	w.b = rawjson.AppendRaw(w.b, "incomplete_details", "null")
	w.b = append(w.b, `,"output":[`...)
	w.output()
	w.b = append(w.b, `],"usage":null}`...)
	w.close()
}

// Event implements [translate.Sink].
func (w *streamEncoder) Event(e *translate.Event) error {
	if w.over {
		return nil
	}
	if e.Choice > 0 {
		if e.Kind == translate.BlockStart && e.Block == 0 {
			w.losses.Drop("choices", "a response is one answer")
		}
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
		if it := w.item(e.Block); it != nil && it.part == translate.Reasoning {
			it.by = e.SignedBy
			it.signature = append(it.signature, e.Text...)
		}
	case translate.Citation:
		w.citation(e)
	case translate.LogProbs:
		if it := w.item(e.Block); it != nil && e.RawFormat == translate.OpenAI {
			it.logprobs = appendLogProbs(it.logprobs, e.Raw)
		} else {
			w.losses.Drop("logprobs", "probabilities in the form of another format")
		}
	case translate.BlockStop:
		w.done(e.Block)
	case translate.UsageUpdate:
		w.usage = *e.Usage
	case translate.Finish:
		w.stop = e.Stop
	case translate.AnswerEnd:
		w.end()
	case translate.Failure:
		w.Fail(e.Err)
	case translate.Unknown:
		if e.RawFormat != translate.Responses {
			w.losses.Drop(e.Name, "an event that only its own format knows")
		}
	}
	return nil
}

// event begins an event, and close ends it.
func (w *streamEncoder) event(name string) {
	w.b = append(append(append(w.b, "event: "...), name...), "\ndata: {\"type\":\""...)
	w.b = append(append(w.b, name...), `","sequence_number":`...)
	w.b = strconv.AppendInt(w.b, w.seq, 10)
	w.seq++
}

func (w *streamEncoder) close() { w.b = append(w.b, "}\n\n"...) }

func (w *streamEncoder) start(e *translate.Event) {
	w.started = true
	if e.Usage != nil {
		w.usage = *e.Usage
	}
	w.head.set(e.ID, e.Name, e.Created, &w.o)
	for _, name := range [...]string{"response.created", "response.in_progress"} {
		w.event(name)
		w.b = append(w.b, `,"response":`...)
		w.b = w.head.append(w.b, &w.o, "in_progress")
		w.b = append(w.b, `,"error":null,"incomplete_details":null,"output":[],"usage":null}`...)
		w.close()
	}
}

// item returns the item of a block that is open.
func (w *streamEncoder) item(block int) *streamItem {
	if block < 0 || block >= len(w.items) || !w.items[block].begun || w.items[block].done {
		return nil
	}
	return &w.items[block]
}

func (w *streamEncoder) block(e *translate.Event) {
	if !w.started {
		w.start(&translate.Event{})
	}
	for len(w.items) <= e.Block {
		w.items = append(w.items, streamItem{})
	}
	it := &w.items[e.Block]
	switch e.Part {
	case translate.Audio:
		w.losses.Drop("content", "a response holds no sound")
		return
	case translate.Server:
		if e.RawFormat != translate.Responses {
			w.losses.Drop("content", "a block that only its own format knows")
			return
		}
	}
	*it = streamItem{begun: true, part: e.Part, index: w.outputs, custom: e.Custom, redacted: e.Redacted, by: e.SignedBy}
	w.outputs++
	it.id = itemID(it.part, it.custom, w.o.ID, it.index)
	switch e.Part {
	case translate.ToolCall:
		it.callID, it.name, it.namespace = callID(e.ID, w.o.ID, it.index), strings.Clone(e.Name), strings.Clone(e.Namespace)
	case translate.Reasoning:
		if e.Redacted {
			it.signature = append(it.signature, e.Text...)
		}
	case translate.Image:
		it.raw = string(appendImage(nil, it.id, e.Media, e.Raw, e.RawFormat))
	case translate.Server:
		it.raw = strings.Clone(e.Raw)
	}
	w.itemEvent("response.output_item.added", it)
	switch e.Part {
	case translate.Text, translate.Refusal:
		w.place("response.content_part.added", it)
		w.b = append(w.b, `,"content_index":0,"part":`...)
		w.b = appendContent(w.b, it)
		w.close()
	}
}

// itemEvent writes an event with the item as it is by now.
func (w *streamEncoder) itemEvent(name string, it *streamItem) {
	w.event(name)
	w.b = append(w.b, `,"output_index":`...)
	w.b = strconv.AppendInt(w.b, int64(it.index), 10)
	w.b = append(w.b, `,"item":`...)
	w.b = appendItem(w.b, it)
	w.close()
}

// place begins an event that belongs to an item.
func (w *streamEncoder) place(name string, it *streamItem) {
	w.event(name)
	w.b = append(append(append(w.b, `,"item_id":"`...), it.id...), `","output_index":`...)
	w.b = strconv.AppendInt(w.b, int64(it.index), 10)
}

func (w *streamEncoder) delta(e *translate.Event) {
	it := w.item(e.Block)
	if it == nil {
		return
	}
	switch it.part {
	case translate.Text:
		w.place("response.output_text.delta", it)
		w.b = append(w.b, `,"content_index":0,"logprobs":[]`...)
	case translate.Refusal:
		w.place("response.refusal.delta", it)
		w.b = append(w.b, `,"content_index":0`...)
	case translate.Reasoning:
		if !it.summary {
			it.summary = true
			w.place("response.reasoning_summary_part.added", it)
			w.b = append(w.b, `,"summary_index":0,"part":{"type":"summary_text","text":""}`...)
			w.close()
		}
		w.place("response.reasoning_summary_text.delta", it)
		w.b = append(w.b, `,"summary_index":0`...)
	case translate.ToolCall:
		if it.custom {
			w.place("response.custom_tool_call_input.delta", it)
		} else {
			w.place("response.function_call_arguments.delta", it)
		}
	default:
		return
	}
	w.b = rawjson.AppendString(append(w.b, `,"delta":`...), e.Text)
	w.close()
	it.text = append(it.text, e.Text...)
}

func (w *streamEncoder) citation(e *translate.Event) {
	it := w.item(e.Block)
	if it == nil || it.part != translate.Text {
		return
	}
	from := len(it.annotations)
	var ok bool
	if it.annotations, ok = appendAnnotation(it.annotations, e.Raw, e.RawFormat, it.text); !ok {
		w.losses.Drop("citations", "citations of another format")
		return
	}
	w.place("response.output_text.annotation.added", it)
	w.b = append(w.b, `,"content_index":0,"annotation_index":`...)
	w.b = strconv.AppendInt(w.b, int64(it.citations), 10)
	it.citations++
	w.b = append(append(w.b, `,"annotation":`...), strings.TrimPrefix(string(it.annotations[from:]), ",")...)
	w.close()
}

// done closes the item of a block.
func (w *streamEncoder) done(block int) {
	it := w.item(block)
	if it == nil {
		return
	}
	it.done = true
	switch it.part {
	case translate.Text, translate.Refusal:
		name, member := "response.output_text.done", "text"
		if it.part == translate.Refusal {
			name, member = "response.refusal.done", "refusal"
		}
		w.place(name, it)
		w.b = append(w.b, `,"content_index":0`...)
		if it.part == translate.Text {
			w.b = append(append(append(w.b, `,"logprobs":[`...), it.logprobs...), ']')
		}
		w.b = rawjson.AppendMember(w.b, member, it.text)
		w.close()
		w.place("response.content_part.done", it)
		w.b = append(w.b, `,"content_index":0,"part":`...)
		w.b = appendContent(w.b, it)
		w.close()
	case translate.Reasoning:
		if !it.summary {
			break
		}
		w.place("response.reasoning_summary_text.done", it)
		w.b = rawjson.AppendMember(append(w.b, `,"summary_index":0`...), "text", it.text)
		w.close()
		w.place("response.reasoning_summary_part.done", it)
		w.b = append(w.b, `,"summary_index":0,"part":{"type":"summary_text","text":`...)
		w.b = append(rawjson.AppendString(w.b, it.text), '}')
		w.close()
	case translate.ToolCall:
		name, member := "response.function_call_arguments.done", "arguments"
		if it.custom {
			name, member = "response.custom_tool_call_input.done", "input"
		} else if len(it.text) == 0 {
			it.text = append(it.text, "{}"...)
		}
		w.place(name, it)
		if !it.custom {
			w.b = rawjson.AppendMember(w.b, "name", it.name)
		}
		w.b = rawjson.AppendMember(w.b, member, it.text)
		w.close()
	}
	w.itemEvent("response.output_item.done", it)
}

// output writes the items as they are at the end.
func (w *streamEncoder) output() {
	for index := range w.outputs {
		for i := range w.items {
			if it := &w.items[i]; it.begun && it.index == index {
				w.b = appendItem(rawjson.AppendComma(w.b), it)
				break
			}
		}
	}
}

func (w *streamEncoder) end() {
	if !w.started {
		w.start(&translate.Event{})
	}
	for i := range w.items {
		w.done(i)
	}
	w.over = true
	refused := false
	for i := range w.items {
		refused = refused || w.items[i].part == translate.Refusal
	}
	status, details := ending(w.stop, refused, &w.losses)
	w.event("response." + status)
	w.b = append(w.b, `,"response":`...)
	from := len(w.b)
	w.b = w.head.append(w.b, &w.o, status)
	w.b = append(append(w.b, `,"error":null,"incomplete_details":`...), details...)
	w.b = append(w.b, `,"output":[`...)
	w.output()
	w.b = append(w.b, `],"usage":`...)
	w.b = append(appendUsage(w.b, &w.usage), '}')
	if w.o.Whole {
		w.whole = append(w.whole, w.b[from:]...)
	}
	w.close()
}
