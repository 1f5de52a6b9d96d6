package ollama

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	reasoning "github.com/nine-router/nine-router/translate/internal/effort"
	"github.com/nine-router/nine-router/translate/rawjson"
)

func (w *requestWriter) tools() {
	r := w.r
	switch r.ToolChoice.Mode {
	case translate.ToolUnset, translate.ToolAuto:
	case translate.ToolNone:
		if len(r.Tools) > 0 {
			w.losses.Approximate("tool_choice", "tools that may not be called are left out")
		}
		return
	default:
		w.losses.Drop("tool_choice", "Ollama leaves it to the model whether it calls a tool")
	}
	if p := r.ParallelTools; p != nil && !*p {
		w.losses.Drop("parallel_tool_calls", "Ollama has no such option")
	}
	begun := false
	for i := range r.Tools {
		t := &r.Tools[i]
		path := fmt.Sprintf("tools[%d]", i)
		if t.Kind == translate.ServerTool && t.RawFormat != translate.Ollama {
			w.losses.Drop(path, "a tool that only another provider runs")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "tools"), '['), true
		}
		w.b = rawjson.AppendComma(w.b)
		if t.Kind == translate.ServerTool {
			w.b = append(w.b, t.Raw...)
		} else {
			w.tool(path, t)
		}
	}
	if begun {
		w.b = append(w.b, ']')
	}
}

func (w *requestWriter) tool(path string, t *translate.Tool) {
	w.b = append(w.b, `{"type":"function","function":{`...)
	w.b = rawjson.AppendMember(w.b, "name", t.Name)
	if t.Description != "" {
		w.b = rawjson.AppendMember(w.b, "description", t.Description)
	}
	switch {
	case t.Schema != "":
		w.b = rawjson.AppendRaw(w.b, "parameters", t.Schema)
	case !w.same: // templates of models read it without asking
		w.b = rawjson.AppendRaw(w.b, "parameters", `{"type":"object","properties":{}}`)
	}
	if !w.same {
		w.b = append(w.b, "}}"...)
		if t.Strict != nil && *t.Strict {
			w.losses.Drop(path+".strict", "Ollama does not hold a model to a tool's schema")
		}
		if t.Cache != nil {
			w.losses.Drop(path+".cache_control", "Ollama caches on its own")
		}
		w.drop(path, t.Extra)
		return
	}
	if t.Strict != nil {
		w.b = rawjson.AppendBool(w.b, "strict", *t.Strict)
	}
	for _, f := range t.Extra {
		if name, ok := strings.CutPrefix(f.Name, functionPrefix); ok {
			w.b = rawjson.AppendMemberRaw(w.b, name, f.Value)
		}
	}
	w.b = append(w.b, '}')
	for _, f := range t.Extra {
		if !strings.HasPrefix(f.Name, functionPrefix) {
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
		}
	}
	w.b = append(w.b, '}')
}

// settings writes what stands beside the options, and lists what Ollama has no
// word for.
func (w *requestWriter) settings() {
	r := w.r
	// Said in every case: without it Ollama streams.
	w.b = rawjson.AppendBool(w.b, "stream", r.Stream)
	w.output()
	w.think()
	if r.LogProbs != nil {
		w.b = rawjson.AppendBool(w.b, "logprobs", *r.LogProbs)
	}
	w.b = appendNumber(w.b, "top_logprobs", r.TopLogProbs)
	if r.N.IsSet() && r.N.Int() != 1 {
		w.losses.Drop("n", "Ollama gives one answer")
	}
	if r.User != "" {
		w.losses.Drop("user", "Ollama knows no users")
	}
	if r.CacheKey != "" {
		w.losses.Drop("prompt_cache_key", "Ollama caches on its own")
	}
	if r.Cache != nil {
		w.losses.Drop("cache_control", "Ollama caches on its own")
	}
	if r.ServiceTier != "" {
		w.losses.Drop("service_tier", "the tiers of another provider")
	}
}

// output writes the form of the text. A schema has no name here; what it is for
// is no part of the form, so only the description is missed.
func (w *requestWriter) output() {
	out := &w.r.Output
	if out.Description != "" {
		w.losses.Drop("response_format.description", "Ollama takes a schema alone")
	}
	switch {
	case out.Kind == translate.OutputJSONSchema && out.Schema != "":
		w.b = rawjson.AppendRaw(w.b, "format", out.Schema)
	case out.Kind == translate.OutputJSON, out.Kind == translate.OutputJSONSchema:
		w.b = rawjson.AppendMember(w.b, "format", "json")
	}
}

// think writes how much to reason. Only gpt-oss knows levels, see
// https://docs.ollama.com/capabilities/thinking; a model that cannot reason
// refuses a request that asks it to.
func (w *requestWriter) think() {
	c := &w.r.Reasoning
	if w.same {
		switch {
		case c.Effort != "":
			w.b = rawjson.AppendMember(w.b, "think", c.Effort)
		case c.Mode != translate.ReasoningUnset:
			w.b = rawjson.AppendBool(w.b, "think", c.Mode == translate.ReasoningOn)
		}
		return
	}
	if c.Summary != "" || c.Include != nil {
		w.losses.Drop("reasoning.summary", "Ollama has no option of whether reasoning is shown")
	}
	for _, f := range c.Extra {
		w.losses.Drop("thinking."+f.Name, "Ollama has no such option")
	}
	effort := c.Effort
	levels := strings.Contains(w.r.Model, "gpt-oss")
	if effort == "" && c.Budget.IsSet() && c.Mode == translate.ReasoningOn {
		effort = reasoning.OfBudget(c.Budget.Int())
		w.losses.Approximate("thinking.budget_tokens", "Ollama takes no budget of tokens")
	}
	switch {
	case !c.IsSet():
	case c.Mode == translate.ReasoningOff || effort == "none":
		w.b = rawjson.AppendBool(w.b, "think", false)
	case levels && effort != "":
		w.b = rawjson.AppendMember(w.b, "think", w.level(effort))
	case c.Mode == translate.ReasoningAdaptive:
		w.losses.Drop("thinking", "adaptive is what a model does here when it is told nothing")
	default:
		w.b = rawjson.AppendBool(w.b, "think", true)
		if c.Effort != "" {
			w.losses.Approximate("reasoning_effort", "this model reasons or it does not")
		}
	}
}

// level returns the nearest of the three levels.
func (w *requestWriter) level(effort string) string {
	near := effort
	switch effort {
	case "low", "medium", "high":
		return effort
	case "minimal":
		near = "low"
	default:
		near = "high"
	}
	w.losses.Approximate("reasoning_effort", "Ollama knows low, medium and high")
	return near
}

func appendNumber(b []byte, name string, n translate.Number) []byte {
	if n.IsSet() {
		b = rawjson.AppendRaw(b, name, string(n))
	}
	return b
}

// options writes the parameters of the model, which are an object of their own.
func (w *requestWriter) options() {
	r := w.r
	mark := len(w.b)
	b := append(rawjson.AppendName(w.b, "options"), '{')
	empty := len(b)
	b = appendNumber(b, "num_predict", r.MaxTokens)
	b = appendNumber(b, "temperature", r.Temperature)
	b = appendNumber(b, "top_p", r.TopP)
	b = appendNumber(b, "top_k", r.TopK)
	b = appendNumber(b, "frequency_penalty", r.FrequencyPenalty)
	b = appendNumber(b, "presence_penalty", r.PresencePenalty)
	b = appendNumber(b, "seed", r.Seed)
	if len(r.Stop) > 0 {
		b = append(rawjson.AppendName(b, "stop"), '[')
		for _, s := range r.Stop {
			b = rawjson.AppendString(rawjson.AppendComma(b), s)
		}
		b = append(b, ']')
	}
	for _, f := range r.Extra {
		if name, ok := strings.CutPrefix(f.Name, optionPrefix); ok && w.same {
			b = rawjson.AppendMemberRaw(b, name, f.Value)
		}
	}
	if len(b) == empty {
		w.b = b[:mark]
		return
	}
	w.b = append(b, '}')
}
