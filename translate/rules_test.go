package translate_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
)

// An object is a JSON object with helpers for the rules below.
type object map[string]any

func (o object) text(name string) string    { s, _ := o[name].(string); return s }
func (o object) object(name string) object  { m, _ := o[name].(map[string]any); return m }
func (o object) number(name string) float64 { n, _ := o[name].(float64); return n }
func (o object) has(name string) bool       { _, ok := o[name]; return ok }
func (o object) list(name string) (l []object) {
	for _, e := range anys(o[name]) {
		m, _ := e.(map[string]any)
		l = append(l, m)
	}
	return l
}

func anys(v any) []any { l, _ := v.([]any); return l }

// rules collects what a request breaks.
type rules struct{ broken []string }

func (r *rules) must(ok bool, format string, args ...any) {
	if !ok {
		r.broken = append(r.broken, fmt.Sprintf(format, args...))
	}
}

// only says that an object has no members but these.
func (r *rules) only(what string, o object, names string) {
	for name := range o {
		r.must(strings.Contains(" "+names+" ", " "+name+" "), "%s has a member %q", what, name)
	}
}

var (
	word64  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	word128 = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)
	callID  = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	google  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$`)
)

// publicRules hold a translated request to the public documentation of its format.
// Members of the formats that no translation writes are not allowed at all.
var publicRules = map[translate.Format]func(r *rules, o object){
	translate.OpenAI:    openaiRules,
	translate.Responses: responsesRules,
	translate.Anthropic: anthropicRules,
	translate.Gemini:    geminiRules,
	translate.Ollama:    ollamaRules,
}

// openaiRules: https://platform.openai.com/docs/api-reference/chat/create.
func openaiRules(r *rules, o object) {
	r.only("the request", o, "model messages tools tool_choice parallel_tool_calls max_tokens max_completion_tokens temperature top_p top_k frequency_penalty presence_penalty seed n stop logprobs top_logprobs "+
		"response_format reasoning_effort user safety_identifier prompt_cache_key service_tier stream stream_options verbosity store metadata modalities audio logit_bias prediction web_search_options")
	r.must(len(o.list("messages")) > 0, "no messages")
	r.must(len(anys(o["stop"])) <= 4, "more than four stop sequences")
	if f := o.object("response_format"); f.text("type") == "json_schema" {
		r.must(word64.MatchString(f.object("json_schema").text("name")), "a schema named %q", f.object("json_schema").text("name"))
	}
	waiting := map[string]bool{}
	for i, m := range o.list("messages") {
		what := fmt.Sprintf("message %d", i)
		role := m.text("role")
		r.only(what, m, "role content name tool_calls tool_call_id refusal audio reasoning_content reasoning_details function_call annotations")
		r.must(role != "tool" || waiting[m.text("tool_call_id")], "%s is the result of %q, which was not called", what, m.text("tool_call_id"))
		if role == "tool" {
			delete(waiting, m.text("tool_call_id"))
			r.must(m.has("content"), "%s has no content", what)
			for _, p := range m.list("content") {
				r.must(p.text("type") == "text", "%s has a part %q", what, p.text("type"))
			}
			continue
		}
		r.must(len(waiting) == 0, "%s comes before the results of %v", what, waiting)
		switch role {
		case "system", "developer", "user":
			r.must(m.text("content") != "" || len(anys(m["content"])) > 0 || m["content"] == "", "%s has no content", what)
		case "assistant":
			r.must(m["content"] != nil || len(m.list("tool_calls")) > 0 || m.has("refusal") || m.has("function_call") || m.has("audio") || m.has("reasoning_content") || m.has("reasoning_details"), "%s says nothing", what)
		default:
			r.must(role == "function", "%s has the role %q", what, role)
		}
		for _, c := range m.list("tool_calls") {
			r.only(what+"'s call", c, "id type function custom")
			waiting[c.text("id")] = true
			if c.text("type") == "function" {
				r.must(word64.MatchString(c.object("function").text("name")), "%s calls %q", what, c.object("function").text("name"))
				_, ok := c.object("function")["arguments"].(string)
				r.must(ok, "%s has arguments that are no text", what)
			}
		}
	}
	for i, t := range o.list("tools") {
		if t.text("type") != "function" {
			r.must(t.text("type") == "custom", "tool %d is of type %q", i, t.text("type"))
			continue
		}
		f := t.object("function")
		r.only(fmt.Sprintf("tool %d", i), f, "name description parameters strict")
		r.must(word64.MatchString(f.text("name")), "tool %d is named %q", i, f.text("name"))
	}
}

// responsesRules: https://platform.openai.com/docs/api-reference/responses/create.
func responsesRules(r *rules, o object) {
	r.only("the request", o, "model input instructions tools tool_choice parallel_tool_calls max_output_tokens temperature top_p top_logprobs reasoning text include user safety_identifier prompt_cache_key service_tier "+
		"stream store metadata previous_response_id truncation background conversation prompt max_tool_calls stream_options")
	calls := map[string]bool{}
	for i, item := range o.list("input") {
		what := fmt.Sprintf("item %d", i)
		switch kind := item.text("type"); kind {
		case "message":
			role := item.text("role")
			for _, p := range item.list("content") {
				t := p.text("type")
				ok := strings.HasPrefix(t, "input_")
				if role == "assistant" {
					ok = t == "output_text" || t == "refusal"
				}
				r.must(ok, "%s of the %s has a part %q", what, role, t)
				r.must(t != "input_image" || p.text("image_url") != "" || p.text("file_id") != "", "%s has an image without a source", what)
			}
			r.must(role == "user" || role == "assistant" || role == "system" || role == "developer", "%s has the role %q", what, role)
			r.must(item.has("content"), "%s has no content", what)
		case "function_call", "custom_tool_call":
			calls[item.text("call_id")] = true
			r.must(item.text("call_id") != "" && word128.MatchString(item.text("name")), "%s calls %q as %q", what, item.text("name"), item.text("call_id"))
		case "function_call_output", "custom_tool_call_output":
			r.must(calls[item.text("call_id")], "%s is the result of %q, which was not called", what, item.text("call_id"))
			r.must(item.has("output"), "%s has no output", what)
			for _, p := range item.list("output") {
				r.must(strings.HasPrefix(p.text("type"), "input_"), "%s has a part %q", what, p.text("type"))
			}
		case "reasoning":
			r.must(item.has("summary"), "%s has no summary", what)
		}
	}
	for i, t := range o.list("tools") {
		if t.text("type") == "function" {
			r.must(word128.MatchString(t.text("name")) && t.has("parameters"), "tool %d is %v", i, t)
		}
	}
	if f := o.object("text").object("format"); f.text("type") == "json_schema" {
		r.must(word64.MatchString(f.text("name")) && f.has("schema"), "a schema named %q", f.text("name"))
	}
}

// anthropicRules: https://platform.claude.com/docs/en/api/messages/create.
func anthropicRules(r *rules, o object) {
	r.only("the request", o, "model max_tokens messages system tools tool_choice temperature top_p top_k stop_sequences metadata stream thinking output_config service_tier cache_control container context_management mcp_servers")
	r.must(o.number("max_tokens") >= 1, "max_tokens is %v", o["max_tokens"])
	r.must(o.number("temperature") >= 0 && o.number("temperature") <= 1, "the temperature is %v", o["temperature"])
	marks := strings.Count(fmt.Sprint(map[string]any(o)), "cache_control:map")
	r.must(marks <= 4, "%d cache marks", marks)
	if t := o.object("thinking"); t.text("type") == "enabled" {
		r.must(t.number("budget_tokens") >= 1024 && t.number("budget_tokens") < o.number("max_tokens"), "a budget of %v of %v", t["budget_tokens"], o["max_tokens"])
		r.must(!o.has("temperature") || o.number("temperature") == 1, "a temperature beside thinking")
		r.must(!o.has("top_k"), "top_k beside thinking")
	}
	last := ""
	waiting := map[string]bool{}
	for i, m := range o.list("messages") {
		what := fmt.Sprintf("message %d", i)
		r.only(what, m, "role content")
		role := m.text("role")
		r.must(role == "user" || role == "assistant", "%s has the role %q", what, role)
		r.must(role != last, "%s is of the same side as the one before", what)
		last = role
		_, plain := m["content"].(string)
		r.must(plain && m.text("content") != "" || !plain && len(anys(m["content"])) > 0, "%s has no content", what)
		answered := waiting
		waiting = map[string]bool{}
		others := false
		for _, b := range m.list("content") {
			switch b.text("type") {
			case "text":
				others = true
				r.must(b.text("text") != "", "%s has an empty text", what)
			case "tool_use":
				waiting[b.text("id")] = true
				r.must(role == "assistant" && callID.MatchString(b.text("id")) && word128.MatchString(b.text("name")) && b.object("input") != nil, "%s has a call %v", what, b)
			case "tool_result":
				r.must(role == "user" && answered[b.text("tool_use_id")], "%s has a result of %q, which was not called", what, b.text("tool_use_id"))
				r.must(!others, "%s has a result behind other content", what)
				delete(answered, b.text("tool_use_id"))
			case "image", "document":
				others = true
				s := b.object("source")
				r.must(s.text("type") == "base64" && s.text("media_type") != "" && s.text("data") != "" || s.text("type") == "url" && s.text("url") != "" || s.text("type") == "text", "%s has a source %v", what, s)
			case "thinking":
				r.must(role == "assistant" && b.text("signature") != "", "%s thinks without a signature", what)
			}
		}
		r.must(len(answered) == 0, "%s leaves out the results of %v", what, answered)
	}
	for i, t := range o.list("tools") {
		if t.has("type") && t.text("type") != "custom" {
			continue
		}
		r.only(fmt.Sprintf("tool %d", i), t, "type name description input_schema cache_control strict defer_loading eager_input_streaming")
		r.must(word128.MatchString(t.text("name")), "tool %d is named %q", i, t.text("name"))
		r.must(t.object("input_schema").text("type") == "object", "tool %d has a schema of type %v", i, t.object("input_schema")["type"])
		for _, name := range []string{"anyOf", "oneOf", "allOf"} {
			r.must(!t.object("input_schema").has(name), "tool %d has %s at the top of its schema", i, name)
		}
	}
}

// geminiRules: https://ai.google.dev/api/generate-content.
func geminiRules(r *rules, o object) {
	r.only("the request", o, "contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent serviceTier labels")
	r.only("the configuration", o.object("generationConfig"), "temperature topP topK maxOutputTokens candidateCount seed presencePenalty frequencyPenalty responseLogprobs logprobs stopSequences "+
		"responseMimeType responseJsonSchema thinkingConfig")
	r.must(len(anys(o.object("generationConfig")["stopSequences"])) <= 5, "more than five stop sequences")
	part := func(what string, p object) {
		kinds := 0
		for name := range p {
			switch name {
			case "thought", "thoughtSignature", "videoMetadata", "mediaResolution":
			case "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult":
				kinds++
			default:
				r.must(false, "%s has a member %q", what, name)
			}
		}
		r.must(kinds == 1, "%s is of %d kinds", what, kinds)
	}
	var waiting []string
	last := ""
	for i, c := range o.list("contents") {
		what := fmt.Sprintf("content %d", i)
		r.only(what, c, "role parts")
		r.must(c.text("role") == "user" || c.text("role") == "model", "%s has the role %q", what, c.text("role"))
		r.must(c.text("role") != last, "%s is of the same side as the one before", what)
		last = c.text("role")
		r.must(len(c.list("parts")) > 0, "%s has no parts", what)
		results := 0
		before := waiting
		waiting = nil
		for _, p := range c.list("parts") {
			part(what, p)
			if f := p.object("functionCall"); f != nil {
				waiting = append(waiting, f.text("name"))
				r.must(c.text("role") == "model" && google.MatchString(f.text("name")) && f.object("args") != nil, "%s has a call %v", what, f)
			}
			if f := p.object("functionResponse"); f != nil {
				results++
				r.must(c.text("role") == "user" && google.MatchString(f.text("name")) && f.object("response") != nil, "%s has a result %v", what, f)
			}
		}
		r.must(results == len(before), "%s has %d results for %d calls", what, results, len(before))
	}
	for i, t := range o.list("tools") {
		for _, f := range t.list("functionDeclarations") {
			r.only(fmt.Sprintf("tool %d", i), f, "name description parametersJsonSchema")
			r.must(google.MatchString(f.text("name")), "tool %d is named %q", i, f.text("name"))
		}
	}
	t := o.object("generationConfig").object("thinkingConfig")
	r.must(!t.has("thinkingBudget") || !t.has("thinkingLevel"), "both a budget and a level")
}

// ollamaRules: https://docs.ollama.com/api/chat.
func ollamaRules(r *rules, o object) {
	r.only("the request", o, "model messages tools stream format options think keep_alive logprobs top_logprobs")
	for i, m := range o.list("messages") {
		what := fmt.Sprintf("message %d", i)
		r.only(what, m, "role content thinking images tool_calls tool_name tool_call_id")
		_, ok := m["content"].(string)
		r.must(ok, "%s has no text for content", what)
		for _, c := range m.list("tool_calls") {
			r.must(c.object("function").text("name") != "" && c.object("function").object("arguments") != nil, "%s has a call %v", what, c)
		}
	}
	for i, t := range o.list("tools") {
		r.must(t.text("type") == "function" && t.object("function").object("parameters") != nil, "tool %d is %v", i, t)
	}
}

// Requests that were translated obey the public rules of the format they came to.
func TestTranslatedRequestsObeyTheRules(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t, "request") {
		for name, to := range codecs {
			if name == f.Format {
				continue
			}
			t.Run(f.File+" → "+name, func(t *testing.T) {
				t.Parallel()
				req, err := codecs[f.Format].DecodeRequest(f.body, translate.RequestOptions{})
				if err != nil {
					t.Fatal(err)
				}
				defer req.Release()
				req.Model = "m"
				adapted, _ := translate.Adapt(req, to.ToolRules(req.Model), nil)
				out, err := to.AppendRequest(nil, adapted, nil)
				if err != nil {
					t.Fatal(err)
				}
				var o object
				if err := json.Unmarshal(out, &o); err != nil {
					t.Fatal(err)
				}
				var r rules
				publicRules[to.Format()](&r, o)
				for _, b := range r.broken {
					t.Errorf("%.300s", b)
				}
			})
		}
	}
}
