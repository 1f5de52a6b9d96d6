package anthropic

import (
	"fmt"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
)

// DecodeRequest implements [translate.Codec]. It does not ask for max_tokens,
// which a request to count tokens has no use for.
func (Codec) DecodeRequest(body []byte, o translate.RequestOptions) (*translate.Request, error) {
	doc, bad := tree.Parse(body, o.Checked)
	if bad != nil {
		return nil, bad
	}
	d := requestDecoder{Reader: tree.Reader{Doc: doc, Colon: true}, r: &translate.Request{Format: translate.Anthropic}}
	d.r.OnRelease(doc.Release)
	// Instructions come first, wherever the member stands.
	if s := doc.Root.Get("system"); !tree.IsNull(s) {
		m := translate.Message{Role: translate.RoleSystem}
		m.Parts, m.Plain = d.content("system", s)
		if len(m.Parts) > 0 {
			d.r.Messages = append(d.r.Messages, m)
		}
	}
	turns := 0
	root, _ := doc.Root.Object()
	root.Visit(func(name []byte, v *fastjson.Value) {
		if d.Err == nil && v.Type() != fastjson.TypeNull {
			d.member(name, v)
			if string(name) == "messages" {
				turns = len(v.GetArray())
			}
		}
	})
	if d.Err == nil && turns == 0 {
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
}

func (d *requestDecoder) member(name []byte, v *fastjson.Value) {
	r := d.r
	switch key := string(name); key {
	case "system":
	case "model":
		r.Model = d.Text(key, v)
	case "stream":
		b, ok := tree.Bool(v)
		if !ok {
			d.Fail(key, "must be true or false")
			return
		}
		r.Stream = *b
	case "messages":
		for i, m := range d.List(key, v) {
			d.message(i, m)
		}
	case "tools":
		for i, t := range d.List(key, v) {
			d.tool(i, t)
		}
	case "tool_choice":
		d.toolChoice(v)
	case "max_tokens":
		r.MaxTokens = d.Number(key, v)
	case "temperature":
		r.Temperature = d.Number(key, v)
	case "top_p":
		r.TopP = d.Number(key, v)
	case "top_k":
		r.TopK = d.Number(key, v)
	case "stop_sequences":
		for i, s := range d.List(key, v) {
			r.Stop = append(r.Stop, d.Text(fmt.Sprintf("stop_sequences.%d", i), s))
		}
	case "metadata":
		d.Object(key, v).Visit(func(name []byte, v *fastjson.Value) {
			if s, ok := tree.String(v); ok && string(name) == "user_id" {
				r.User = s
			}
		})
	case "service_tier":
		r.ServiceTier = d.Text(key, v)
	case "cache_control":
		r.Cache = cacheMark(v)
	case "thinking":
		d.thinking(v)
	case "output_config":
		d.outputConfig(v)
	default:
		r.Extra = append(r.Extra, d.Field(name, v))
	}
}

func cacheMark(v *fastjson.Value) *translate.CacheMark {
	if tree.IsNull(v) {
		return nil
	}
	return &translate.CacheMark{TTL: tree.Text(v, "ttl")}
}

// thinking reads https://platform.claude.com/docs/en/build-with-claude/extended-thinking.
func (d *requestDecoder) thinking(v *fastjson.Value) {
	c := &d.r.Reasoning
	d.Object("thinking", v).Visit(func(name []byte, v *fastjson.Value) {
		switch string(name) {
		case "type":
			switch s, _ := tree.String(v); s {
			case "enabled":
				c.Mode = translate.ReasoningOn
			case "disabled":
				c.Mode = translate.ReasoningOff
			case "adaptive":
				c.Mode = translate.ReasoningAdaptive
			default:
				c.Mode = translate.ReasoningAdaptive
				c.Extra = append(c.Extra, d.Field(name, v))
			}
		case "budget_tokens":
			c.Budget = d.Number("thinking.budget_tokens", v)
		case "display":
			c.Display, _ = tree.String(v)
		default:
			c.Extra = append(c.Extra, d.Field(name, v))
		}
	})
}

func (d *requestDecoder) outputConfig(v *fastjson.Value) {
	d.Object("output_config", v).Visit(func(name []byte, v *fastjson.Value) {
		switch string(name) {
		case "effort":
			d.r.Reasoning.Effort, _ = tree.String(v)
		case "format":
			out := &d.r.Output
			if tree.Text(v, "type") == "json_schema" && v.Get("schema") != nil {
				out.Kind, out.Schema = translate.OutputJSONSchema, d.Raw(v.Get("schema"))
				out.Name = tree.Text(v, "name")
				return
			}
			fallthrough
		default:
			d.r.Extra = append(d.r.Extra, translate.Field{Name: "output_config." + string(name), Value: d.Raw(v)})
		}
	})
}

var roles = map[string]translate.Role{"user": translate.RoleUser, "assistant": translate.RoleAssistant, "system": translate.RoleSystem}

func (d *requestDecoder) message(i int, v *fastjson.Value) {
	path := fmt.Sprintf("messages.%d", i)
	o := d.Object(path, v)
	role, ok := roles[tree.Text(v, "role")]
	if !ok {
		d.Fail(path+".role", "must be user, assistant or system")
		return
	}
	m := translate.Message{Role: role}
	c := v.Get("content")
	if tree.IsNull(c) {
		d.Fail(path+".content", "field required")
		return
	}
	m.Parts, m.Plain = d.content(path+".content", c)
	o.Visit(func(name []byte, v *fastjson.Value) {
		switch string(name) {
		case "role", "content":
		default:
			m.Extra = append(m.Extra, d.Field(name, v))
		}
	})
	// What stands among the messages must not be taken for the instructions
	// before them.
	if i == 0 && role == translate.RoleSystem && len(d.r.Messages) == 0 {
		m.Extra = append(m.Extra, inPlace)
	}
	d.r.Messages = append(d.r.Messages, m)
}

// inPlace marks a system message that is the first of the messages. It has no
// value, so it is written nowhere.
var inPlace = translate.Field{Name: "(in place)"}

func (d *requestDecoder) content(path string, v *fastjson.Value) ([]translate.Part, bool) {
	if s, ok := tree.String(v); ok {
		return []translate.Part{{Kind: translate.Text, Text: s}}, true
	}
	if v.Type() != fastjson.TypeArray {
		d.Fail(path, "must be a string or a list of blocks")
		return nil, false
	}
	list, _ := v.Array()
	parts := make([]translate.Part, 0, len(list))
	for j, b := range list {
		if d.Err != nil {
			return nil, false
		}
		at := fmt.Sprintf("%s.%d", path, j)
		if b.Type() != fastjson.TypeObject {
			d.Fail(at, "must be an object")
			return nil, false
		}
		parts = append(parts, d.block(at, b))
	}
	return parts, false
}

// block reads one content block. The members that the model has a place for are
// named per type; all others are kept as they stood.
func (d *requestDecoder) block(path string, v *fastjson.Value) translate.Part {
	var p translate.Part
	var known [3]string
	switch kind := tree.Text(v, "type"); kind {
	case "text":
		p, known = translate.Part{Kind: translate.Text, Text: d.Text(path+".text", v.Get("text"))}, [3]string{"text", "citations"}
		if c := v.Get("citations"); !tree.IsNull(c) && !sealedCitations(c) {
			p.Citations = d.Raw(c)
		}
	case "image":
		m := d.source(path, v)
		if m == nil {
			return d.server(v)
		}
		p, known = translate.Part{Kind: translate.Image, Media: m}, [3]string{"source"}
	case "document":
		m := d.source(path, v)
		if m == nil {
			return d.server(v)
		}
		m.Name = tree.Text(v, "title")
		p, known = translate.Part{Kind: translate.File, Media: m}, [3]string{"source", "title"}
	case "thinking":
		p = translate.Part{Kind: translate.Reasoning, Text: tree.Text(v, "thinking")}
		p.Signature, p.SignedBy = translate.OpenSeal(tree.Text(v, "signature"), translate.Anthropic)
		known = [3]string{"thinking", "signature"}
	case "redacted_thinking":
		p, known = translate.Part{Kind: translate.Reasoning}, [3]string{"data"}
		p.Redacted, p.SignedBy = translate.OpenSeal(tree.Text(v, "data"), translate.Anthropic)
	case "tool_use":
		c := &translate.Call{ID: plainOf(d.Name(path+".id", v.Get("id"))), Name: d.Name(path+".name", v.Get("name")), Arguments: "{}"}
		if in := v.Get("input"); !tree.IsNull(in) {
			c.Arguments = d.Raw(in)
		}
		p, known = translate.Part{Kind: translate.ToolCall, Call: c}, [3]string{"id", "name", "input"}
	case "tool_result":
		res := &translate.Result{CallID: plainOf(d.Name(path+".tool_use_id", v.Get("tool_use_id"))), IsError: v.GetBool("is_error")}
		if c := v.Get("content"); !tree.IsNull(c) {
			res.Parts, res.Plain = d.content(path+".content", c)
		}
		p, known = translate.Part{Kind: translate.ToolResult, Result: res}, [3]string{"tool_use_id", "content", "is_error"}
	case "tool_reference":
		p, known = translate.Part{Kind: translate.ToolReference, Text: tree.Text(v, "tool_name")}, [3]string{"tool_name"}
	case "":
		d.Fail(path+".type", "field required")
		return p
	default:
		return d.server(v)
	}
	o, _ := v.Object()
	o.Visit(func(name []byte, v *fastjson.Value) {
		switch n := string(name); {
		case n == "type" || n == known[0] || n == known[1] || n == known[2]:
		case n == "cache_control":
			p.Cache = cacheMark(v)
		case v.Type() == fastjson.TypeNull:
		default:
			p.Extra = append(p.Extra, d.Field(name, v))
		}
	})
	return p
}

// server keeps a block that only this format knows.
func (d *requestDecoder) server(v *fastjson.Value) translate.Part {
	p := translate.Part{Kind: translate.Server, Raw: d.Raw(v), RawFormat: translate.Anthropic, Text: tree.Text(v, "type")}
	p.Cache = cacheMark(v.Get("cache_control"))
	return p
}

// source reads where an image or a document is. Nil is a form that only this
// format knows.
func (d *requestDecoder) source(path string, v *fastjson.Value) *translate.Media {
	s := v.Get("source")
	if tree.IsNull(s) {
		d.Fail(path+".source", "field required")
		return &translate.Media{}
	}
	m := &translate.Media{Type: tree.Text(s, "media_type")}
	switch tree.Text(s, "type") {
	case "base64":
		m.Data = d.Name(path+".source.data", s.Get("data"))
	case "url":
		m.URL = d.Name(path+".source.url", s.Get("url"))
	case "file":
		m.FileID = d.Name(path+".source.file_id", s.Get("file_id"))
	case "text":
		m.Text = d.Name(path+".source.data", s.Get("data"))
	default:
		return nil
	}
	return m
}

func (d *requestDecoder) tool(i int, v *fastjson.Value) {
	path := fmt.Sprintf("tools.%d", i)
	o := d.Object(path, v)
	t := translate.Tool{Kind: translate.FunctionTool, Name: tree.Text(v, "name")}
	if kind := tree.Text(v, "type"); kind != "" && kind != "custom" || v.Get("input_schema") == nil {
		t.Kind, t.Raw, t.RawFormat = translate.ServerTool, d.Raw(v), translate.Anthropic
		t.Cache = cacheMark(v.Get("cache_control"))
		d.r.Tools = append(d.r.Tools, t)
		return
	}
	o.Visit(func(name []byte, v *fastjson.Value) {
		switch string(name) {
		case "name":
		case "description":
			t.Description, _ = tree.String(v)
		case "input_schema":
			t.Schema = d.Raw(v)
		case "strict":
			t.Strict, _ = tree.Bool(v)
		case "defer_loading":
			t.Deferred = v.Type() == fastjson.TypeTrue
			if !t.Deferred {
				t.Extra = append(t.Extra, d.Field(name, v))
			}
		case "cache_control":
			t.Cache = cacheMark(v)
		default:
			if v.Type() != fastjson.TypeNull {
				t.Extra = append(t.Extra, d.Field(name, v))
			}
		}
	})
	if t.Name == "" {
		d.Fail(path+".name", "field required")
	}
	d.r.Tools = append(d.r.Tools, t)
}

func (d *requestDecoder) toolChoice(v *fastjson.Value) {
	c := &d.r.ToolChoice
	switch tree.Text(v, "type") {
	case "auto":
		c.Mode = translate.ToolAuto
	case "any":
		c.Mode = translate.ToolRequired
	case "none":
		c.Mode = translate.ToolNone
	case "tool":
		c.Mode, c.Name = translate.ToolNamed, tree.Text(v, "name")
	default:
		d.Fail("tool_choice.type", "must be auto, any, tool or none")
	}
	if off := v.Get("disable_parallel_tool_use"); off != nil {
		if b, ok := tree.Bool(off); ok {
			*b = !*b
			d.r.ParallelTools = b
		}
	}
}

// sealedCitations says that a text's citations were made here of another format's:
// Anthropic does not know their index.
func sealedCitations(v *fastjson.Value) bool {
	for _, c := range v.GetArray() {
		if index := tree.Text(c, "encrypted_index"); index != "" && translate.HasSeal([]byte(index)) {
			return true
		}
	}
	return false
}
