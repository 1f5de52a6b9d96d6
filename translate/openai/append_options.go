package openai

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/effort"
	"github.com/nine-router/nine-router/translate/internal/schema"
	"github.com/nine-router/nine-router/translate/rawjson"
)

func (w *requestWriter) tools() {
	if len(w.r.Tools) == 0 {
		return
	}
	begun := false
	for i := range w.r.Tools {
		t := &w.r.Tools[i]
		path := fmt.Sprintf("tools[%d]", i)
		if t.Kind == translate.ServerTool && t.RawFormat != translate.OpenAI {
			w.losses.Drop(path, "a tool that only another provider runs")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "tools"), '['), true
		}
		w.b = rawjson.AppendComma(w.b)
		switch t.Kind {
		case translate.ServerTool:
			w.b = append(w.b, t.Raw...)
			continue
		case translate.CustomTool:
			w.customTool(t)
			continue
		}
		w.b = append(w.b, `{"type":"function","function":{`...)
		w.b = rawjson.AppendMember(w.b, "name", t.Name)
		if t.Description != "" {
			w.b = rawjson.AppendMember(w.b, "description", t.Description)
		}
		if s := t.Schema; s != "" {
			if !w.same && w.r.Format != translate.Responses { // of the same maker
				var exact bool
				if s, exact = schema.Object(s); !exact {
					w.losses.Approximate(path+".parameters", "the schema's alternatives became one object")
				}
			}
			w.b = rawjson.AppendRaw(w.b, "parameters", s)
		}
		if t.Strict != nil {
			w.b = rawjson.AppendBool(w.b, "strict", *t.Strict)
		}
		w.b = append(w.b, '}')
		if w.same {
			w.b = appendFields(w.b, t.Extra)
		} else {
			w.fields(path, t.Extra)
			if t.Cache != nil {
				w.losses.Drop(path+".cache_control", "the provider caches on its own")
			}
		}
		w.b = append(w.b, '}')
	}
	if begun {
		w.b = append(w.b, ']')
	} else {
		return
	}
	w.toolChoice()
	if p := w.r.ParallelTools; p != nil {
		w.b = rawjson.AppendBool(w.b, "parallel_tool_calls", *p)
	}
}

func (w *requestWriter) customTool(t *translate.Tool) {
	w.b = append(w.b, `{"type":"custom","custom":{`...)
	w.b = rawjson.AppendMember(w.b, "name", t.Name)
	if t.Description != "" {
		w.b = rawjson.AppendMember(w.b, "description", t.Description)
	}
	if g := t.Grammar; g != nil {
		w.b = append(rawjson.AppendName(w.b, "format"), `{"type":"grammar","grammar":{`...)
		w.b = rawjson.AppendMember(w.b, "syntax", g.Syntax)
		w.b = append(rawjson.AppendMember(w.b, "definition", g.Definition), "}}"...)
	}
	w.b = append(w.b, "}}"...)
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
		w.b = rawjson.AppendMember(append(rawjson.AppendName(w.b, "tool_choice"), '{'), "type", kind)
		w.b = append(rawjson.AppendName(w.b, kind), '{')
		w.b = append(rawjson.AppendMember(w.b, "name", c.Name), "}}"...)
	case translate.ToolOther:
		if w.same {
			w.b = rawjson.AppendRaw(w.b, "tool_choice", c.Raw)
		} else {
			w.losses.Drop("tool_choice", "a form that only its own format knows")
		}
	}
}

func (w *requestWriter) number(name string, n translate.Number) {
	if n.IsSet() {
		w.b = rawjson.AppendRaw(w.b, name, string(n))
	}
}

func (w *requestWriter) options() {
	r := w.r
	if r.MaxTokens.IsSet() {
		name := "max_completion_tokens"
		if r.OldMaxTokens || !w.same && !ownModel(r.Model) {
			name = "max_tokens"
		}
		w.number(name, r.MaxTokens)
	}
	w.number("temperature", r.Temperature)
	w.number("top_p", r.TopP)
	if r.TopK.IsSet() {
		if w.same {
			w.number("top_k", r.TopK)
		} else {
			w.losses.Drop("top_k", "Chat Completions has no such option")
		}
	}
	w.number("frequency_penalty", r.FrequencyPenalty)
	w.number("presence_penalty", r.PresencePenalty)
	w.number("seed", r.Seed)
	w.number("n", r.N)
	if r.LogProbs != nil {
		w.b = rawjson.AppendBool(w.b, "logprobs", *r.LogProbs)
	}
	w.number("top_logprobs", r.TopLogProbs)
	w.stop()
	w.output()
	w.effort()
	if r.User != "" {
		w.b = rawjson.AppendMember(w.b, "user", r.User)
	}
	if r.CacheKey != "" {
		w.b = rawjson.AppendMember(w.b, "prompt_cache_key", r.CacheKey)
	}
	if r.Cache != nil {
		w.losses.Drop("cache_control", "the provider caches on its own")
	}
	if r.ServiceTier != "" {
		if w.same {
			w.b = rawjson.AppendMember(w.b, "service_tier", r.ServiceTier)
		} else {
			w.losses.Drop("service_tier", "the tiers of another provider")
		}
	}
	if r.Stream {
		w.b = rawjson.AppendBool(w.b, "stream", true)
		// Usage is needed for the books, whether the client wants it or not.
		w.b = rawjson.AppendRaw(w.b, "stream_options", `{"include_usage":true}`)
	}
}

// ownModel says that a model is one of OpenAI's own, which refuse the old name of
// the limit; compatible servers mostly know only the old one. See max_tokens in
// https://platform.openai.com/docs/api-reference/chat/create.
func ownModel(model string) bool {
	_, name, ok := strings.Cut(model, "/")
	if !ok {
		name = model
	}
	return strings.HasPrefix(name, "gpt-") && !strings.HasPrefix(name, "gpt-oss") || strings.HasPrefix(name, "chatgpt-") ||
		len(name) > 1 && name[0] == 'o' && '1' <= name[1] && name[1] <= '9'
}

// maxStops is how many stop sequences Chat Completions takes.
const maxStops = 4

func (w *requestWriter) stop() {
	stops := w.r.Stop
	if len(stops) == 0 {
		return
	}
	if len(stops) > maxStops && !w.same {
		w.losses.Drop("stop_sequences", "only the first four are taken")
		stops = stops[:maxStops]
	}
	w.b = append(rawjson.AppendName(w.b, "stop"), '[')
	for _, s := range stops {
		w.b = rawjson.AppendString(rawjson.AppendComma(w.b), s)
	}
	w.b = append(w.b, ']')
}

func (w *requestWriter) output() {
	out := &w.r.Output
	switch out.Kind {
	case translate.OutputText:
		w.b = rawjson.AppendRaw(w.b, "response_format", `{"type":"text"}`)
	case translate.OutputJSON:
		w.b = rawjson.AppendRaw(w.b, "response_format", `{"type":"json_object"}`)
	case translate.OutputJSONSchema:
		name := out.Name
		if name == "" {
			name = "answer" // required
		}
		w.b = append(rawjson.AppendName(w.b, "response_format"), `{"type":"json_schema","json_schema":{`...)
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
		w.b = append(w.b, "}}"...)
	}
}

// effort writes how much to reason. A budget in tokens becomes the nearest word.
func (w *requestWriter) effort() {
	c := &w.r.Reasoning
	word := c.Effort
	if !w.same {
		for _, f := range c.Extra {
			w.losses.Drop("thinking."+f.Name, "Chat Completions has no such option")
		}
		if c.Summary != "" || c.Include != nil {
			w.losses.Drop("reasoning.summary", "Chat Completions has no option of whether reasoning is shown")
		}
		word = effort.Word(c, w.r.Model, w.losses)
	}
	if word != "" {
		w.b = rawjson.AppendMember(w.b, "reasoning_effort", word)
	}
}
