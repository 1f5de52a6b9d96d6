package gemini

import (
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// DecodeRequest implements [translate.Codec]. The path's model and whether it
// streams are for the caller to set.
func (Codec) DecodeRequest(body []byte, o translate.RequestOptions) (*translate.Request, error) {
	doc, bad := tree.Parse(body, o.Checked)
	if bad != nil {
		return nil, bad
	}
	d := requestDecoder{Reader: tree.Reader{Doc: doc}, r: &translate.Request{Format: translate.Gemini}}
	d.r.OnRelease(doc.Release)
	root := doc.Root
	// A count of tokens may hold the whole request in a member.
	if inner := get(root, "generateContentRequest"); !tree.IsNull(inner) {
		d.Object("generateContentRequest", inner)
		root = inner
	}
	if d.Err == nil {
		d.request(root)
	}
	if d.Err != nil {
		d.r.Release()
		return nil, d.Err
	}
	return d.r, nil
}

type requestDecoder struct {
	tree.Reader
	r       *translate.Request
	waiting []*translate.Call // calls whose results have not come yet
}

// camel returns a member's name in camel case, in which the API documents them.
// As with all of Google's APIs both cases mean the same.
func camel(name string) string {
	if !strings.Contains(name, "_") {
		return name
	}
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c != '_' || i == 0 || i+1 == len(name):
			b = append(b, c)
		default:
			i++
			if c := name[i]; 'a' <= c && c <= 'z' {
				b = append(b, c-('a'-'A'))
			} else {
				b = append(b, c)
			}
		}
	}
	return string(b)
}

// get returns a member by its name in camel case, in whichever case it stands.
func get(v *fastjson.Value, name string) *fastjson.Value {
	if m := v.Get(name); m != nil {
		return m
	}
	var snake []byte
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			snake = append(snake, '_', c+('a'-'A'))
		} else {
			snake = append(snake, c)
		}
	}
	return v.Get(string(snake))
}

func text(v *fastjson.Value, name string) string {
	s, _ := tree.String(get(v, name))
	return s
}

// rest keeps the members that are not among the known ones.
func (d *requestDecoder) rest(v *fastjson.Value, known ...string) []translate.Field {
	var rest []translate.Field
	v.GetObject().Visit(func(name []byte, m *fastjson.Value) {
		if m.Type() == fastjson.TypeNull {
			return
		}
		c := camel(string(name))
		for _, k := range known {
			if k == c {
				return
			}
		}
		rest = append(rest, d.Field(name, m))
	})
	return rest
}

// Prefixes of the names of members in Request.Extra that do not stand at the top.
const (
	inConfig   = "generationConfig."
	inToolsCfg = "toolConfig."
	inCalling  = "toolConfig.functionCallingConfig."
)

// extra keeps what the model has no place for.
func (d *requestDecoder) extra(prefix string, name []byte, v *fastjson.Value) {
	f := d.Field(name, v)
	if prefix != "" {
		f.Name = prefix + f.Name
	}
	d.r.Extra = append(d.r.Extra, f)
}

func (d *requestDecoder) request(v *fastjson.Value) {
	if s := get(v, "systemInstruction"); !tree.IsNull(s) {
		d.system(s)
	}
	v.GetObject().Visit(func(name []byte, v *fastjson.Value) {
		if d.Err != nil || v.Type() == fastjson.TypeNull {
			return
		}
		switch camel(string(name)) {
		case "systemInstruction":
		case "model":
			d.r.Model = strings.TrimPrefix(d.Text("model", v), "models/")
		case "contents":
			for i, c := range d.contents(v) {
				d.content(fmt.Sprintf("contents[%d]", i), i, c)
			}
		case "tools":
			for i, t := range d.List("tools", v) {
				d.tools(fmt.Sprintf("tools[%d]", i), t)
			}
		case "toolConfig":
			d.toolConfig(v)
		case "generationConfig":
			d.config(v)
		case "serviceTier":
			d.r.ServiceTier = strings.ToLower(d.Text("serviceTier", v))
			if d.r.ServiceTier == "standard" {
				d.r.ServiceTier = "default"
			}
		default:
			d.extra("", name, v)
		}
	})
	if d.Err == nil && len(d.r.Messages) == 0 {
		d.Fail("contents", "must have at least one element")
	}
}

// contents reads the list of turns, or the only one, which the API takes too.
func (d *requestDecoder) contents(v *fastjson.Value) []*fastjson.Value {
	if v.Type() == fastjson.TypeObject {
		return []*fastjson.Value{v}
	}
	return d.List("contents", v)
}

func (d *requestDecoder) system(v *fastjson.Value) {
	m := translate.Message{Role: translate.RoleSystem}
	if s, ok := tree.String(v); ok {
		m.Parts = []translate.Part{{Kind: translate.Text, Text: s}}
	} else {
		d.Object("systemInstruction", v)
		if d.Err != nil {
			return
		}
		d.parts("systemInstruction", 0, get(v, "parts"), &m)
		m.Extra = d.rest(v, "parts", "role")
	}
	d.r.Messages = append(d.r.Messages, m)
}

func (d *requestDecoder) config(v *fastjson.Value) {
	r := d.r
	d.Object("generationConfig", v).Visit(func(name []byte, v *fastjson.Value) {
		if d.Err != nil || v.Type() == fastjson.TypeNull {
			return
		}
		path := inConfig + string(name)
		switch camel(string(name)) {
		case "temperature":
			r.Temperature = d.Number(path, v)
		case "topP":
			r.TopP = d.Number(path, v)
		case "topK":
			r.TopK = d.Number(path, v)
		case "maxOutputTokens":
			r.MaxTokens = d.Number(path, v)
		case "candidateCount":
			r.N = d.Number(path, v)
		case "seed":
			r.Seed = d.Number(path, v)
		case "presencePenalty":
			r.PresencePenalty = d.Number(path, v)
		case "frequencyPenalty":
			r.FrequencyPenalty = d.Number(path, v)
		case "responseLogprobs":
			r.LogProbs = d.Bool(path, v)
		case "logprobs":
			r.TopLogProbs = d.Number(path, v)
		case "stopSequences":
			for i, s := range d.List(path, v) {
				r.Stop = append(r.Stop, d.Text(fmt.Sprintf("%s[%d]", path, i), s))
			}
		case "thinkingConfig":
			d.thinking(path, v)
		case "responseMimeType":
			d.mimeType(name, path, v)
		case "responseSchema", "responseJsonSchema", "_responseJsonSchema":
			d.Object(path, v)
			r.Output.Kind, r.Output.Schema = translate.OutputJSONSchema, d.schema(v)
		default:
			d.extra(inConfig, name, v)
		}
	})
}

func (d *requestDecoder) mimeType(name []byte, path string, v *fastjson.Value) {
	out := &d.r.Output
	switch d.Text(path, v) {
	case "application/json":
		if out.Kind == translate.OutputUnset {
			out.Kind = translate.OutputJSON
		}
	case "text/plain":
		out.Kind = translate.OutputText
	default: // an enumeration, for one
		d.extra(inConfig, name, v)
	}
}

// thinking reads https://ai.google.dev/gemini-api/docs/thinking.
func (d *requestDecoder) thinking(path string, v *fastjson.Value) {
	c := &d.r.Reasoning
	d.Object(path, v).Visit(func(name []byte, v *fastjson.Value) {
		if d.Err != nil || v.Type() == fastjson.TypeNull {
			return
		}
		at := path + "." + string(name)
		switch camel(string(name)) {
		case "thinkingBudget":
			c.Budget = d.Number(at, v)
			switch n := c.Budget.Int(); {
			case n < 0:
				c.Mode = translate.ReasoningAdaptive
			case n == 0:
				c.Mode = translate.ReasoningOff
			default:
				c.Mode = translate.ReasoningOn
			}
		case "thinkingLevel":
			c.Effort = strings.ToLower(d.Text(at, v))
			if c.Effort == "thinking_level_unspecified" {
				c.Effort = ""
			} else {
				c.Mode = translate.ReasoningOn
			}
		case "includeThoughts":
			c.Include = d.Bool(at, v)
		default:
			c.Extra = append(c.Extra, d.Field(name, v))
		}
	})
}

// tools reads one element of the list: declarations of functions, and tools that
// Google runs itself, each a member.
func (d *requestDecoder) tools(path string, v *fastjson.Value) {
	d.Object(path, v).Visit(func(name []byte, v *fastjson.Value) {
		if d.Err != nil || v.Type() == fastjson.TypeNull {
			return
		}
		if camel(string(name)) != "functionDeclarations" {
			f := d.Field(name, v)
			d.r.Tools = append(d.r.Tools, translate.Tool{
				Kind: translate.ServerTool, Name: camel(f.Name), RawFormat: translate.Gemini,
				Raw: string(append(rawjson.AppendMemberRaw([]byte("{"), f.Name, f.Value), '}')),
			})
			return
		}
		list := []*fastjson.Value{v}
		if v.Type() != fastjson.TypeObject {
			list = d.List(path+".functionDeclarations", v)
		}
		for i, f := range list {
			d.declaration(fmt.Sprintf("%s.functionDeclarations[%d]", path, i), f)
		}
	})
}

func (d *requestDecoder) declaration(path string, v *fastjson.Value) {
	d.Object(path, v)
	if d.Err != nil {
		return
	}
	t := translate.Tool{Kind: translate.FunctionTool, Name: text(v, "name"), Description: text(v, "description")}
	if t.Name == "" {
		d.Fail(path+".name", "must not be empty")
	}
	schema := get(v, "parametersJsonSchema")
	if tree.IsNull(schema) {
		schema = get(v, "parameters")
	}
	if !tree.IsNull(schema) {
		t.Schema = d.schema(schema)
	}
	t.Extra = d.rest(v, "name", "description", "parameters", "parametersJsonSchema")
	d.r.Tools = append(d.r.Tools, t)
}

// toolConfig reads https://ai.google.dev/api/caching#ToolConfig.
func (d *requestDecoder) toolConfig(v *fastjson.Value) {
	d.Object("toolConfig", v).Visit(func(name []byte, v *fastjson.Value) {
		if d.Err != nil || v.Type() == fastjson.TypeNull {
			return
		}
		if camel(string(name)) != "functionCallingConfig" {
			d.extra(inToolsCfg, name, v)
			return
		}
		d.calling(v)
	})
}

func (d *requestDecoder) calling(v *fastjson.Value) {
	c := &d.r.ToolChoice
	var allowed []*fastjson.Value
	d.Object("toolConfig.functionCallingConfig", v).Visit(func(name []byte, v *fastjson.Value) {
		if d.Err != nil || v.Type() == fastjson.TypeNull {
			return
		}
		switch camel(string(name)) {
		case "mode":
			switch d.Text(inCalling+"mode", v) {
			case "AUTO":
				c.Mode = translate.ToolAuto
			case "ANY":
				c.Mode = translate.ToolRequired
			case "NONE":
				c.Mode = translate.ToolNone
			case "MODE_UNSPECIFIED":
			default: // VALIDATED, for one
				c.Mode = translate.ToolAuto
				d.extra(inCalling, name, v)
			}
		case "allowedFunctionNames":
			allowed = d.List(inCalling+"allowedFunctionNames", v)
		default:
			d.extra(inCalling, name, v)
		}
	})
	if len(allowed) == 1 && c.Mode == translate.ToolRequired {
		c.Mode, c.Name = translate.ToolNamed, d.Text(inCalling+"allowedFunctionNames[0]", allowed[0])
		return
	}
	if len(allowed) > 0 {
		d.extra(inCalling, []byte("allowedFunctionNames"), get(v, "allowedFunctionNames"))
	}
}
