package openai

import (
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
)

// DecodeRequest implements [translate.Codec].
func (Codec) DecodeRequest(body []byte, o translate.RequestOptions) (*translate.Request, error) {
	doc, bad := tree.Parse(body, o.Checked)
	if bad != nil {
		return nil, bad
	}
	d := requestDecoder{Reader: tree.Reader{Doc: doc}, r: &translate.Request{Format: translate.OpenAI}}
	d.r.OnRelease(doc.Release)
	root, _ := doc.Root.Object()
	root.Visit(func(name []byte, v *fastjson.Value) {
		if d.Err == nil && v.Type() != fastjson.TypeNull {
			d.member(name, v)
		}
	})
	if d.Err == nil && len(d.r.Messages) == 0 {
		d.Fail("messages", "must be a list with at least one message")
	}
	if d.Err != nil {
		d.r.Release()
		return nil, d.Err
	}
	return d.r, nil
}

type requestDecoder struct {
	tree.Reader
	r *translate.Request
	// legacy is the id of the last call in the form that came before tools.
	legacy string
}

func (d *requestDecoder) member(name []byte, v *fastjson.Value) {
	r := d.r
	switch key := string(name); key {
	case "model":
		r.Model = d.Text(key, v)
	case "stream":
		if b := d.Bool(key, v); b != nil {
			r.Stream = *b
		}
	case "stream_options":
		r.IncludeUsage = v.GetBool("include_usage")
	case "messages":
		list := d.List(key, v)
		r.Messages = make([]translate.Message, 0, len(list))
		for i, m := range list {
			d.message(i, m)
		}
	case "tools":
		for i, t := range d.List(key, v) {
			d.tool(i, t)
		}
	case "functions":
		for i, f := range d.List(key, v) {
			d.function(fmt.Sprintf("functions[%d]", i), f, &translate.Tool{Kind: translate.FunctionTool})
		}
	case "tool_choice", "function_call":
		d.toolChoice(key, v)
	case "parallel_tool_calls":
		r.ParallelTools = d.Bool(key, v)
	case "max_completion_tokens":
		r.MaxTokens, r.OldMaxTokens = d.Number(key, v), false
	case "max_tokens":
		if !r.MaxTokens.IsSet() {
			r.MaxTokens, r.OldMaxTokens = d.Number(key, v), true
		}
	case "temperature":
		r.Temperature = d.Number(key, v)
	case "top_p":
		r.TopP = d.Number(key, v)
	case "top_k":
		r.TopK = d.Number(key, v)
	case "frequency_penalty":
		r.FrequencyPenalty = d.Number(key, v)
	case "presence_penalty":
		r.PresencePenalty = d.Number(key, v)
	case "seed":
		r.Seed = d.Number(key, v)
	case "n":
		r.N = d.Number(key, v)
	case "logprobs":
		r.LogProbs = d.Bool(key, v)
	case "top_logprobs":
		r.TopLogProbs = d.Number(key, v)
	case "stop":
		if s, ok := tree.String(v); ok {
			r.Stop = []string{s}
			break
		}
		for i, s := range d.List(key, v) {
			r.Stop = append(r.Stop, d.Text(fmt.Sprintf("stop[%d]", i), s))
		}
	case "response_format":
		d.output(v)
	case "reasoning_effort":
		r.Reasoning.Effort = d.Text(key, v)
	case "user":
		r.User = d.Text(key, v)
	case "prompt_cache_key":
		r.CacheKey = d.Text(key, v)
	case "service_tier":
		r.ServiceTier = d.Text(key, v)
	default:
		r.Extra = append(r.Extra, d.Field(name, v))
	}
}

var roles = map[string]translate.Role{
	"system": translate.RoleSystem, "developer": translate.RoleDeveloper, "user": translate.RoleUser,
	"assistant": translate.RoleAssistant, "tool": translate.RoleTool, "function": translate.RoleTool,
}

func (d *requestDecoder) message(i int, v *fastjson.Value) {
	path := func(member string) string { return fmt.Sprintf("messages[%d]%s", i, member) }
	o, err := v.Object()
	if err != nil {
		d.Fail(path(""), "must be an object")
		return
	}
	role, ok := roles[tree.Text(v, "role")]
	if !ok {
		d.Fail(path(".role"), "must be system, developer, user, assistant, tool or function")
		return
	}
	m := translate.Message{Role: role}
	if role == translate.RoleTool {
		d.toolMessage(i, v, &m)
		d.r.Messages = append(d.r.Messages, m)
		return
	}
	// Reasoning stands before the text it led to, whatever the members' order.
	d.reasoning(v, &m)
	if c := v.Get("content"); !tree.IsNull(c) {
		m.Parts, m.Plain = d.content(path(".content"), c, m.Parts)
	}
	if s := tree.Text(v, "refusal"); s != "" {
		m.Parts = append(m.Parts, translate.Part{Kind: translate.Refusal, Text: s})
	}
	o.Visit(func(name []byte, v *fastjson.Value) {
		if d.Err != nil || v.Type() == fastjson.TypeNull {
			return
		}
		switch string(name) {
		case "role", "content", "refusal", "reasoning_content", "reasoning", "reasoning_details":
		case "name":
			m.Name = d.Text(path(".name"), v)
		case "tool_calls":
			for j, c := range d.List(path(".tool_calls"), v) {
				d.toolCall(fmt.Sprintf("messages[%d].tool_calls[%d]", i, j), c, &m)
			}
		case "function_call":
			d.legacy = fmt.Sprintf("call_%d", i) // other formats cannot do without
			m.Parts = append(m.Parts, translate.Part{Kind: translate.ToolCall, Extra: legacyCall, Call: &translate.Call{
				ID: d.legacy, Name: d.Name(path(".function_call.name"), v.Get("name")), Arguments: tree.Text(v, "arguments"),
			}})
		default:
			m.Extra = append(m.Extra, d.Field(name, v))
		}
	})
	d.r.Messages = append(d.r.Messages, m)
}

// legacyCall marks a call in the form that came before tools: one for a message,
// without an id.
var legacyCall = []translate.Field{{Name: "function_call"}}

// reasoning reads an assistant's reasoning in whichever dialect it stands. A
// provider that sends details repeats their text beside them.
func (d *requestDecoder) reasoning(v *fastjson.Value, m *translate.Message) {
	details := v.GetArray("reasoning_details")
	for _, e := range details {
		p := translate.Part{Kind: translate.Reasoning, Raw: d.Raw(e), RawFormat: translate.OpenAI}
		p.Text = tree.Text(e, "text") + tree.Text(e, "summary")
		p.Signature, p.SignedBy = translate.OpenSeal(tree.Text(e, "signature"), translate.OpenAI)
		if data := tree.Text(e, "data"); data != "" {
			p.Redacted, p.SignedBy = translate.OpenSeal(data, translate.OpenAI)
		}
		if p.SignedBy != translate.OpenAI {
			p.Raw, p.RawFormat = "", ""
			if p.Redacted != "" && d.joinSignature(m, p) {
				continue
			}
		}
		m.Parts = append(m.Parts, p)
	}
	for _, name := range [...]string{"reasoning_content", "reasoning"} {
		s, ok := tree.String(v.Get(name))
		switch {
		case !ok:
		case len(details) > 0:
			m.Extra = append(m.Extra, d.Field([]byte(name), v.Get(name)))
		default:
			m.Parts = append(m.Parts, translate.Part{Kind: translate.Reasoning, Text: s, Extra: []translate.Field{{Name: name}}})
			return
		}
	}
}

// joinSignature puts another provider's signature to the reasoning that the
// encoder of this format parted it from. One that stood alone is a signature of
// a reasoning without text.
func (d *requestDecoder) joinSignature(m *translate.Message, p translate.Part) bool {
	if rest, ok := strings.CutPrefix(p.Redacted, redactedMark); ok {
		p.Redacted = rest
	} else {
		p.Redacted, p.Signature = "", p.Redacted
	}
	m.Parts = append(m.Parts, p)
	return true
}

// redactedMark tells, behind the seal, reasoning that is all opaque from the
// signature of one with a text.
const redactedMark = "redacted:"

func (d *requestDecoder) toolMessage(i int, v *fastjson.Value, m *translate.Message) {
	path := fmt.Sprintf("messages[%d]", i)
	res := &translate.Result{CallID: tree.Text(v, "tool_call_id"), Name: tree.Text(v, "name")}
	if c := v.Get("content"); !tree.IsNull(c) {
		res.Parts, res.Plain = d.content(path+".content", c, nil)
	}
	p := translate.Part{Kind: translate.ToolResult, Result: res}
	if tree.Text(v, "role") == "function" {
		p.Extra, res.CallID = legacyCall, d.legacy
		if d.legacy == "" {
			res.CallID = fmt.Sprintf("call_%d", i) // of no call at all
		}
	} else if res.CallID == "" {
		d.Fail(path+".tool_call_id", "must name the call that this is the result of")
	}
	o, _ := v.Object()
	o.Visit(func(name []byte, v *fastjson.Value) {
		switch string(name) {
		case "role", "content", "tool_call_id", "name":
		default:
			m.Extra = append(m.Extra, d.Field(name, v))
		}
	})
	m.Parts = []translate.Part{p}
}

func (d *requestDecoder) content(path string, v *fastjson.Value, parts []translate.Part) ([]translate.Part, bool) {
	if s, ok := tree.String(v); ok {
		return append(parts, translate.Part{Kind: translate.Text, Text: s}), true
	}
	if v.Type() != fastjson.TypeArray {
		d.Fail(path, "must be a string or a list of parts")
		return parts, false
	}
	list, _ := v.Array()
	for j, e := range list {
		if d.Err != nil {
			break
		}
		if s, ok := tree.String(e); ok { // some clients send bare strings
			parts = append(parts, translate.Part{Kind: translate.Text, Text: s})
			continue
		}
		if e.Type() != fastjson.TypeObject {
			d.Fail(fmt.Sprintf("%s[%d]", path, j), "must be an object")
			break
		}
		parts = append(parts, d.part(fmt.Sprintf("%s[%d]", path, j), e))
	}
	return parts, false
}

func (d *requestDecoder) part(path string, v *fastjson.Value) translate.Part {
	var p translate.Part
	known := "text"
	switch kind := tree.Text(v, "type"); kind {
	case "text":
		p = translate.Part{Kind: translate.Text, Text: d.Text(path+".text", v.Get("text"))}
	case "refusal":
		p, known = translate.Part{Kind: translate.Refusal, Text: tree.Text(v, "refusal")}, kind
	case "thinking": // Mistral
		p, known = translate.Part{Kind: translate.Reasoning, Raw: d.Raw(v), RawFormat: translate.OpenAI, Text: thinkingText(v.Get("thinking"))}, kind
	case "image_url":
		u := v.Get("image_url")
		url, ok := tree.String(u)
		if !ok && u != nil {
			url = tree.Text(u, "url")
		}
		if url == "" {
			d.Fail(path+".image_url", "must have a url")
		}
		m := &translate.Media{URL: url}
		if u != nil {
			m.Detail = tree.Text(u, "detail")
		}
		m.SplitDataURL()
		p, known = translate.Part{Kind: translate.Image, Media: m}, kind
	case "input_audio":
		a := v.Get("input_audio")
		if a == nil {
			d.Fail(path+".input_audio", "must be an object")
			break
		}
		format := tree.Text(a, "format")
		p, known = translate.Part{Kind: translate.Audio, Media: &translate.Media{Data: d.Name(path+".input_audio.data", a.Get("data")), Format: format, Type: "audio/" + format}}, kind
	case "file":
		f := v.Get("file")
		if f == nil {
			d.Fail(path+".file", "must be an object")
			break
		}
		m := &translate.Media{URL: tree.Text(f, "file_data"), FileID: tree.Text(f, "file_id"), Name: tree.Text(f, "filename")}
		if m.URL == "" && m.FileID == "" {
			d.Fail(path+".file", "must have file_data or a file_id")
		}
		m.SplitDataURL()
		p, known = translate.Part{Kind: translate.File, Media: m}, kind
	default:
		return translate.Part{Kind: translate.Server, Raw: d.Raw(v), RawFormat: translate.OpenAI}
	}
	o, _ := v.Object()
	o.Visit(func(name []byte, v *fastjson.Value) {
		switch n := string(name); {
		case n == "type" || n == known:
		case n == "cache_control":
			p.Cache = &translate.CacheMark{TTL: tree.Text(v, "ttl")}
		default:
			p.Extra = append(p.Extra, d.Field(name, v))
		}
	})
	return p
}

// thinkingText joins the texts of Mistral's thinking, a list of text parts.
func thinkingText(v *fastjson.Value) string {
	if s, ok := tree.String(v); ok {
		return s
	}
	var b strings.Builder
	if v != nil {
		list, _ := v.Array()
		for _, e := range list {
			b.WriteString(tree.Text(e, "text"))
		}
	}
	return b.String()
}

func (d *requestDecoder) toolCall(path string, v *fastjson.Value, m *translate.Message) {
	if v.Type() != fastjson.TypeObject {
		d.Fail(path, "must be an object")
		return
	}
	c := &translate.Call{ID: d.Name(path+".id", v.Get("id"))}
	inner := v.Get("function")
	c.Custom = inner == nil && v.Get("custom") != nil
	if c.Custom {
		inner = v.Get("custom")
		c.Arguments = tree.Text(inner, "input")
	} else if inner != nil {
		switch a := inner.Get("arguments"); {
		case tree.IsNull(a):
		case a.Type() == fastjson.TypeString:
			c.Arguments, _ = tree.String(a)
		default:
			c.Arguments = d.Raw(a) // some clients send the object itself
		}
	}
	if inner == nil {
		d.Fail(path+".function", "must be an object")
		return
	}
	c.Name = d.Name(path+".function.name", inner.Get("name"))
	p := translate.Part{Kind: translate.ToolCall, Call: c}
	o, _ := v.Object()
	o.Visit(func(name []byte, v *fastjson.Value) {
		switch string(name) {
		case "id", "type", "function", "custom", "index":
		default:
			p.Extra = append(p.Extra, d.Field(name, v))
		}
	})
	m.Parts = append(m.Parts, p)
}

func (d *requestDecoder) tool(i int, v *fastjson.Value) {
	path := fmt.Sprintf("tools[%d]", i)
	if v.Type() != fastjson.TypeObject {
		d.Fail(path, "must be an object")
		return
	}
	t := &translate.Tool{Kind: translate.FunctionTool}
	o, _ := v.Object()
	switch kind := tree.Text(v, "type"); {
	case kind == "custom":
		c := v.Get("custom")
		if c == nil || tree.Text(c, "name") == "" {
			d.Fail(path+".custom.name", "must not be empty")
			return
		}
		t.Kind, t.Name, t.Description = translate.CustomTool, tree.Text(c, "name"), tree.Text(c, "description")
		if g := c.Get("format", "grammar"); g != nil {
			t.Grammar = &translate.Grammar{Syntax: tree.Text(g, "syntax"), Definition: tree.Text(g, "definition")}
		}
		d.r.Tools = append(d.r.Tools, *t)
		return
	case v.Get("function") == nil:
		t.Kind, t.Raw, t.RawFormat, t.Name = translate.ServerTool, d.Raw(v), translate.OpenAI, kind
		d.r.Tools = append(d.r.Tools, *t)
		return
	}
	o.Visit(func(name []byte, v *fastjson.Value) {
		switch string(name) {
		case "type", "function":
		case "cache_control":
			t.Cache = &translate.CacheMark{TTL: tree.Text(v, "ttl")}
		default:
			t.Extra = append(t.Extra, d.Field(name, v))
		}
	})
	d.function(path+".function", v.Get("function"), t)
}

func (d *requestDecoder) function(path string, v *fastjson.Value, t *translate.Tool) {
	if v.Type() != fastjson.TypeObject {
		d.Fail(path, "must be an object")
		return
	}
	o, _ := v.Object()
	o.Visit(func(name []byte, v *fastjson.Value) {
		switch string(name) {
		case "name":
			t.Name = d.Text(path+".name", v)
		case "description":
			t.Description, _ = tree.String(v)
		case "parameters":
			if v.Type() != fastjson.TypeNull {
				t.Schema = d.Raw(v)
			}
		case "strict":
			t.Strict, _ = tree.Bool(v)
		default:
			t.Extra = append(t.Extra, d.Field(name, v))
		}
	})
	if t.Name == "" {
		d.Fail(path+".name", "must not be empty")
	}
	d.r.Tools = append(d.r.Tools, *t)
}

func (d *requestDecoder) toolChoice(path string, v *fastjson.Value) {
	c := &d.r.ToolChoice
	if s, ok := tree.String(v); ok {
		switch s {
		case "auto":
			c.Mode = translate.ToolAuto
		case "none":
			c.Mode = translate.ToolNone
		case "required", "any":
			c.Mode = translate.ToolRequired
		default:
			d.Fail(path, "must be auto, none, required or an object")
		}
		return
	}
	if v.Type() != fastjson.TypeObject {
		d.Fail(path, "must be a string or an object")
		return
	}
	named := v
	if f := v.Get("function"); f != nil {
		named = f
	}
	if f := v.Get("custom"); f != nil {
		named = f
	}
	if name := tree.Text(named, "name"); name != "" {
		c.Mode, c.Name = translate.ToolNamed, name
		return
	}
	c.Mode, c.Raw = translate.ToolOther, d.Raw(v)
}

func (d *requestDecoder) output(v *fastjson.Value) {
	out := &d.r.Output
	if v.Type() != fastjson.TypeObject {
		d.Fail("response_format", "must be an object")
		return
	}
	switch tree.Text(v, "type") {
	case "text":
		out.Kind = translate.OutputText
	case "json_object":
		out.Kind = translate.OutputJSON
	case "json_schema":
		out.Kind = translate.OutputJSONSchema
		s := v.Get("json_schema")
		if tree.IsNull(s) || s.Type() != fastjson.TypeObject {
			d.Fail("response_format.json_schema", "must be an object")
			return
		}
		out.Name, out.Description = tree.Text(s, "name"), tree.Text(s, "description")
		if schema := s.Get("schema"); !tree.IsNull(schema) {
			out.Schema = d.Raw(schema)
		}
		if strict := s.Get("strict"); strict != nil {
			out.Strict, _ = tree.Bool(strict)
		}
	default:
		d.r.Extra = append(d.r.Extra, d.Field([]byte("response_format"), v))
	}
}
