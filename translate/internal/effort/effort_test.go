package effort

import (
	"testing"

	"github.com/nine-router/nine-router/translate"
)

func TestWordForAModel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, model string
		asked       translate.ReasoningConfig
		want        string
		losses      int
	}{
		{"as it stands", "gpt-5", translate.ReasoningConfig{Effort: "minimal"}, "minimal", 0},
		{"nearest", "gpt-5.1", translate.ReasoningConfig{Effort: "minimal"}, "low", 1},
		{"too much", "gpt-5", translate.ReasoningConfig{Effort: "xhigh"}, "high", 1},
		{"enough", "gpt-6.1-sol", translate.ReasoningConfig{Effort: "xhigh"}, "xhigh", 0},
		{"off", "gpt-5.2", translate.ReasoningConfig{Mode: translate.ReasoningOff}, "none", 0},
		{"cannot be off", "o3", translate.ReasoningConfig{Mode: translate.ReasoningOff}, "low", 1},
		{"budget", "o4-mini", translate.ReasoningConfig{Mode: translate.ReasoningOn, Budget: "9000"}, "medium", 1},
		{"large budget", "o4-mini", translate.ReasoningConfig{Mode: translate.ReasoningOn, Budget: "31999"}, "high", 1},
		{"adaptive", "gpt-5", translate.ReasoningConfig{Mode: translate.ReasoningAdaptive}, "", 0},
		{"does not reason", "gpt-4o", translate.ReasoningConfig{Effort: "high"}, "", 1},
		{"another maker's", "qwen/qwen4-max", translate.ReasoningConfig{Effort: "xhigh"}, "xhigh", 0},
		{"of a provider", "openai/gpt-5.1-codex-max", translate.ReasoningConfig{Effort: "max"}, "xhigh", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var losses translate.Losses
			if got := Word(&c.asked, c.model, &losses); got != c.want || len(losses) != c.losses {
				t.Errorf("got %q with losses %v, want %q with %d", got, losses, c.want, c.losses)
			}
		})
	}
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	if f := Anthropic("claude-opus-4-5-20251101"); !f.Budget || f.Adaptive || len(f.Words) != 3 {
		t.Errorf("opus 4.5: %+v", f)
	}
	if f := Anthropic("claude-sonnet-4-20250514"); !f.Budget || len(f.Words) != 0 {
		t.Errorf("sonnet 4: %+v", f)
	}
	if f := Anthropic("claude-opus-5-5"); !f.Adaptive || f.Budget {
		t.Errorf("opus 5.5: %+v", f)
	}
	if f := Anthropic("claude-3-5-sonnet-20241022"); f.Budget || f.Adaptive {
		t.Errorf("sonnet 3.5: %+v", f)
	}
	if f := Anthropic("us.anthropic.claude-3-7-sonnet-20250219-v1:0"); !f.Budget {
		t.Errorf("sonnet 3.7: %+v", f)
	}
	if f := Gemini("gemini-2.5-pro"); f.CanStop || f.BudgetOf("minimal") != 1024 {
		t.Errorf("2.5 pro: %+v", f)
	}
	if f := Gemini("models/gemini-3-pro-preview"); f.Nearest("minimal") != "low" || f.Budget {
		t.Errorf("3 pro: %+v", f)
	}
}
