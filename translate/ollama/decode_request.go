package ollama

import (
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
)

// DecodeRequest implements [translate.Codec]. A request without messages is not
// a fault: it asks Ollama to load the model, or with keep_alive to unload it.
func (Codec) DecodeRequest(body []byte, o translate.RequestOptions) (*translate.Request, error) {
	doc, bad := tree.Parse(body, o.Checked)
	if bad != nil {
		return nil, bad
	}
	// Streaming is what Ollama does unless it is told not to.
	d := requestDecoder{Reader: tree.Reader{Doc: doc}, r: &translate.Request{Format: translate.Ollama, Stream: true}}
	d.r.OnRelease(doc.Release)
	d.generate = !tree.IsNull(doc.Root.Get("prompt")) || tree.IsNull(doc.Root.Get("messages"))
	if d.generate {
		d.prompt(doc.Root)
	}
	doc.Root.GetObject().Visit(func(name []byte, v *fastjson.Value) {
		if d.Err == nil && v.Type() != fastjson.TypeNull {
			d.member(name, v)
		}
	})
	if d.Err != nil {
		d.r.Release()
		return nil, d.Err
	}
	return d.r, nil
}

type requestDecoder struct {
	tree.Reader
	r        *translate.Request
	generate bool
	waiting  []*translate.Call // calls whose results have not come yet
}

// prompt reads what /api/generate has in place of messages.
func (d *requestDecoder) prompt(v *fastjson.Value) {
	d.r.Extra = append(d.r.Extra, translate.Field{Name: generateMark})
	if s := v.Get("system"); !tree.IsNull(s) {
		d.r.Messages = append(d.r.Messages, translate.Message{
			Role: translate.RoleSystem, Plain: true,
			Parts: []translate.Part{{Kind: translate.Text, Text: d.Text("system", s)}},
		})
	}
	m := translate.Message{Role: translate.RoleUser, Plain: true}
	if p := v.Get("prompt"); !tree.IsNull(p) {
		m.Parts = append(m.Parts, translate.Part{Kind: translate.Text, Text: d.Text("prompt", p)})
	}
	m.Parts = d.images("images", v.Get("images"), m.Parts)
	if len(m.Parts) > 0 {
		d.r.Messages = append(d.r.Messages, m)
	}
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
	case "messages":
		if d.generate {
			break
		}
		list := d.List(key, v)
		r.Messages = make([]translate.Message, 0, len(list))
		for i, m := range list {
			if d.Err == nil {
				d.message(i, m)
			}
		}
	case "tools":
		for i, t := range d.List(key, v) {
			d.tool(i, t)
		}
	case "think":
		d.think(v)
	case "format":
		d.output(v)
	case "options":
		d.Object(key, v).Visit(func(name []byte, v *fastjson.Value) {
			if d.Err == nil && v.Type() != fastjson.TypeNull {
				d.option(name, v)
			}
		})
	case "logprobs":
		r.LogProbs = d.Bool(key, v)
	case "top_logprobs":
		r.TopLogProbs = d.Number(key, v)
	case "prompt", "system", "images":
		if d.generate {
			break
		}
		fallthrough
	default:
		r.Extra = append(r.Extra, d.Field(name, v))
	}
}

// optionPrefix stands before the names of options in Request.Extra.
const optionPrefix = "options."

// option reads one of the parameters in
// https://docs.ollama.com/modelfile#valid-parameters-and-values. Most of them
// are about the machine that the model runs on, and no other format has them.
func (d *requestDecoder) option(name []byte, v *fastjson.Value) {
	r := d.r
	path := optionPrefix + string(name)
	switch string(name) {
	case "temperature":
		r.Temperature = d.Number(path, v)
	case "top_p":
		r.TopP = d.Number(path, v)
	case "top_k":
		r.TopK = d.Number(path, v)
	case "num_predict":
		n := d.Number(path, v)
		if strings.HasPrefix(string(n), "-") { // -1 is no limit at all
			r.Extra = append(r.Extra, translate.Field{Name: path, Value: string(n)})
			break
		}
		r.MaxTokens = n
	case "seed":
		r.Seed = d.Number(path, v)
	case "frequency_penalty":
		r.FrequencyPenalty = d.Number(path, v)
	case "presence_penalty":
		r.PresencePenalty = d.Number(path, v)
	case "stop":
		if s, ok := tree.String(v); ok {
			r.Stop = []string{s}
			break
		}
		for i, s := range d.List(path, v) {
			r.Stop = append(r.Stop, d.Text(fmt.Sprintf("%s[%d]", path, i), s))
		}
	default:
		f := d.Field(name, v)
		f.Name = path
		r.Extra = append(r.Extra, f)
	}
}

// think reads a switch or, for models that know them, a level. See
// https://docs.ollama.com/capabilities/thinking.
func (d *requestDecoder) think(v *fastjson.Value) {
	c := &d.r.Reasoning
	if level, ok := tree.String(v); ok {
		if level != "" {
			c.Mode, c.Effort = translate.ReasoningOn, level
		}
		return
	}
	on, ok := tree.Bool(v)
	switch {
	case !ok:
		d.Fail("think", "must be true, false or a level")
	case *on:
		c.Mode = translate.ReasoningOn
	default:
		c.Mode = translate.ReasoningOff
	}
}

// output reads the format, which is a word or a schema. Official clients send an
// empty word for none.
func (d *requestDecoder) output(v *fastjson.Value) {
	if s, ok := tree.String(v); ok {
		switch s {
		case "":
		case "json":
			d.r.Output.Kind = translate.OutputJSON
		default:
			d.Fail("format", `must be "json" or a JSON schema`)
		}
		return
	}
	d.Object("format", v)
	d.r.Output.Kind, d.r.Output.Schema = translate.OutputJSONSchema, d.Raw(v)
}

func (d *requestDecoder) tool(i int, v *fastjson.Value) {
	path := fmt.Sprintf("tools[%d]", i)
	if v.Type() != fastjson.TypeObject {
		d.Fail(path, "must be an object")
		return
	}
	f := v.Get("function")
	if f == nil {
		d.r.Tools = append(d.r.Tools, translate.Tool{Kind: translate.ServerTool, Name: tree.Text(v, "type"), Raw: d.Raw(v), RawFormat: translate.Ollama})
		return
	}
	t := translate.Tool{Kind: translate.FunctionTool, Extra: d.Rest(v, "type", "function")}
	d.Object(path+".function", f).Visit(func(name []byte, v *fastjson.Value) {
		if v.Type() == fastjson.TypeNull {
			return
		}
		switch string(name) {
		case "name":
			t.Name = d.Text(path+".function.name", v)
		case "description":
			t.Description, _ = tree.String(v)
		case "parameters":
			t.Schema = d.Raw(v)
		case "strict":
			t.Strict, _ = tree.Bool(v)
		default:
			f := d.Field(name, v)
			f.Name = functionPrefix + f.Name
			t.Extra = append(t.Extra, f)
		}
	})
	if t.Name == "" {
		d.Fail(path+".function.name", "must not be empty")
	}
	d.r.Tools = append(d.r.Tools, t)
}

// functionPrefix stands before the names of a function's own members in Extra.
const functionPrefix = "function."
