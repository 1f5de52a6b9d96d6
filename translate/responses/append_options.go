package responses

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/effort"
	"github.com/nine-router/nine-router/translate/internal/schema"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// tools writes the tools; those of one namespace stand together in it.
func (w *requestWriter) tools() {
	begun, open := false, ""
	for i := range w.r.Tools {
		t := &w.r.Tools[i]
		path := fmt.Sprintf("tools[%d]", i)
		if w.same && marked(t.Extra, additionalTools) {
			continue // they stand among the items
		}
		if t.Kind == translate.ServerTool && t.RawFormat != translate.Responses {
			w.losses.Drop(path, "a tool that only another provider runs")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "tools"), '['), true
		}
		if t.Namespace != open {
			if open != "" {
				w.b = append(w.b, "]}"...)
			}
			if open = t.Namespace; open != "" {
				w.namespace(open)
			}
		}
		w.b = rawjson.AppendComma(w.b)
		w.tool(path, t)
	}
	if !begun {
		if len(w.r.Tools) > 0 {
			w.toolChoice()
		}
		return
	}
	if open != "" {
		w.b = append(w.b, "]}"...)
	}
	w.b = append(w.b, ']')
	w.toolChoice()
}

func (w *requestWriter) namespace(name string) {
	w.b = append(rawjson.AppendComma(w.b), `{"type":"namespace"`...)
	w.b = rawjson.AppendMember(w.b, "name", name)
	for _, n := range w.r.Namespaces {
		if n.Name == name {
			w.b = rawjson.AppendMember(w.b, "description", n.Description)
			break
		}
	}
	w.b = append(rawjson.AppendName(w.b, "tools"), '[')
}

func (w *requestWriter) tool(path string, t *translate.Tool) {
	if t.Kind == translate.ServerTool {
		w.b = append(w.b, t.Raw...)
		return
	}
	kind := "function"
	if t.Kind == translate.CustomTool {
		kind = "custom"
	}
	w.b = rawjson.AppendMember(append(w.b, '{'), "type", kind)
	w.b = rawjson.AppendMember(w.b, "name", t.Name)
	if t.Description != "" {
		w.b = rawjson.AppendMember(w.b, "description", t.Description)
	}
	switch {
	case t.Grammar != nil:
		w.b = append(rawjson.AppendName(w.b, "format"), `{"type":"grammar"`...)
		w.b = rawjson.AppendMember(w.b, "syntax", t.Grammar.Syntax)
		w.b = append(rawjson.AppendMember(w.b, "definition", t.Grammar.Definition), '}')
	case t.Kind == translate.CustomTool:
	case t.Schema != "" && !w.same && w.r.Format != translate.OpenAI:
		s, exact := schema.Object(t.Schema)
		if !exact {
			w.losses.Approximate(path+".parameters", "the schema's alternatives became one object")
		}
		w.b = rawjson.AppendRaw(w.b, "parameters", s)
	case t.Schema != "":
		w.b = rawjson.AppendRaw(w.b, "parameters", t.Schema)
	case !w.same:
		w.b = rawjson.AppendRaw(w.b, "parameters", `{"type":"object","properties":{}}`) // required
	}
	switch {
	case t.Strict != nil:
		w.b = rawjson.AppendBool(w.b, "strict", *t.Strict)
	case !w.same && t.Kind == translate.FunctionTool:
		w.b = rawjson.AppendBool(w.b, "strict", false) // true by default, which not every schema allows
	}
	if t.Deferred {
		w.b = rawjson.AppendBool(w.b, "defer_loading", true)
	}
	if t.Cache != nil {
		w.losses.Drop(path+".cache_control", "the provider caches on its own")
	}
	w.fields(path, t.Extra)
	w.b = append(w.b, '}')
}

func (w *requestWriter) toolChoice() {
	switch c := &w.r.ToolChoice; c.Mode {
	case translate.ToolAuto:
		w.b = rawjson.AppendMember(w.b, "tool_choice", "auto")
	case translate.ToolNone:
		w.b = rawjson.AppendMember(w.b, "tool_choice", "none")
	case translate.ToolRequired:
		w.b = rawjson.AppendMember(w.b, "tool_choice", "required")
	case translate.ToolNamed:
		kind := "function"
		for i := range w.r.Tools {
			if t := &w.r.Tools[i]; t.Name == c.Name && t.Kind == translate.CustomTool {
				kind = "custom"
			}
		}
		w.b = append(rawjson.AppendName(w.b, "tool_choice"), '{')
		w.b = rawjson.AppendMember(w.b, "type", kind)
		if c.Namespace != "" {
			w.b = rawjson.AppendMember(w.b, "namespace", c.Namespace)
		}
		w.b = append(rawjson.AppendMember(w.b, "name", c.Name), '}')
	case translate.ToolOther:
		if w.same {
			w.b = rawjson.AppendRaw(w.b, "tool_choice", c.Raw)
		} else {
			w.losses.Drop("tool_choice", "a form that only its own format knows")
		}
	}
	if p := w.r.ParallelTools; p != nil {
		w.b = rawjson.AppendBool(w.b, "parallel_tool_calls", *p)
	}
}

func (w *requestWriter) number(name string, n translate.Number) {
	if n.IsSet() {
		w.b = rawjson.AppendRaw(w.b, name, string(n))
	}
}

func (w *requestWriter) options() {
	r := w.r
	if r.CountOnly {
		w.text()
		return
	}
	w.number("max_output_tokens", r.MaxTokens)
	w.number("temperature", r.Temperature)
	w.number("top_p", r.TopP)
	w.number("top_logprobs", r.TopLogProbs)
	for _, o := range [...]struct {
		name string
		n    translate.Number
	}{{"top_k", r.TopK}, {"frequency_penalty", r.FrequencyPenalty}, {"presence_penalty", r.PresencePenalty}, {"seed", r.Seed}} {
		if o.n.IsSet() {
			w.losses.Drop(o.name, "Responses has no such option")
		}
	}
	if r.N.IsSet() && r.N.Int() != 1 {
		w.losses.Drop("n", "Responses gives one answer")
	}
	if len(r.Stop) > 0 {
		w.losses.Drop("stop", "Responses has no stop sequences")
	}
	w.text()
	w.reasoningConfig()
	if r.User != "" {
		w.b = rawjson.AppendMember(w.b, "user", r.User)
	}
	if r.CacheKey != "" {
		w.b = rawjson.AppendMember(w.b, "prompt_cache_key", r.CacheKey)
	}
	if r.Cache != nil {
		w.losses.Drop("cache_control", "the provider caches on its own")
	}
	switch {
	case r.ServiceTier == "":
	case w.shared():
		w.b = rawjson.AppendMember(w.b, "service_tier", r.ServiceTier)
	default:
		w.losses.Drop("service_tier", "the tiers of another provider")
	}
	stored := w.extra()
	w.include()
	if !w.same && !stored {
		// What the client's format does not keep, the provider need not either.
		w.b = rawjson.AppendBool(w.b, "store", false)
	}
	if r.Stream {
		w.b = rawjson.AppendBool(w.b, "stream", true)
	}
}

// both are the members that Chat Completions and Responses have in common,
// beside those of the model.
var both = []string{"store", "metadata", "safety_identifier", "prompt_cache_retention"}

// extra writes the members that are kept as they stood, and says whether one of
// them was store.
func (w *requestWriter) extra() (stored bool) {
	for _, f := range w.r.Extra {
		switch {
		case f.Name == "include" || strings.HasPrefix(f.Name, "text."):
			continue
		case w.same, w.shared() && contains(both, f.Name):
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
			stored = stored || f.Name == "store"
		default:
			w.losses.DropFields("", []translate.Field{f}, "Responses has no such member")
		}
	}
	return stored
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

func (w *requestWriter) include() {
	begun := false
	add := func(raw string) {
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "include"), '['), true
		}
		w.b = append(rawjson.AppendComma(w.b), raw...)
	}
	if l := w.r.LogProbs; l != nil && *l {
		add(`"` + includeLogProbs + `"`)
	}
	// Without it reasoning could not return on the next turn.
	if w.r.Reasoning.Encrypted || !w.same && effort.Reasons(w.r.Model) {
		add(`"` + includeEncrypted + `"`)
	}
	if w.same {
		for _, f := range w.r.Extra {
			if f.Name == "include" {
				add(f.Value)
			}
		}
	}
	if begun {
		w.b = append(w.b, ']')
	}
}

func (w *requestWriter) text() {
	begun := false
	open := func() {
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "text"), '{'), true
		}
	}
	out := &w.r.Output
	switch out.Kind {
	case translate.OutputText:
		open()
		w.b = rawjson.AppendRaw(w.b, "format", `{"type":"text"}`)
	case translate.OutputJSON:
		open()
		w.b = rawjson.AppendRaw(w.b, "format", `{"type":"json_object"}`)
	case translate.OutputJSONSchema:
		open()
		w.b = append(rawjson.AppendName(w.b, "format"), `{"type":"json_schema"`...)
		name := out.Name
		if name == "" {
			name = "answer" // required
		}
		w.b = rawjson.AppendMember(w.b, "name", name)
		if out.Description != "" {
			w.b = rawjson.AppendMember(w.b, "description", out.Description)
		}
		if out.Strict != nil {
			w.b = rawjson.AppendBool(w.b, "strict", *out.Strict)
		}
		if out.Schema != "" {
			w.b = rawjson.AppendRaw(w.b, "schema", out.Schema)
		}
		w.b = append(w.b, '}')
	}
	if w.r.Verbosity != "" {
		open()
		w.b = rawjson.AppendMember(w.b, "verbosity", w.r.Verbosity)
	}
	if w.same {
		for _, f := range w.r.Extra {
			if name, ok := strings.CutPrefix(f.Name, "text."); ok {
				open()
				w.b = rawjson.AppendMemberRaw(w.b, name, f.Value)
			}
		}
	}
	if begun {
		w.b = append(w.b, '}')
	}
}

// reasoningConfig writes how much to reason, and asks for a summary where the
// client's format shows reasoning.
func (w *requestWriter) reasoningConfig() {
	c := &w.r.Reasoning
	word, summary := c.Effort, c.Summary
	if !w.same {
		word = effort.Word(c, w.r.Model, w.losses)
		for _, f := range c.Extra {
			w.losses.Drop("reasoning."+f.Name, "Responses has no such option")
		}
		if summary == "" && c.Shown() && effort.Reasons(w.r.Model) {
			summary = "auto"
		} else if c.Include != nil {
			w.losses.Drop("reasoning.summary", "a model that is not known to reason is not asked for a summary")
		}
	}
	if word == "" && summary == "" && (!w.same || len(c.Extra) == 0) {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "reasoning"), '{')
	if word != "" {
		w.b = rawjson.AppendMember(w.b, "effort", word)
	}
	if summary != "" {
		w.b = rawjson.AppendMember(w.b, "summary", summary)
	}
	if w.same {
		w.fields("reasoning", c.Extra)
	}
	w.b = append(w.b, '}')
}
