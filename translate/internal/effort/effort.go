// Package effort knows how each family of models is told how much to reason: by
// a word, by a budget of tokens, or not at all. What a client asked for in its
// own way is carried over to what the family takes.
package effort

import (
	"strconv"
	"strings"

	"github.com/nine-router/nine-router/translate"
)

// words from least to most.
var words = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// budgets are what the words stand for in tokens where a family counts them.
// They are the middle of what clients ask for, and end below the 32,000 above
// which providers advise against a plain request.
var budgets = map[string]int64{"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 31_999}

// A Family says what a family of models takes.
type Family struct {
	Words    []string // efforts, least first; none if it takes no word
	Budget   bool     // takes a budget of tokens
	Adaptive bool     // decides for itself, and refuses or disregards a budget
	Floor    int64    // least budget
	Ceiling  int64    // highest budget, 0 without one
	CanStop  bool     // reasoning can be turned off
}

// base returns a model's name without the provider in front and in lower case.
func base(model string) string {
	if i := strings.LastIndexByte(model, '/'); i >= 0 {
		model = model[i+1:]
	}
	return strings.ToLower(model)
}

// version reads the number that follows prefix in a name: 5.1 of "gpt-5.1-codex",
// 4.5 of "claude-opus-4-5".
func version(name, prefix string) (float64, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	end := 0
	for end < len(rest) && ('0' <= rest[end] && rest[end] <= '9' || end > 0 && (rest[end] == '.' || rest[end] == '-')) {
		end++
	}
	parts := strings.FieldsFunc(rest[:end], func(r rune) bool { return r == '.' || r == '-' })
	if len(parts) == 0 {
		return 0, false
	}
	text := parts[0]
	if len(parts) > 1 && len(parts[1]) <= 2 { // more is a date
		text += "." + parts[1]
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

// Reasons says that a model is one of OpenAI's that reason
// (https://platform.openai.com/docs/guides/reasoning).
func Reasons(model string) bool {
	name := base(model)
	if v, ok := version(name, "gpt-"); ok {
		return v >= 5 && !strings.Contains(name, "-chat")
	}
	return len(name) > 1 && name[0] == 'o' && '1' <= name[1] && name[1] <= '9'
}

// OpenAI returns what a model behind one of OpenAI's formats takes. Of models
// that are not OpenAI's nothing is known, so all words go through.
func OpenAI(model string) Family {
	name := base(model)
	v, ok := version(name, "gpt-")
	switch {
	case strings.HasPrefix(name, "gpt-oss"):
		return Family{Words: words[2:5]}
	case ok && (v < 5 || strings.Contains(name, "-chat")):
		return Family{}
	case ok && v == 5 && strings.Contains(name, "codex"):
		return Family{Words: words[2:5]}
	case ok && v == 5 && strings.Contains(name, "pro"):
		return Family{Words: words[4:5]}
	case ok && v == 5:
		return Family{Words: words[1:5]}
	case ok && v < 5.2 && strings.Contains(name, "max"):
		return Family{Words: []string{"none", "low", "medium", "high", "xhigh"}, CanStop: true}
	case ok && v < 5.2:
		return Family{Words: []string{"none", "low", "medium", "high"}, CanStop: true}
	case ok:
		return Family{Words: []string{"none", "low", "medium", "high", "xhigh"}, CanStop: true}
	case Reasons(model):
		return Family{Words: words[2:5]}
	}
	return Family{Words: words[:6], CanStop: true}
}

// AnthropicVersion returns the version in the name of one of Anthropic's models;
// a name without one gives 0.
func AnthropicVersion(model string) float64 {
	name := base(model)
	if i := strings.LastIndex(name, "claude-"); i >= 0 {
		name = name[i:]
	}
	for _, line := range [...]string{"claude-opus-", "claude-sonnet-", "claude-haiku-", "claude-"} {
		if v, ok := version(name, line); ok {
			return v
		}
	}
	return 0
}

// Anthropic returns what one of Anthropic's models takes, see
// https://platform.claude.com/docs/en/build-with-claude/extended-thinking and
// https://platform.claude.com/docs/en/build-with-claude/effort.
func Anthropic(model string) Family {
	name := base(model)
	if i := strings.LastIndex(name, "claude-"); i >= 0 { // "anthropic.claude-…" of clouds
		name = name[i:]
	}
	for _, line := range [...]string{"claude-opus-", "claude-sonnet-", "claude-haiku-"} {
		v, ok := version(name, line)
		switch {
		case !ok:
		case v >= 4.6:
			return Family{Words: []string{"low", "medium", "high", "xhigh", "max"}[:], Adaptive: true, CanStop: true}
		case v == 4.5 && line == "claude-opus-":
			return Family{Words: words[2:5], Budget: true, Floor: 1024, CanStop: true}
		default:
			return Family{Budget: true, Floor: 1024, CanStop: true}
		}
	}
	if v, ok := version(name, "claude-"); ok && v < 3.7 {
		return Family{}
	} else if ok && v < 4 {
		return Family{Budget: true, Floor: 1024, CanStop: true}
	}
	// A name that is not known is newer than this table, or of another maker.
	return Family{Words: []string{"low", "medium", "high", "xhigh", "max"}, Adaptive: true, CanStop: true}
}

// GeminiVersion returns the version in the name of one of Google's models. A name
// without one is an alias of the latest; that of another model gives 0.
func GeminiVersion(model string) float64 {
	name := base(model)
	if v, ok := version(name, "gemini-"); ok {
		return v
	}
	if strings.HasPrefix(name, "gemini-") {
		return 3
	}
	return 0
}

// Gemini returns what one of Google's models takes, see
// https://ai.google.dev/gemini-api/docs/thinking.
func Gemini(model string) Family {
	name := base(model)
	v, ok := version(name, "gemini-")
	switch {
	case ok && v < 2.5:
		return Family{}
	case ok && v < 3 && strings.Contains(name, "pro"):
		return Family{Budget: true, Floor: 128, Ceiling: 32_768}
	case ok && v < 3 && strings.Contains(name, "lite"):
		return Family{Budget: true, Floor: 512, Ceiling: 24_576, CanStop: true}
	case ok && v < 3:
		return Family{Budget: true, Floor: 1, Ceiling: 24_576, CanStop: true}
	case strings.Contains(name, "flash"):
		return Family{Words: words[1:5]}
	}
	return Family{Words: words[2:5]}
}

func rank(word string) int {
	for i, w := range words {
		if w == word {
			return i
		}
	}
	return -1
}

// Nearest returns the family's word that is nearest to the one that was asked
// for, the higher of two; a word that nobody knows stays.
func (f Family) Nearest(word string) string {
	at := rank(word)
	if at < 0 || len(f.Words) == 0 {
		return word
	}
	best := ""
	for _, w := range f.Words {
		if w == "none" && word != "none" {
			continue
		}
		if best == "" || distance(rank(w), at) <= distance(rank(best), at) {
			best = w
		}
	}
	return best
}

func distance(a, b int) int { return max(a-b, b-a) }

// OfBudget returns the word that is nearest to a budget of tokens.
func OfBudget(tokens int64) string {
	best := "minimal"
	for _, w := range words[2:6] {
		if distance64(budgets[w], tokens) < distance64(budgets[best], tokens) {
			best = w
		}
	}
	if tokens > 28_000 {
		best = "high" // the highest that every family has
	}
	if best == "xhigh" || best == "minimal" && tokens > 512 {
		best = map[string]string{"xhigh": "high", "minimal": "low"}[best]
	}
	return best
}

func distance64(a, b int64) int64 { return max(a-b, b-a) }

// BudgetOf returns the tokens that a word stands for within the family's bounds.
func (f Family) BudgetOf(word string) int64 { return f.Bound(budgets[word]) }

// Bound returns the budget within the family's bounds that is nearest to n.
func (f Family) Bound(n int64) int64 {
	if f.Ceiling > 0 {
		n = min(n, f.Ceiling)
	}
	return max(n, f.Floor)
}

// Word returns how much to reason as a word for a model behind one of OpenAI's
// formats; empty leaves it to the model.
func Word(c *translate.ReasoningConfig, model string, losses *translate.Losses) string {
	f := OpenAI(model)
	word := c.Effort
	switch {
	case word != "":
	case c.Mode == translate.ReasoningOff:
		word = "none"
	case c.Mode == translate.ReasoningAdaptive || c.Budget.IsSet() && c.Budget.Int() < 0:
		return "" // what a model does that is told nothing
	case c.Budget.IsSet():
		word = OfBudget(c.Budget.Int())
		losses.Approximate("reasoning.budget", "a budget of tokens became an effort")
	default:
		return ""
	}
	if len(f.Words) == 0 {
		if word != "none" {
			losses.Drop("reasoning.effort", "the model does not reason")
		}
		return ""
	}
	if word == "none" && !f.CanStop {
		losses.Approximate("reasoning.effort", "the model cannot be told not to reason")
	}
	near := f.Nearest(word)
	if near != word && word != "none" {
		losses.Approximate("reasoning.effort", "the model has no effort "+word+": it got "+near)
	}
	return near
}
