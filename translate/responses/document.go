package responses

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/cite"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// A head is what every telling of a response begins with.
type head struct {
	id, model string
	created   int64
}

func (h *head) set(id, model string, created int64, o *translate.EncodeOptions) {
	h.id, h.model, h.created = strings.Clone(id), strings.Clone(model), created
	if !strings.HasPrefix(id, "resp_") { // others' ids need not be unique, and a client comes back with it
		h.id = "resp_" + o.ID
	}
	if h.model == "" {
		h.model = o.Model
	}
	if created == 0 {
		h.created = o.Created
	}
}

// append appends the beginning of a response, with what it repeats of the
// request.
func (h *head) append(b []byte, o *translate.EncodeOptions, status string) []byte {
	if h.id == "" {
		h.set("", "", 0, o)
	}
	b = append(b, '{')
	b = rawjson.AppendMember(b, "id", h.id)
	b = rawjson.AppendMember(b, "object", "response")
	b = strconv.AppendInt(rawjson.AppendName(b, "created_at"), h.created, 10)
	b = rawjson.AppendMember(b, "status", status)
	b = rawjson.AppendMember(b, "model", h.model)
	return appendEcho(b, o.Request, o.Previous)
}

// appendEcho appends what a response repeats of its request: official clients
// declare these members as always there.
func appendEcho(b []byte, r *translate.Request, previous string) []byte {
	if r == nil {
		r = &translate.Request{}
	}
	number := func(name string, n translate.Number) {
		if n.IsSet() {
			b = rawjson.AppendRaw(b, name, string(n))
		} else {
			b = rawjson.AppendRaw(b, name, "null")
		}
	}
	text := "null"
	if len(r.Messages) > 0 && marked(r.Messages[0].Extra, instructions) {
		text = string(rawjson.AppendString(nil, r.Messages[0].Parts[0].Text))
	}
	b = rawjson.AppendRaw(b, "instructions", text)
	number("max_output_tokens", r.MaxTokens)
	number("temperature", r.Temperature)
	number("top_p", r.TopP)
	b = rawjson.AppendBool(b, "parallel_tool_calls", r.ParallelTools == nil || *r.ParallelTools)
	echoed := map[string]string{"previous_response_id": "null", "store": "true", "metadata": "{}"}
	if previous != "" {
		echoed["previous_response_id"] = string(rawjson.AppendString(nil, previous))
	}
	for _, f := range r.Extra {
		if _, ok := echoed[f.Name]; ok {
			echoed[f.Name] = f.Value
		}
	}
	for _, name := range [...]string{"previous_response_id", "store", "metadata"} {
		b = rawjson.AppendRaw(b, name, echoed[name])
	}
	w := requestWriter{b: b, r: &translate.Request{Format: translate.Responses, Tools: r.Tools, ToolChoice: r.ToolChoice, Namespaces: r.Namespaces}, same: true}
	if r.Format != translate.Responses || len(r.Tools) == 0 {
		w.b = rawjson.AppendRaw(w.b, "tools", "[]")
		w.r.Tools = nil
	} else {
		w.tools()
	}
	if r.ToolChoice.Mode == translate.ToolUnset || r.Format != translate.Responses || len(r.Tools) == 0 {
		w.b = rawjson.AppendMember(w.b, "tool_choice", "auto")
	}
	return w.b
}

// itemID makes an id of an item, unique in its response, with the prefix of its
// kind.
func itemID(part translate.PartKind, custom bool, answer string, n int) string {
	prefix := "msg_"
	switch {
	case part == translate.Reasoning:
		prefix = "rs_"
	case part == translate.ToolCall && custom:
		prefix = "ctc_"
	case part == translate.ToolCall:
		prefix = "fc_"
	case part == translate.Image:
		prefix = "ig_"
	}
	return prefix + answer + "_" + strconv.Itoa(n)
}

// callID returns the id of a call. Where the provider gave none the client gets
// one that is unique in its conversation.
func callID(id, answer string, n int) string {
	if id != "" {
		return strings.Clone(id)
	}
	return "call_" + answer + "_" + strconv.Itoa(n)
}

// appendItem appends an item as it is by now.
func appendItem(b []byte, it *streamItem) []byte {
	if it.raw != "" {
		return append(b, it.raw...)
	}
	status := "in_progress"
	if it.done {
		status = "completed"
	}
	b = append(append(append(b, `{"id":"`...), it.id...), '"')
	switch it.part {
	case translate.Reasoning:
		b = append(b, `,"type":"reasoning","summary":[`...)
		if it.done && it.summary {
			b = append(rawjson.AppendString(append(b, `{"type":"summary_text","text":`...), it.text), '}')
		}
		b = append(b, ']')
		if it.done && len(it.signature) > 0 {
			b = append(rawjson.AppendName(b, "encrypted_content"), '"')
			if it.by != "" && it.by != translate.Responses {
				b = append(b, translate.Seal(it.by)...)
				if it.redacted {
					b = append(b, redactedMark...)
				}
			}
			b = append(rawjson.AppendEscaped(b, it.signature), '"')
		}
		return append(b, '}')
	case translate.ToolCall:
		kind, member := "function_call", "arguments"
		if it.custom {
			kind, member = "custom_tool_call", "input"
		}
		b = rawjson.AppendMember(b, "type", kind)
		b = rawjson.AppendMember(b, "status", status)
		b = rawjson.AppendMember(b, "call_id", it.callID)
		if it.namespace != "" {
			b = rawjson.AppendMember(b, "namespace", it.namespace)
		}
		b = rawjson.AppendMember(b, "name", it.name)
		text := it.text
		if !it.done {
			text = nil
		}
		return append(rawjson.AppendMember(b, member, text), '}')
	}
	b = rawjson.AppendMember(b, "type", "message")
	b = rawjson.AppendMember(b, "status", status)
	b = append(b, `,"role":"assistant","content":[`...)
	if it.done {
		b = appendContent(b, it)
	}
	return append(b, "]}"...)
}

// appendContent appends the content of a message, of which there is one part.
func appendContent(b []byte, it *streamItem) []byte {
	text := it.text
	if !it.done {
		text = nil
	}
	if it.part == translate.Refusal {
		return append(rawjson.AppendMember(append(b, `{"type":"refusal"`...), "refusal", text), '}')
	}
	b = append(append(b, `{"type":"output_text","annotations":[`...), it.annotations...)
	b = append(append(append(b, `],"logprobs":[`...), it.logprobs...), ']')
	return append(rawjson.AppendMember(b, "text", text), '}')
}

// appendImage appends the item of an image that the provider made.
func appendImage(b []byte, id string, m *translate.Media, raw string, format translate.Format) []byte {
	if format == translate.Responses && raw != "" {
		return append(b, raw...)
	}
	b = append(append(append(b, `{"id":"`...), id...), `","type":"image_generation_call","status":"completed"`...)
	if m != nil && m.Data != "" {
		b = rawjson.AppendMember(b, "result", m.Data)
		if kind, ok := strings.CutPrefix(m.Type, "image/"); ok {
			b = rawjson.AppendMember(b, "output_format", kind)
		}
	} else {
		b = rawjson.AppendRaw(b, "result", "null")
	}
	return append(b, '}')
}

// appendAnnotation appends a citation of a text to a list's elements, if it is of a
// page. OpenAI's formats differ in where the members stand.
func appendAnnotation(b []byte, raw string, format translate.Format, text []byte) ([]byte, bool) {
	switch format {
	case translate.Anthropic:
		page, ok := cite.Of(raw, format)
		if !ok {
			return b, false
		}
		place := cite.Place{End: int64(utf8.RuneCount(text))}
		place.Put(&page)
		return append(page.AppendMembers(append(comma(b), `{"type":"url_citation"`...)), '}'), true
	case translate.Responses:
		return append(comma(b), raw...), true
	case translate.OpenAI:
		v, err := fastjson.Parse(raw)
		if err != nil {
			return b, false
		}
		c := v.Get("url_citation")
		if tree.TextAt(v, "type") != "url_citation" || tree.IsNull(c) {
			return b, false
		}
		c.Set("type", (&fastjson.Arena{}).NewString("url_citation"))
		return rawjson.AppendValue(comma(b), c), true
	}
	return b, false
}

func comma(b []byte) []byte {
	if len(b) > 0 {
		return append(b, ',')
	}
	return b
}

// appendLogProbs appends the elements of a piece of log-probabilities in the form
// of Chat Completions, {"content": […]}.
func appendLogProbs(b []byte, raw string) []byte {
	v, err := fastjson.Parse(raw)
	if err != nil {
		return b
	}
	for _, e := range v.GetArray("content") {
		b = rawjson.AppendValue(comma(b), e)
	}
	return b
}

// ending returns the status of a response and the details of one that is not
// complete, by why it ended.
func ending(s translate.StopReason, refused bool, losses *translate.Losses) (status, details string) {
	switch s {
	case translate.StopLength, translate.StopContext:
		return "incomplete", `{"reason":"max_output_tokens"}`
	case translate.StopFiltered:
		return "incomplete", `{"reason":"content_filter"}`
	case translate.StopPause:
		losses.Approximate("stop_reason", "a paused turn became an incomplete response")
		return "incomplete", `{"reason":"pause_turn"}`
	case translate.StopRefused:
		if !refused { // nothing else would tell it from an answer
			losses.Approximate("stop_reason", "a refusal without words became a filtered response")
			return "incomplete", `{"reason":"content_filter"}`
		}
	}
	return "completed", "null"
}

func appendUsage(b []byte, u *translate.Usage) []byte {
	number := func(name string, n int64) {
		b = strconv.AppendInt(rawjson.AppendName(b, name), n, 10)
	}
	b = append(b, '{')
	number("input_tokens", u.Input)
	b = append(rawjson.AppendName(b, "input_tokens_details"), '{')
	number("cached_tokens", u.CacheRead)
	if u.CacheWrite > 0 {
		number("cache_write_tokens", u.CacheWrite)
	}
	b = append(b, '}')
	number("output_tokens", u.Output)
	b = append(rawjson.AppendName(b, "output_tokens_details"), '{')
	number("reasoning_tokens", u.Reasoning)
	b = append(b, '}')
	number("total_tokens", u.Total())
	return append(b, '}')
}

// appendDocument appends a whole response.
func appendDocument(b []byte, a *translate.Answer, o *translate.EncodeOptions, losses *translate.Losses) []byte {
	var c translate.Choice
	if len(a.Choices) > 0 {
		c = a.Choices[0]
	}
	if len(a.Choices) > 1 {
		losses.Drop("choices", "a response is one answer")
	}
	refused := false
	for i := range c.Blocks {
		refused = refused || c.Blocks[i].Part == translate.Refusal
	}
	var h head
	h.set(a.ID, a.Model, a.Created, o)
	status, details := ending(c.Stop, refused, losses)
	b = h.append(b, o, status)
	b = append(append(b, `,"error":null,"incomplete_details":`...), details...)
	b = append(b, `,"output":[`...)
	index := 0
	for i := range c.Blocks {
		it, ok := itemOf(&c.Blocks[i], o, index, losses)
		if !ok {
			continue
		}
		if it.part == translate.Text {
			for _, l := range c.LogProbs {
				it.logprobs = appendLogProbs(it.logprobs, l.Raw)
			}
			c.LogProbs = nil
		}
		b = appendItem(rawjson.AppendComma(b), &it)
		index++
	}
	b = append(b, `],"usage":`...)
	return append(appendUsage(b, &a.Usage), '}')
}

// itemOf returns the item that a whole block becomes.
func itemOf(blk *translate.Block, o *translate.EncodeOptions, index int, losses *translate.Losses) (streamItem, bool) {
	it := streamItem{
		begun: true, done: true, part: blk.Part, index: index, custom: blk.Custom, redacted: blk.Redacted, by: blk.SignedBy,
		name: blk.Name, namespace: blk.Namespace, text: blk.Text, signature: blk.Signature,
	}
	it.id = itemID(it.part, it.custom, o.ID, index)
	switch blk.Part {
	case translate.Audio:
		losses.Drop("content", "a response holds no sound")
		return it, false
	case translate.Server:
		if blk.RawFormat != translate.Responses {
			losses.Drop("content", "a block that only its own format knows")
			return it, false
		}
		it.raw = blk.Raw
	case translate.Image:
		it.raw = string(appendImage(nil, it.id, blk.Media, blk.Raw, blk.RawFormat))
	case translate.Reasoning:
		it.summary = !blk.Redacted && len(blk.Text) > 0
		if blk.Redacted {
			it.signature = blk.Text
		}
	case translate.ToolCall:
		it.callID = callID(blk.ID, o.ID, index)
		if !blk.Custom && len(it.text) == 0 {
			it.text = []byte("{}")
		}
	case translate.Text:
		for _, c := range blk.Citations {
			var ok bool
			if it.annotations, ok = appendAnnotation(it.annotations, c.Raw, c.RawFormat, it.text); !ok {
				losses.Drop("citations", "citations of another format")
			}
		}
	}
	return it, true
}
