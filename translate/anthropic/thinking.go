package anthropic

import (
	"strconv"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/effort"
	"github.com/nine-router/nine-router/translate/internal/schema"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// DefaultMaxTokens is the limit of output tokens for a request that names none.
// The API demands one, and this is the least that its models of today allow for.
const DefaultMaxTokens = 8192

// A plan is how a request asks a model to think: see
// https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking and
// https://platform.claude.com/docs/en/build-with-claude/extended-thinking.
type plan struct {
	kind    string // "enabled", "adaptive", "disabled", or nothing
	budget  translate.Number
	word    string // the effort
	display string
}

// on says that the model thinks.
func (p *plan) on() bool { return p.kind == "enabled" || p.kind == "adaptive" }

// planThinking decides how to ask the request's model for the thinking that its
// client wants, and what the limit of output tokens is: a budget has to be below
// it.
func planThinking(r *translate.Request, same bool, losses *translate.Losses) (plan, translate.Number) {
	c := &r.Reasoning
	p, limit := plan{budget: c.Budget, word: c.Effort, display: c.Display}, r.MaxTokens
	if same {
		switch c.Mode {
		case translate.ReasoningOn:
			p.kind = "enabled"
		case translate.ReasoningOff:
			p.kind = "disabled"
		case translate.ReasoningAdaptive:
			p.kind = "adaptive"
		}
		return p, limit
	}
	for _, f := range c.Extra {
		losses.Drop("reasoning."+f.Name, "Messages has no such option")
	}
	p = plan{}
	if c.IsSet() {
		p = planFor(effort.Anthropic(r.Model), r, losses)
	}
	if !p.on() && (c.Summary != "" || c.Include != nil) {
		losses.Drop("reasoning.summary", "whether reasoning is shown can only be said of a model that is told to think")
	}
	if p.on() {
		if c.Summary != "" && c.Summary != "auto" {
			losses.Approximate("reasoning.summary", "a summary has no length here")
		}
		switch {
		case c.Include != nil && !*c.Include:
			p.display = "omitted"
		case c.Summary != "" || c.Include != nil:
			p.display = "summarized"
		}
	}
	if !limit.IsSet() && !r.CountOnly {
		n := int64(DefaultMaxTokens) + max(p.budget.Int(), 0)
		limit = number(n)
		losses.Approximate("max_tokens", "the API demands a limit and the request has none")
	}
	if p.budget.IsSet() && limit.IsSet() && p.budget.Int() >= limit.Int() {
		if least := effort.Anthropic(r.Model).Floor; limit.Int() > least {
			p.budget = number(limit.Int() - 1)
			losses.Approximate("reasoning.budget", "the budget has to be below the limit of output tokens")
		} else {
			p = plan{kind: "disabled"}
			losses.Drop("reasoning", "the limit of output tokens leaves no room to think")
		}
	}
	return p, limit
}

func number(n int64) translate.Number { return translate.Number(strconv.FormatInt(n, 10)) }

func planFor(f effort.Family, r *translate.Request, losses *translate.Losses) plan {
	c := &r.Reasoning
	switch {
	case c.Mode == translate.ReasoningOff || c.Effort == "none":
		if f.CanStop {
			return plan{kind: "disabled"}
		}
		return plan{}
	case f.Adaptive:
		p := plan{kind: "adaptive", word: c.Effort}
		if p.word == "" && c.Budget.IsSet() && c.Budget.Int() > 0 {
			p.word = effort.OfBudget(c.Budget.Int())
			losses.Approximate("reasoning.budget", "a budget of tokens became an effort")
		}
		if near := f.Nearest(p.word); p.word != "" && near != p.word {
			losses.Approximate("reasoning.effort", "the model has no effort "+p.word+": it got "+near)
			p.word = near
		}
		return p
	case !f.Budget:
		losses.Drop("reasoning", "the model does not think")
		return plan{}
	case interrupted(r):
		losses.Drop("reasoning", "the turn that goes on was begun by another model, and this one cannot begin to think amid a turn")
		return plan{kind: "disabled"}
	case c.Budget.IsSet() && c.Budget.Int() > 0:
		return plan{kind: "enabled", budget: number(f.Bound(c.Budget.Int()))}
	case c.Effort != "":
		return plan{kind: "enabled", budget: number(f.BudgetOf(c.Effort))}
	}
	return plan{kind: "enabled", budget: number(f.BudgetOf("medium"))}
}

// interrupted says that the conversation goes on with results of calls that were
// made without thinking of Anthropic's own.
func interrupted(r *translate.Request) bool {
	results := false
	for i := len(r.Messages) - 1; i >= 0; i-- {
		m := &r.Messages[i]
		if m.Role != translate.RoleAssistant {
			for j := range m.Parts {
				if m.Parts[j].Kind == translate.ToolResult {
					results = true
				} else if m.Role == translate.RoleUser && m.Parts[j].Kind == translate.Text && !results {
					return false // a turn that begins
				}
			}
			continue
		}
		if !results {
			return false
		}
		for j := range m.Parts {
			if p := &m.Parts[j]; p.Kind == translate.Reasoning && p.SignedBy == translate.Anthropic {
				return false
			}
		}
		if i == 0 || r.Messages[i-1].Role != translate.RoleAssistant {
			return true
		}
	}
	return false
}

// thinking writes the plan.
func (w *requestWriter) thinking() {
	p, c := &w.plan, &w.r.Reasoning
	if p.kind == "" {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "thinking"), '{')
	if !w.same || len(c.Extra) == 0 || c.Extra[0].Name != "type" {
		w.b = rawjson.AppendMember(w.b, "type", p.kind)
	}
	w.number("budget_tokens", p.budget)
	if p.display != "" {
		w.b = rawjson.AppendMember(w.b, "display", p.display)
	}
	if w.same {
		for _, f := range c.Extra {
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
		}
	}
	w.b = append(w.b, '}')
}

// outputConfig writes the effort and the form of the output, see
// https://platform.claude.com/docs/en/build-with-claude/effort and
// https://platform.claude.com/docs/en/build-with-claude/structured-outputs.
func (w *requestWriter) outputConfig() {
	r := w.r
	mark := len(w.b)
	w.b = append(rawjson.AppendName(w.b, "output_config"), '{')
	empty := len(w.b)
	if w.plan.word != "" {
		w.b = rawjson.AppendMember(w.b, "effort", w.plan.word)
	}
	if r.Output.Name != "" {
		w.losses.Drop("response_format.name", "a schema has no name here")
	}
	if r.Output.Description != "" {
		w.losses.Drop("response_format.description", "a schema has no description beside itself here")
	}
	switch {
	case r.Output.Kind == translate.OutputJSON, r.Output.Kind == translate.OutputJSONSchema && !strings.HasPrefix(r.Output.Schema, "{"):
		w.losses.Drop("response_format", "JSON without a schema cannot be asked for but in the prompt, which is the user's")
	case r.Output.Kind == translate.OutputJSONSchema && told(r, w.same) == "":
		w.b = append(rawjson.AppendName(w.b, "format"), `{"type":"json_schema"`...)
		s, exact := r.Output.Schema, true
		if !w.same {
			s, exact = schema.Closed(s)
		}
		if !exact {
			w.losses.Approximate("response_format.schema", "objects are closed and constraints described, as the API demands")
		}
		w.b = append(rawjson.AppendRaw(w.b, "schema", s), '}')
	}
	if w.same {
		for _, f := range r.Extra {
			if name, ok := strings.CutPrefix(f.Name, "output_config."); ok {
				w.b = rawjson.AppendMemberRaw(w.b, name, f.Value)
			}
		}
	}
	if len(w.b) == empty {
		w.b = w.b[:mark]
		return
	}
	w.b = append(w.b, '}')
}

// told returns the words that ask for the form of the answer where the model came
// before structured outputs.
func told(r *translate.Request, same bool) string {
	out := &r.Output
	if same {
		return ""
	}
	if v := effort.AnthropicVersion(r.Model); out.Kind == translate.OutputJSONSchema && out.Schema != "" && v > 0 && v < 4.1 {
		return "Give your final answer as JSON and nothing else. It must be valid by this JSON Schema:\n" + out.Schema
	}
	return ""
}
