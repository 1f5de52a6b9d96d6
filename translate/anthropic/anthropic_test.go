package anthropic_test

import (
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
)

func text(role translate.Role, s string) translate.Message {
	return translate.Message{Role: role, Parts: []translate.Part{{Kind: translate.Text, Text: s}}}
}

// encode returns a request that came in another format in this one.
func encode(t *testing.T, r *translate.Request) (string, translate.Losses) {
	t.Helper()
	if r.Format == "" {
		r.Format = translate.OpenAI
	}
	if r.Messages == nil {
		r.Messages = []translate.Message{text(translate.RoleUser, "x")}
	}
	var losses translate.Losses
	out, err := anthropic.Codec{}.AppendRequest(nil, r, &losses)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), losses
}

// Thinking is asked for as the model has it, and a budget is below the limit.
func TestThinking(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		model  string
		limit  translate.Number
		config translate.ReasoningConfig
		want   []string
	}{
		{"claude-opus-5-5", "", translate.ReasoningConfig{Effort: "minimal"}, []string{`"thinking":{"type":"adaptive"}`, `"output_config":{"effort":"low"}`}},
		{"claude-opus-5-5", "", translate.ReasoningConfig{Mode: translate.ReasoningOn, Budget: "31999"}, []string{`"type":"adaptive"`, `"effort":"high"`}},
		{"claude-opus-5-5", "", translate.ReasoningConfig{Effort: "none"}, []string{`"thinking":{"type":"disabled"}`}},
		{"claude-opus-5-5", "", translate.ReasoningConfig{Effort: "high", Summary: "auto"}, []string{`"thinking":{"type":"adaptive","display":"summarized"}`}},
		{"claude-sonnet-4-5", "", translate.ReasoningConfig{Effort: "high"}, []string{`"thinking":{"type":"enabled","budget_tokens":16384}`, `"max_tokens":24576`}},
		{"claude-sonnet-4-5", "4000", translate.ReasoningConfig{Effort: "high"}, []string{`"budget_tokens":3999`, `"max_tokens":4000`}},
		{"claude-sonnet-4-5", "500", translate.ReasoningConfig{Effort: "high"}, []string{`"thinking":{"type":"disabled"}`, `"max_tokens":500`}},
		{"claude-sonnet-4-5", "", translate.ReasoningConfig{Mode: translate.ReasoningOn, Budget: "10"}, []string{`"budget_tokens":1024`}},
		{"claude-3-5-haiku-20241022", "", translate.ReasoningConfig{Effort: "high"}, []string{`"max_tokens":8192`}},
		{"claude-opus-5-5", "", translate.ReasoningConfig{}, []string{`"max_tokens":8192`}},
	} {
		out, _ := encode(t, &translate.Request{Model: c.model, MaxTokens: c.limit, Reasoning: c.config})
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s %+v: no %s in %s", c.model, c.config, want, out)
			}
		}
		if len(c.want) == 1 && strings.Contains(c.want[0], "max_tokens") && strings.Contains(out, "thinking") {
			t.Errorf("%s %+v: %s", c.model, c.config, out)
		}
	}
}

// A model with a budget refuses to think amid a turn that another model began; an
// adaptive one does not mind, and a turn that it began itself goes on.
func TestThinkingAmidATurn(t *testing.T) {
	t.Parallel()
	turn := func(by translate.Format) []translate.Message {
		return []translate.Message{text(translate.RoleUser, "x"),
			{Role: translate.RoleAssistant, Parts: []translate.Part{
				{Kind: translate.Reasoning, Text: "t", Signature: "s", SignedBy: by},
				{Kind: translate.ToolCall, Call: &translate.Call{ID: "a", Name: "f", Arguments: "{}"}}}},
			{Role: translate.RoleTool, Parts: []translate.Part{{Kind: translate.ToolResult, Result: &translate.Result{CallID: "a", Parts: []translate.Part{{Kind: translate.Text, Text: "r"}}}}}},
		}
	}
	effort := translate.ReasoningConfig{Effort: "high"}
	for model, want := range map[string]string{"claude-sonnet-4-5": `"type":"disabled"`, "claude-opus-5-5": `"type":"adaptive"`} {
		if out, _ := encode(t, &translate.Request{Model: model, Reasoning: effort, Messages: turn(translate.Gemini)}); !strings.Contains(out, want) || strings.Contains(out, `"signature"`) {
			t.Errorf("%s: %s", model, out)
		}
	}
	for name, messages := range map[string][]translate.Message{
		"its own":        turn(translate.Anthropic),
		"one that ended": append(turn(translate.Gemini), text(translate.RoleAssistant, "done"), text(translate.RoleUser, "more")),
		"a new one":      {text(translate.RoleUser, "x")},
	} {
		if out, _ := encode(t, &translate.Request{Model: "claude-sonnet-4-5", Reasoning: effort, Messages: messages}); !strings.Contains(out, `"type":"enabled"`) {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// Of too many cache marks the last four stay.
func TestCacheMarks(t *testing.T) {
	t.Parallel()
	m := translate.Message{Role: translate.RoleUser}
	for i := range 6 {
		m.Parts = append(m.Parts, translate.Part{Kind: translate.Text, Text: string(rune('a' + i)), Cache: &translate.CacheMark{TTL: "1h"}})
	}
	out, losses := encode(t, &translate.Request{Messages: []translate.Message{m}})
	if n := strings.Count(out, "cache_control"); n != 4 || !strings.Contains(out, `{"type":"text","text":"b"}`) || !strings.Contains(out, `{"type":"text","text":"c","cache_control":{"type":"ephemeral","ttl":"1h"}}`) {
		t.Errorf("%d marks: %s", n, out)
	}
	if len(losses) < 2 {
		t.Errorf("losses %v", losses)
	}
}

// Instructions amid a conversation stay where they are, as the model takes them.
func TestInstructionsAmidAConversation(t *testing.T) {
	t.Parallel()
	messages := []translate.Message{text(translate.RoleSystem, "first"), text(translate.RoleUser, "x"), text(translate.RoleAssistant, "y"), text(translate.RoleDeveloper, "amid")}
	for model, want := range map[string]string{
		"claude-sonnet-4-5": `{"role":"user","content":[{"type":"text","text":"amid"}]}`,
		"claude-opus-5-5":   `{"role":"system","content":[{"type":"text","text":"amid"}]}`,
	} {
		if out, _ := encode(t, &translate.Request{Model: model, Messages: messages}); !strings.Contains(out, want) || !strings.Contains(out, `"system":[{"type":"text","text":"first"}]`) {
			t.Errorf("%s: %s", model, out)
		}
	}
}

// The form of an answer is held where the model can be, and told where not.
func TestFormOfTheAnswer(t *testing.T) {
	t.Parallel()
	output := translate.Output{Kind: translate.OutputJSONSchema, Name: "n", Schema: `{"type":"object"}`}
	out, _ := encode(t, &translate.Request{Model: "claude-opus-5-5", Output: output})
	if !strings.Contains(out, `"output_config":{"format":{"type":"json_schema","schema":{"type":"object","additionalProperties":false}}}`) {
		t.Error(out)
	}
	out, losses := encode(t, &translate.Request{Model: "claude-3-5-haiku-20241022", Output: output})
	if strings.Contains(out, "output_config") || !strings.Contains(out, `"system":[{"type":"text","text":"Give your final answer as JSON`) || len(losses) == 0 {
		t.Errorf("%s %v", out, losses)
	}
}
