package anthropic

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/effort"
	"github.com/nine-router/nine-router/translate/internal/schema"
	"github.com/nine-router/nine-router/translate/rawjson"
)

func (w *requestWriter) tools() {
	begun := false
	for i := range w.r.Tools {
		t := &w.r.Tools[i]
		path := fmt.Sprintf("tools[%d]", i)
		if t.Kind == translate.ServerTool && t.RawFormat != translate.Anthropic {
			w.losses.Drop(path, "a tool that only another provider runs")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "tools"), '['), true
		}
		w.b = rawjson.AppendComma(w.b)
		if t.Kind == translate.ServerTool {
			w.b = append(w.b, t.Raw...)
			continue
		}
		w.b = append(w.b, '{')
		w.b = rawjson.AppendMember(w.b, "name", t.Name)
		if t.Description != "" {
			w.b = rawjson.AppendMember(w.b, "description", t.Description)
		}
		w.b = rawjson.AppendName(w.b, "input_schema")
		switch {
		case w.same && t.Schema != "":
			w.b = append(w.b, t.Schema...)
		default:
			s, exact := schema.Object(t.Schema)
			if !exact {
				w.losses.Approximate(path+".parameters", "the schema's alternatives became one object")
			}
			w.b = append(w.b, s...)
		}
		if t.Strict != nil && (w.same || *t.Strict) {
			w.b = rawjson.AppendBool(w.b, "strict", *t.Strict)
		}
		if t.Deferred {
			w.b = rawjson.AppendBool(w.b, "defer_loading", true)
		}
		if t.Cache != nil {
			w.cache(path, t.Cache)
		}
		if w.same {
			for _, f := range t.Extra {
				w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
			}
		} else {
			w.drop(path, t.Extra)
		}
		w.b = append(w.b, '}')
	}
	if begun {
		w.b = append(w.b, ']')
		w.toolChoice()
	}
}

func (w *requestWriter) toolChoice() {
	c := w.r.ToolChoice
	if w.plan.on() && !w.same && (c.Mode == translate.ToolRequired || c.Mode == translate.ToolNamed) {
		w.losses.Approximate("tool_choice", "a model that thinks cannot be forced to call a tool")
		c.Mode = translate.ToolAuto
	}
	kind := ""
	switch c.Mode {
	case translate.ToolAuto:
		kind = "auto"
	case translate.ToolRequired:
		kind = "any"
	case translate.ToolNone:
		kind = "none"
	case translate.ToolNamed:
		kind = "tool"
	case translate.ToolOther:
		w.losses.Drop("tool_choice", "a form that only its own format knows")
	}
	p := w.r.ParallelTools
	if kind == "" && p != nil && !*p {
		kind = "auto"
	}
	if kind == "" {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "tool_choice"), '{')
	w.b = rawjson.AppendMember(w.b, "type", kind)
	if kind == "tool" {
		w.b = rawjson.AppendMember(w.b, "name", c.Name)
	}
	if p != nil && kind != "none" && (w.same || !*p) {
		w.b = rawjson.AppendBool(w.b, "disable_parallel_tool_use", !*p)
	}
	w.b = append(w.b, '}')
}

func (w *requestWriter) number(name string, n translate.Number) {
	if n.IsSet() {
		w.b = rawjson.AppendRaw(w.b, name, string(n))
	}
}

func (w *requestWriter) options() {
	r := w.r
	if r.CountOnly {
		w.thinking()
		return
	}
	w.number("max_tokens", w.limit)
	w.temperature()
	if r.TopP.IsSet() && r.Temperature.IsSet() && !w.same && effort.AnthropicVersion(r.Model) >= 4.1 {
		w.losses.Drop("top_p", "the model takes a temperature or top_p, not both")
	} else {
		w.number("top_p", r.TopP)
	}
	w.number("top_k", r.TopK)
	for _, o := range [...]struct {
		name string
		n    translate.Number
	}{{"frequency_penalty", r.FrequencyPenalty}, {"presence_penalty", r.PresencePenalty}, {"seed", r.Seed}, {"top_logprobs", r.TopLogProbs}} {
		if o.n.IsSet() {
			w.losses.Drop(o.name, "Messages has no such option")
		}
	}
	if r.N.IsSet() && r.N.Int() != 1 {
		w.losses.Drop("n", "Messages gives one answer")
	}
	if r.LogProbs != nil && *r.LogProbs {
		w.losses.Drop("logprobs", "Messages tells no probabilities")
	}
	w.stop()
	if r.User != "" {
		w.b = append(rawjson.AppendMember(append(rawjson.AppendName(w.b, "metadata"), '{'), "user_id", r.User), '}')
	}
	if r.CacheKey != "" {
		w.losses.Drop("prompt_cache_key", "Messages has no such option")
	}
	if r.Cache != nil {
		w.cache("(request)", r.Cache)
	}
	w.tier()
	w.thinking()
	w.outputConfig()
	if r.Stream {
		w.b = rawjson.AppendBool(w.b, "stream", true)
	}
}

// temperature is at most 1 here, and only 1 for a model that thinks.
func (w *requestWriter) temperature() {
	t := w.r.Temperature
	if !t.IsSet() {
		return
	}
	if !w.same {
		switch {
		case w.plan.on() && t.Float() != 1:
			w.losses.Drop("temperature", "a model that thinks has a fixed temperature")
			return
		case t.Float() > 1:
			w.losses.Approximate("temperature", "the highest temperature is 1")
			t = "1"
		}
	}
	w.number("temperature", t)
}

func (w *requestWriter) stop() {
	begun := false
	for i, s := range w.r.Stop {
		if strings.TrimSpace(s) == "" && !w.same {
			w.losses.Drop(fmt.Sprintf("stop[%d]", i), "a stop sequence of white space, which the API refuses")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "stop_sequences"), '['), true
		}
		w.b = rawjson.AppendString(rawjson.AppendComma(w.b), s)
	}
	if begun {
		w.b = append(w.b, ']')
	}
}

func (w *requestWriter) tier() {
	switch t := w.r.ServiceTier; {
	case t == "":
	case w.same || t == "auto":
		w.b = rawjson.AppendMember(w.b, "service_tier", t)
	case t == "default":
		w.b = rawjson.AppendMember(w.b, "service_tier", "standard_only")
	default:
		w.losses.Drop("service_tier", "a tier of another provider")
	}
}
