package responses

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
	d := requestDecoder{Reader: tree.Reader{Doc: doc}, r: &translate.Request{Format: translate.Responses}}
	d.r.OnRelease(doc.Release)
	// Instructions come first, wherever the member stands.
	if s := doc.Root.Get("instructions"); !tree.IsNull(s) {
		d.r.Messages = append(d.r.Messages, translate.Message{
			Role: translate.RoleSystem, Plain: true, Extra: []translate.Field{instructions},
			Parts: []translate.Part{{Kind: translate.Text, Text: d.Text("instructions", s)}},
		})
	}
	doc.Root.GetObject().Visit(func(name []byte, v *fastjson.Value) {
		if d.Err == nil && v.Type() != fastjson.TypeNull {
			d.member(name, v)
		}
	})
	if d.Err == nil && !d.turns && doc.Root.Get("previous_response_id") == nil && doc.Root.Get("prompt") == nil && doc.Root.Get("conversation") == nil {
		d.Fail("input", "must be a text or a list with at least one item")
	}
	if d.Err != nil {
		d.r.Release()
		return nil, d.Err
	}
	return d.r, nil
}

// Marks of where something stood. They have no value, so they are written
// nowhere.
var (
	instructions    = translate.Field{Name: "(instructions)"}
	plainInput      = translate.Field{Name: "(input)"}
	additionalTools = translate.Field{Name: "(additional_tools)"}
)

type requestDecoder struct {
	tree.Reader
	r     *translate.Request
	turns bool // there is something beside instructions
}

func (d *requestDecoder) member(name []byte, v *fastjson.Value) {
	r := d.r
	switch key := string(name); key {
	case "instructions":
	case "model":
		r.Model = d.Text(key, v)
	case "stream":
		if b := d.Bool(key, v); b != nil {
			r.Stream = *b
		}
	case "input":
		d.input(v)
	case "tools":
		for i, t := range d.List(key, v) {
			d.tool(fmt.Sprintf("tools[%d]", i), t, "", nil)
		}
	case "tool_choice":
		d.toolChoice(v)
	case "parallel_tool_calls":
		r.ParallelTools = d.Bool(key, v)
	case "max_output_tokens":
		r.MaxTokens = d.Number(key, v)
	case "temperature":
		r.Temperature = d.Number(key, v)
	case "top_p":
		r.TopP = d.Number(key, v)
	case "top_logprobs":
		r.TopLogProbs = d.Number(key, v)
	case "reasoning":
		d.reasoningConfig(v)
	case "text":
		d.textConfig(v)
	case "user":
		r.User = d.Text(key, v)
	case "prompt_cache_key":
		r.CacheKey = d.Text(key, v)
	case "service_tier":
		r.ServiceTier = d.Text(key, v)
	case "include":
		var rest []*fastjson.Value
		for _, i := range d.List(key, v) {
			switch tree.TextAt(i) {
			case includeLogProbs:
				yes := true
				r.LogProbs = &yes
			case includeEncrypted:
				r.Reasoning.Encrypted = true
			default:
				rest = append(rest, i)
			}
		}
		for _, i := range rest {
			r.Extra = append(r.Extra, translate.Field{Name: "include", Value: d.Raw(i)})
		}
	default:
		r.Extra = append(r.Extra, d.Field(name, v))
	}
}

// What a request can ask to be included, of what the model has a place for.
const (
	includeLogProbs  = "message.output_text.logprobs"
	includeEncrypted = "reasoning.encrypted_content"
)

func (d *requestDecoder) reasoningConfig(v *fastjson.Value) {
	c := &d.r.Reasoning
	d.Object("reasoning", v).Visit(func(name []byte, v *fastjson.Value) {
		s, _ := tree.String(v)
		switch {
		case v.Type() == fastjson.TypeNull:
		case string(name) == "effort" && s != "":
			c.Effort = s
		case (string(name) == "summary" || string(name) == "generate_summary") && s != "":
			c.Summary = s
		default:
			c.Extra = append(c.Extra, d.Field(name, v))
		}
	})
}

func (d *requestDecoder) textConfig(v *fastjson.Value) {
	d.Object("text", v).Visit(func(name []byte, v *fastjson.Value) {
		switch {
		case v.Type() == fastjson.TypeNull:
		case string(name) == "verbosity":
			d.r.Verbosity = d.Text("text.verbosity", v)
		case string(name) == "format":
			d.output(v)
		default:
			d.r.Extra = append(d.r.Extra, translate.Field{Name: "text." + string(name), Value: d.Raw(v)})
		}
	})
}

func (d *requestDecoder) output(v *fastjson.Value) {
	out := &d.r.Output
	d.Object("text.format", v)
	switch tree.Text(v, "type") {
	case "text":
		out.Kind = translate.OutputText
	case "json_object":
		out.Kind = translate.OutputJSON
	case "json_schema":
		out.Kind = translate.OutputJSONSchema
		out.Name, out.Description = tree.Text(v, "name"), tree.Text(v, "description")
		if s := v.Get("schema"); !tree.IsNull(s) {
			out.Schema = d.Raw(s)
		}
		if s := v.Get("strict"); !tree.IsNull(s) {
			out.Strict, _ = tree.Bool(s)
		}
	default:
		d.r.Extra = append(d.r.Extra, translate.Field{Name: "text.format", Value: d.Raw(v)})
	}
}

func (d *requestDecoder) input(v *fastjson.Value) {
	if s, ok := tree.String(v); ok {
		d.turns = true
		d.r.Messages = append(d.r.Messages, translate.Message{
			Role: translate.RoleUser, Plain: true, Extra: []translate.Field{plainInput},
			Parts: []translate.Part{{Kind: translate.Text, Text: s}},
		})
		return
	}
	for i, item := range d.List("input", v) {
		if d.Err != nil {
			return
		}
		d.turns = true
		d.item(fmt.Sprintf("input[%d]", i), item)
	}
}

var roles = map[string]translate.Role{
	"system": translate.RoleSystem, "developer": translate.RoleDeveloper, "user": translate.RoleUser, "assistant": translate.RoleAssistant,
}

// item reads one item as a message of its own: what belongs to one turn is
// joined where a format wants it so.
func (d *requestDecoder) item(path string, v *fastjson.Value) {
	d.Object(path, v)
	kind := tree.Text(v, "type")
	m := translate.Message{Role: translate.RoleAssistant}
	switch {
	case kind == "message" || kind == "" && v.Get("role") != nil:
		role, ok := roles[tree.Text(v, "role")]
		if !ok {
			d.Fail(path+".role", "must be user, assistant, system or developer")
			return
		}
		m.Role = role
		if c := v.Get("content"); !tree.IsNull(c) {
			m.Parts, m.Plain = d.content(path+".content", c)
		}
		m.Extra = d.Rest(v, "type", "role", "content")
	case kind == "reasoning":
		m.Parts = []translate.Part{d.reasoning(v)}
	case kind == "function_call":
		m.Parts = []translate.Part{{Kind: translate.ToolCall, Extra: d.Rest(v, "type", "call_id", "name", "namespace", "arguments"), Call: &translate.Call{
			ID: d.Name(path+".call_id", v.Get("call_id")), Name: d.Name(path+".name", v.Get("name")),
			Namespace: tree.Text(v, "namespace"), Arguments: d.argument(v.Get("arguments")),
		}}}
	case kind == "custom_tool_call":
		m.Parts = []translate.Part{{Kind: translate.ToolCall, Extra: d.Rest(v, "type", "call_id", "name", "namespace", "input"), Call: &translate.Call{
			ID: d.Name(path+".call_id", v.Get("call_id")), Name: d.Name(path+".name", v.Get("name")), Custom: true,
			Namespace: tree.Text(v, "namespace"), Arguments: tree.Text(v, "input"),
		}}}
	case kind == "function_call_output" || kind == "custom_tool_call_output":
		res := &translate.Result{CallID: d.Name(path+".call_id", v.Get("call_id"))}
		if o := v.Get("output"); !tree.IsNull(o) {
			res.Parts, res.Plain = d.content(path+".output", o)
		}
		p := translate.Part{Kind: translate.ToolResult, Result: res, Extra: d.Rest(v, "type", "call_id", "output")}
		res.Custom = kind == "custom_tool_call_output"
		m.Role, m.Parts = translate.RoleTool, []translate.Part{p}
	case kind == "":
		d.Fail(path+".type", "must say what the item is")
		return
	case strings.HasPrefix(kind, "compaction") && isCompacted(v):
		summary, _ := compacted(tree.Text(v, "encrypted_content"))
		m.Role, m.Parts = translate.RoleUser, []translate.Part{{Kind: translate.Text, Text: summary}}
	default:
		if kind == "additional_tools" {
			for i, t := range d.List(path+".tools", v.Get("tools")) {
				d.tool(fmt.Sprintf("%s.tools[%d]", path, i), t, "", []translate.Field{additionalTools})
			}
			m.Role = translate.RoleDeveloper
		} else if strings.HasSuffix(kind, "_output") {
			m.Role = translate.RoleUser
		}
		m.Parts = []translate.Part{{Kind: translate.Server, Text: kind, Raw: d.Raw(v), RawFormat: translate.Responses}}
	}
	d.r.Messages = append(d.r.Messages, m)
}

// isCompacted says that an item is a compaction that was made here.
func isCompacted(v *fastjson.Value) bool {
	_, ok := compacted(tree.Text(v, "encrypted_content"))
	return ok
}

// argument returns the text of a call's arguments; some clients send the object
// itself.
func (d *requestDecoder) argument(v *fastjson.Value) string {
	if s, ok := tree.String(v); ok || tree.IsNull(v) {
		return s
	}
	return d.Raw(v)
}

func (d *requestDecoder) reasoning(v *fastjson.Value) translate.Part {
	p := translate.Part{Kind: translate.Reasoning, Text: reasoningText(v), Raw: d.Raw(v), RawFormat: translate.Responses}
	p.Signature, p.SignedBy = translate.OpenSeal(tree.Text(v, "encrypted_content"), translate.Responses)
	if p.SignedBy != translate.Responses {
		p.Raw, p.RawFormat = "", ""
		if rest, ok := strings.CutPrefix(p.Signature, redactedMark); ok {
			p.Signature, p.Redacted = "", rest
		}
	}
	return p
}

// redactedMark tells, behind the seal, reasoning that is all opaque from the
// signature of one with a text.
const redactedMark = "redacted:"

// reasoningText joins the parts of a summary, and of the reasoning itself where a
// provider shows it.
func reasoningText(v *fastjson.Value) string {
	var b strings.Builder
	for _, member := range [...]string{"summary", "content"} {
		for i, e := range v.GetArray(member) {
			if i > 0 {
				b.WriteString("\n\n")
			}
			b.WriteString(tree.Text(e, "text"))
		}
	}
	return b.String()
}

func (d *requestDecoder) content(path string, v *fastjson.Value) ([]translate.Part, bool) {
	if s, ok := tree.String(v); ok {
		return []translate.Part{{Kind: translate.Text, Text: s}}, true
	}
	if v.Type() != fastjson.TypeArray {
		d.Fail(path, "must be a text or a list of parts")
		return nil, false
	}
	list := v.GetArray()
	parts := make([]translate.Part, 0, len(list))
	for j, e := range list {
		at := fmt.Sprintf("%s[%d]", path, j)
		d.Object(at, e)
		if d.Err != nil {
			return nil, false
		}
		parts = append(parts, d.part(at, e))
	}
	return parts, false
}

func (d *requestDecoder) part(path string, v *fastjson.Value) translate.Part {
	switch kind := tree.Text(v, "type"); kind {
	case "input_text", "output_text", "text":
		p := translate.Part{Kind: translate.Text, Text: d.Text(path+".text", v.Get("text")), Extra: d.Rest(v, "type", "text", "annotations", "logprobs")}
		if len(v.GetArray("annotations")) > 0 {
			p.Citations = d.Raw(v.Get("annotations"))
		}
		return p
	case "refusal":
		return translate.Part{Kind: translate.Refusal, Text: tree.Text(v, "refusal"), Extra: d.Rest(v, "type", "refusal")}
	case "input_image":
		m := &translate.Media{URL: tree.Text(v, "image_url"), FileID: tree.Text(v, "file_id"), Detail: tree.Text(v, "detail")}
		if m.URL == "" && m.FileID == "" {
			d.Fail(path, "must have an image_url or a file_id")
		}
		m.SplitDataURL()
		return translate.Part{Kind: translate.Image, Media: m, Extra: d.Rest(v, "type", "image_url", "file_id", "detail")}
	case "input_file":
		m := &translate.Media{URL: tree.Text(v, "file_data"), FileID: tree.Text(v, "file_id"), Name: tree.Text(v, "filename")}
		if m.URL == "" {
			m.URL = tree.Text(v, "file_url")
		}
		if m.URL == "" && m.FileID == "" {
			d.Fail(path, "must have file_data, a file_url or a file_id")
		}
		m.SplitDataURL()
		return translate.Part{Kind: translate.File, Media: m, Extra: d.Rest(v, "type", "file_data", "file_url", "file_id", "filename")}
	case "input_audio":
		a := v.Get("input_audio")
		if tree.IsNull(a) {
			a = v
		}
		format := tree.Text(a, "format")
		return translate.Part{Kind: translate.Audio, Media: &translate.Media{Data: d.Name(path+".input_audio.data", a.Get("data")), Format: format, Type: "audio/" + format}}
	}
	return translate.Part{Kind: translate.Server, Raw: d.Raw(v), RawFormat: translate.Responses}
}

// tool reads a tool, or all tools of a namespace.
func (d *requestDecoder) tool(path string, v *fastjson.Value, namespace string, mark []translate.Field) {
	d.Object(path, v)
	t := translate.Tool{Namespace: namespace, Name: tree.Text(v, "name"), Description: tree.Text(v, "description"), Extra: mark}
	t.Deferred = v.GetBool("defer_loading")
	switch kind := tree.Text(v, "type"); kind {
	case "function":
		t.Kind = translate.FunctionTool
		if p := v.Get("parameters"); !tree.IsNull(p) {
			t.Schema = d.Raw(p)
		}
		t.Strict, _ = tree.Bool(v.Get("strict"))
		t.Extra = append(t.Extra, d.Rest(v, "type", "name", "description", "parameters", "strict", "defer_loading")...)
	case "custom":
		t.Kind = translate.CustomTool
		if f := v.Get("format"); tree.TextAt(f, "type") == "grammar" {
			t.Grammar = &translate.Grammar{Syntax: tree.Text(f, "syntax"), Definition: tree.Text(f, "definition")}
		}
		t.Extra = append(t.Extra, d.Rest(v, "type", "name", "description", "format", "defer_loading")...)
	case "namespace":
		d.r.Namespaces = append(d.r.Namespaces, translate.Namespace{Name: t.Name, Description: t.Description})
		for i, inner := range d.List(path+".tools", v.Get("tools")) {
			d.tool(fmt.Sprintf("%s.tools[%d]", path, i), inner, t.Name, mark)
		}
		return
	default:
		t.Kind, t.Name, t.Raw, t.RawFormat = translate.ServerTool, kind, d.Raw(v), translate.Responses
	}
	if t.Name == "" {
		d.Fail(path+".name", "must not be empty")
	}
	d.r.Tools = append(d.r.Tools, t)
}

func (d *requestDecoder) toolChoice(v *fastjson.Value) {
	c := &d.r.ToolChoice
	if s, ok := tree.String(v); ok {
		switch s {
		case "auto":
			c.Mode = translate.ToolAuto
		case "none":
			c.Mode = translate.ToolNone
		case "required":
			c.Mode = translate.ToolRequired
		default:
			d.Fail("tool_choice", "must be auto, none, required or an object")
		}
		return
	}
	d.Object("tool_choice", v)
	if kind := tree.TextAt(v, "type"); kind == "function" || kind == "custom" {
		c.Mode, c.Name, c.Namespace = translate.ToolNamed, tree.Text(v, "name"), tree.Text(v, "namespace")
		return
	}
	c.Mode, c.Raw = translate.ToolOther, d.Raw(v)
}
