package cohere

import (
	"fmt"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

func (w *requestWriter) tools() {
	begun, strict, loose := false, 0, 0
	for i := range w.r.Tools {
		t := &w.r.Tools[i]
		path := fmt.Sprintf("tools[%d]", i)
		if t.Kind == translate.ServerTool {
			w.losses.Drop(path, "a tool that only another provider runs")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "tools"), '['), true
		}
		w.b = append(rawjson.AppendComma(w.b), `{"type":"function","function":{`...)
		w.b = rawjson.AppendMember(w.b, "name", t.Name)
		if t.Description != "" {
			w.b = rawjson.AppendMember(w.b, "description", t.Description)
		}
		schema := t.Schema
		if schema == "" {
			schema = `{"type":"object","properties":{}}` // required
		}
		w.b = append(rawjson.AppendRaw(w.b, "parameters", schema), "}}"...)
		if t.Strict != nil && *t.Strict {
			strict++
		} else {
			loose++
		}
		if t.Cache != nil {
			w.losses.Drop(path+".cache_control", "Cohere caches on its own")
		}
		w.drop(path+".", t.Extra)
	}
	if !begun {
		return
	}
	w.b = append(w.b, ']')
	switch {
	case strict > 0 && loose == 0:
		w.b = rawjson.AppendBool(w.b, "strict_tools", true)
	case strict > 0:
		w.losses.Drop("tools.strict", "Cohere is strict with all tools or none")
	}
	w.toolChoice()
	if p := w.r.ParallelTools; p != nil && !*p {
		w.losses.Drop("parallel_tool_calls", "Cohere has no such option")
	}
}

// toolChoice writes the two words that there are; without one the model does as
// it likes.
func (w *requestWriter) toolChoice() {
	switch w.r.ToolChoice.Mode {
	case translate.ToolNone:
		w.b = rawjson.AppendMember(w.b, "tool_choice", "NONE")
	case translate.ToolRequired:
		w.b = rawjson.AppendMember(w.b, "tool_choice", "REQUIRED")
	case translate.ToolNamed:
		w.losses.Approximate("tool_choice", "Cohere can be made to call a tool, but not which")
		w.b = rawjson.AppendMember(w.b, "tool_choice", "REQUIRED")
	case translate.ToolOther:
		w.losses.Drop("tool_choice", "a form that only its own format knows")
	}
}

func (w *requestWriter) number(name string, n translate.Number) {
	if n.IsSet() {
		w.b = rawjson.AppendRaw(w.b, name, string(n))
	}
}

func (w *requestWriter) options() {
	r := w.r
	w.b = rawjson.AppendBool(w.b, "stream", r.Stream)
	w.number("max_tokens", r.MaxTokens)
	w.number("temperature", r.Temperature)
	w.number("p", r.TopP)
	w.number("k", r.TopK)
	w.number("frequency_penalty", r.FrequencyPenalty)
	w.number("presence_penalty", r.PresencePenalty)
	w.number("seed", r.Seed)
	if r.LogProbs != nil {
		w.b = rawjson.AppendBool(w.b, "logprobs", *r.LogProbs)
	}
	if r.TopLogProbs.IsSet() {
		w.losses.Drop("top_logprobs", "Cohere tells the chosen tokens only")
	}
	w.stop()
	w.output()
	w.thinking()
	w.unknown()
}

// unknown lists what Cohere has no word for.
func (w *requestWriter) unknown() {
	r := w.r
	if r.N.IsSet() && r.N.Int() != 1 {
		w.losses.Drop("n", "Cohere gives one answer")
	}
	if r.User != "" {
		w.losses.Drop("user", "Cohere takes no users")
	}
	if r.CacheKey != "" {
		w.losses.Drop("prompt_cache_key", "Cohere caches on its own")
	}
	if r.Cache != nil {
		w.losses.Drop("cache_control", "Cohere caches on its own")
	}
	if r.ServiceTier != "" {
		w.losses.Drop("service_tier", "the tiers of another provider")
	}
}

// maxStops is how many stop sequences Cohere takes.
const maxStops = 5

func (w *requestWriter) stop() {
	stops := w.r.Stop
	if len(stops) == 0 {
		return
	}
	if len(stops) > maxStops {
		w.losses.Drop("stop", "only the first five are taken")
		stops = stops[:maxStops]
	}
	w.b = append(rawjson.AppendName(w.b, "stop_sequences"), '[')
	for _, s := range stops {
		w.b = rawjson.AppendString(rawjson.AppendComma(w.b), s)
	}
	w.b = append(w.b, ']')
}

// output writes the form of the text. A schema has no name here.
func (w *requestWriter) output() {
	out := &w.r.Output
	if out.Description != "" {
		w.losses.Drop("response_format.description", "Cohere takes a schema alone")
	}
	switch out.Kind {
	case translate.OutputText:
		w.b = rawjson.AppendRaw(w.b, "response_format", `{"type":"text"}`)
	case translate.OutputJSON, translate.OutputJSONSchema:
		w.b = append(rawjson.AppendName(w.b, "response_format"), `{"type":"json_object"`...)
		if out.Kind == translate.OutputJSONSchema && out.Schema != "" {
			w.b = rawjson.AppendRaw(w.b, "json_schema", out.Schema)
		}
		w.b = append(w.b, '}')
	}
}

// thinking writes whether to reason, and for how many tokens. A model that cannot
// is told so only if the client asks for reasoning in plain words.
func (w *requestWriter) thinking() {
	c := &w.r.Reasoning
	if c.Summary != "" || c.Include != nil {
		w.losses.Drop("reasoning.summary", "Cohere has no option of whether reasoning is shown")
	}
	for _, f := range c.Extra {
		w.losses.Drop("thinking."+f.Name, "Cohere has no such option")
	}
	switch {
	case !c.IsSet():
	case c.Mode == translate.ReasoningOff || c.Effort == "none":
		w.b = rawjson.AppendRaw(w.b, "thinking", `{"type":"disabled"}`)
	case c.Mode == translate.ReasoningAdaptive:
		w.losses.Drop("thinking", "adaptive is what a model does here when it is told nothing")
	default:
		w.b = append(rawjson.AppendName(w.b, "thinking"), `{"type":"enabled"`...)
		w.number("token_budget", c.Budget)
		w.b = append(w.b, '}')
		if c.Effort != "" && !c.Budget.IsSet() {
			w.losses.Approximate("reasoning_effort", "Cohere knows a budget and no effort")
		}
	}
}
