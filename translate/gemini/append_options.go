package gemini

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/effort"
	"github.com/nine-router/nine-router/translate/internal/schema"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// tools writes the declarations of functions together, and each of Google's own
// tools beside them.
func (w *requestWriter) tools() {
	mark := len(w.b)
	w.b = append(rawjson.AppendName(w.b, "tools"), '[')
	empty := len(w.b)
	functions := false
	for i := range w.r.Tools {
		t := &w.r.Tools[i]
		path := fmt.Sprintf("tools[%d]", i)
		if t.Kind == translate.ServerTool {
			if functions {
				w.b, functions = append(w.b, "]}"...), false
			}
			if t.RawFormat != translate.Gemini {
				w.losses.Drop(path, "a tool that only another provider runs")
				continue
			}
			w.b = append(rawjson.AppendComma(w.b), t.Raw...)
			continue
		}
		if !functions {
			w.b, functions = append(rawjson.AppendComma(w.b), `{"functionDeclarations":[`...), true
		}
		w.declaration(path, t)
	}
	if functions {
		w.b = append(w.b, "]}"...)
	}
	if len(w.b) == empty {
		w.b = w.b[:mark]
		return
	}
	w.b = append(w.b, ']')
}

// declaration writes a function. Its schema goes as JSON Schema, which the API
// takes as it stands, "$ref" and all.
func (w *requestWriter) declaration(path string, t *translate.Tool) {
	w.b = append(rawjson.AppendComma(w.b), '{')
	w.b = rawjson.AppendMember(w.b, "name", t.Name)
	if t.Description != "" || !w.same {
		w.b = rawjson.AppendMember(w.b, "description", t.Description)
	}
	if s := t.Schema; s != "" {
		if !w.same {
			var exact bool
			if s, exact = schema.Object(s); !exact {
				w.losses.Approximate(path+".parameters", "the schema's alternatives became one object")
			}
		}
		w.b = rawjson.AppendRaw(w.b, "parametersJsonSchema", s)
	}
	if t.Strict != nil && *t.Strict {
		w.losses.Drop(path+".strict", "Gemini holds a model to its schemas in another way: by the mode of calling")
	}
	if t.Cache != nil {
		w.losses.Drop(path+".cache_control", "Gemini caches on its own")
	}
	w.fields(path, t.Extra)
	w.b = append(w.b, '}')
}

// toolConfig writes which functions the model may or must call.
func (w *requestWriter) toolConfig() {
	r := w.r
	if p := r.ParallelTools; p != nil && !*p {
		w.losses.Drop("parallel_tool_calls", "Gemini has no such option")
	}
	mode := ""
	switch r.ToolChoice.Mode {
	case translate.ToolAuto:
		mode = "AUTO"
	case translate.ToolNone:
		mode = "NONE"
	case translate.ToolRequired, translate.ToolNamed:
		mode = "ANY"
	case translate.ToolOther:
		w.losses.Drop("tool_choice", "a form that only its own format knows")
	}
	if mode != "" && !w.same && !w.functions() {
		mode = "" // the API refuses a mode without functions
	}
	mark := len(w.b)
	w.b = append(rawjson.AppendName(w.b, "toolConfig"), '{')
	empty := len(w.b)
	calling := []byte(nil)
	for _, f := range r.Extra {
		if name, ok := strings.CutPrefix(f.Name, inCalling); ok && w.same {
			if camel(name) == "mode" {
				mode = ""
			}
			if calling == nil {
				calling = append(calling, '{')
			}
			calling = rawjson.AppendMemberRaw(calling, name, f.Value)
		}
	}
	if mode != "" {
		if calling == nil {
			calling = append(calling, '{')
		}
		calling = rawjson.AppendMember(calling, "mode", mode)
		if r.ToolChoice.Mode == translate.ToolNamed {
			calling = append(rawjson.AppendName(calling, "allowedFunctionNames"), '[')
			calling = append(rawjson.AppendString(calling, r.ToolChoice.Name), ']')
		}
	}
	if calling != nil {
		w.b = append(rawjson.AppendRaw(w.b, "functionCallingConfig", calling), '}')
	}
	for _, f := range r.Extra {
		if name, ok := strings.CutPrefix(f.Name, inToolsCfg); ok && w.same && !strings.HasPrefix(f.Name, inCalling) {
			w.b = rawjson.AppendMemberRaw(w.b, name, f.Value)
		}
	}
	if len(w.b) == empty {
		w.b = w.b[:mark]
		return
	}
	w.b = append(w.b, '}')
}

func (w *requestWriter) functions() bool {
	for i := range w.r.Tools {
		if w.r.Tools[i].Kind != translate.ServerTool {
			return true
		}
	}
	return false
}

func (w *requestWriter) number(name string, n translate.Number) {
	if n.IsSet() {
		w.b = rawjson.AppendRaw(w.b, name, string(n))
	}
}

// maxStops is how many stop sequences the API takes
// (https://ai.google.dev/api/generate-content#v1beta.GenerationConfig).
const maxStops = 5

// config writes the options of the answer.
func (w *requestWriter) config() {
	r := w.r
	if r.CountOnly {
		return
	}
	mark := len(w.b)
	w.b = append(rawjson.AppendName(w.b, "generationConfig"), '{')
	empty := len(w.b)
	w.number("temperature", r.Temperature)
	w.number("topP", r.TopP)
	w.number("topK", r.TopK)
	w.number("maxOutputTokens", r.MaxTokens)
	w.number("candidateCount", r.N)
	w.number("seed", r.Seed)
	w.number("presencePenalty", r.PresencePenalty)
	w.number("frequencyPenalty", r.FrequencyPenalty)
	if r.LogProbs != nil {
		w.b = rawjson.AppendBool(w.b, "responseLogprobs", *r.LogProbs)
	}
	w.number("logprobs", r.TopLogProbs)
	if stops := r.Stop; len(stops) > 0 {
		if len(stops) > maxStops && !w.same {
			w.losses.Drop("stop", "Gemini takes five stop sequences")
			stops = stops[:maxStops]
		}
		w.b = append(rawjson.AppendName(w.b, "stopSequences"), '[')
		for _, s := range stops {
			w.b = rawjson.AppendString(rawjson.AppendComma(w.b), s)
		}
		w.b = append(w.b, ']')
	}
	w.output()
	w.thinking()
	for _, f := range r.Extra {
		if name, ok := strings.CutPrefix(f.Name, inConfig); ok && w.same {
			w.b = rawjson.AppendMemberRaw(w.b, name, f.Value)
		}
	}
	if len(w.b) == empty {
		w.b = w.b[:mark]
		return
	}
	w.b = append(w.b, '}')
}

// told returns the words that ask for the form of the answer where the model
// cannot be held to it: before Gemini 3 not beside functions
// (https://ai.google.dev/gemini-api/docs/structured-output).
func (w *requestWriter) told() string {
	out := &w.r.Output
	if w.same || !w.loose || w.r.CountOnly || !w.functions() {
		return ""
	}
	if out.Kind == translate.OutputJSONSchema {
		w.losses.Approximate("response_format", "the form of the answer became an instruction: this model is not held to one beside tools")
		return "Give your final answer as JSON and nothing else. It must be valid by this JSON Schema:\n" + out.Schema
	}
	return ""
}

func (w *requestWriter) output() {
	out := &w.r.Output
	if w.schema != "" {
		return
	}
	if out.Name != "" && !w.same {
		w.losses.Drop("response_format.name", "a schema has no name here")
	}
	if out.Description != "" {
		w.losses.Drop("response_format.description", "a schema has no description beside itself here")
	}
	switch out.Kind {
	case translate.OutputText:
		w.b = rawjson.AppendMember(w.b, "responseMimeType", "text/plain")
	case translate.OutputJSON:
		if w.loose && w.functions() && !w.same {
			w.losses.Drop("response_format", "this model cannot be held to JSON beside tools")
			break
		}
		w.b = rawjson.AppendMember(w.b, "responseMimeType", "application/json")
	case translate.OutputJSONSchema:
		if !w.hasMimeType() {
			w.b = rawjson.AppendMember(w.b, "responseMimeType", "application/json")
		}
		if out.Schema != "" {
			w.b = rawjson.AppendRaw(w.b, "responseJsonSchema", out.Schema)
		}
	}
}

// hasMimeType says that the client named a type that the model has no word for.
func (w *requestWriter) hasMimeType() bool {
	for _, f := range w.r.Extra {
		if name, ok := strings.CutPrefix(f.Name, inConfig); ok && w.same && camel(name) == "responseMimeType" {
			return true
		}
	}
	return false
}

// thinking writes how much to think: a budget for models before Gemini 3, a level
// for those since.
func (w *requestWriter) thinking() {
	c := &w.r.Reasoning
	budget, level := "", ""
	if w.same {
		budget, level = string(c.Budget), c.Effort
	} else {
		for _, f := range c.Extra {
			w.losses.Drop("reasoning."+f.Name, "Gemini has no such option")
		}
		if c.Summary != "" && c.Summary != "auto" {
			w.losses.Approximate("reasoning.summary", "thoughts have no length here")
		}
		if c.Encrypted {
			w.losses.Approximate("include", "the state of the reasoning comes without being asked for")
		}
		budget, level = w.amount(c)
	}
	include := c.Include
	if include == nil && !w.same && c.Shown() && c.Mode != translate.ReasoningOff && c.Effort != "none" && (c.IsSet() || c.Summary != "") {
		yes := true
		include = &yes
	}
	if budget == "" && level == "" && include == nil && (!w.same || len(c.Extra) == 0) {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "thinkingConfig"), '{')
	if budget != "" {
		w.b = rawjson.AppendRaw(w.b, "thinkingBudget", budget)
	}
	if level != "" {
		w.b = rawjson.AppendMember(w.b, "thinkingLevel", strings.ToUpper(level))
	}
	if include != nil {
		w.b = rawjson.AppendBool(w.b, "includeThoughts", *include)
	}
	if w.same {
		for _, f := range c.Extra {
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
		}
	}
	w.b = append(w.b, '}')
}

// amount returns the budget or the level for the model.
func (w *requestWriter) amount(c *translate.ReasoningConfig) (budget, level string) {
	f := effort.Gemini(w.r.Model)
	off := c.Mode == translate.ReasoningOff || c.Effort == "none"
	switch {
	case !c.IsSet():
		return "", ""
	case f.Budget && off:
		if !f.CanStop {
			w.losses.Approximate("reasoning.effort", "the model cannot be told not to reason")
			return strconv.FormatInt(f.Floor, 10), ""
		}
		return "0", ""
	case f.Budget && c.Budget.IsSet():
		n := c.Budget.Int()
		if bounded := f.Bound(n); bounded != n && n >= 0 {
			w.losses.Approximate("reasoning.budget", "the model takes another range of budgets")
			n = bounded
		}
		return strconv.FormatInt(max(n, -1), 10), ""
	case f.Budget && c.Effort != "":
		return strconv.FormatInt(f.BudgetOf(c.Effort), 10), ""
	case f.Budget && c.Mode == translate.ReasoningAdaptive:
		return "-1", ""
	case f.Budget:
		return "", ""
	case len(f.Words) == 0:
		if !off {
			w.losses.Drop("reasoning.effort", "the model does not reason")
		}
		return "", ""
	case off:
		w.losses.Approximate("reasoning.effort", "the model cannot be told not to reason")
		return "", f.Words[0]
	}
	word := c.Effort
	if word == "" && c.Budget.IsSet() && c.Budget.Int() >= 0 {
		word = effort.OfBudget(c.Budget.Int())
		w.losses.Approximate("reasoning.budget", "a budget of tokens became a level")
	}
	if word == "" {
		return "", ""
	}
	near := f.Nearest(word)
	if near != word {
		w.losses.Approximate("reasoning.effort", "the model has no effort "+word+": it got "+near)
	}
	return "", near
}

// settings writes what stands beside the configuration, and lists what Gemini
// has no word for.
func (w *requestWriter) settings() {
	r := w.r
	if r.ServiceTier != "" {
		w.tier()
	}
	for _, o := range [...]struct {
		name string
		set  bool
		why  string
	}{
		{"user", r.User != "", "Gemini knows no users"},
		{"prompt_cache_key", r.CacheKey != "", "Gemini caches on its own"},
		{"cache_control", r.Cache != nil, "Gemini caches on its own"},
		{"verbosity", r.Verbosity != "", "Gemini has no such option"},
	} {
		if o.set {
			w.losses.Drop(o.name, o.why)
		}
	}
	for _, f := range r.Extra {
		switch {
		case !w.same:
			w.losses.DropFields("", []translate.Field{f}, "Gemini has no such member")
		case strings.HasPrefix(f.Name, inConfig), strings.HasPrefix(f.Name, inToolsCfg):
		case r.CountOnly && camel(f.Name) != "cachedContent":
		default:
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
		}
	}
}

// tier writes the service tier, see https://ai.google.dev/gemini-api/docs/flex-inference.
func (w *requestWriter) tier() {
	switch t := w.r.ServiceTier; {
	case w.same && t != "default", t == "flex", t == "priority":
		w.b = rawjson.AppendMember(w.b, "serviceTier", t)
	case t == "default", t == "standard_only":
		w.b = rawjson.AppendMember(w.b, "serviceTier", "standard")
	case t == "auto": // what is not said
	default:
		w.losses.Drop("service_tier", "a tier of another provider")
	}
}
