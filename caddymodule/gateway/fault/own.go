package fault

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
)

// A Rule is one that a user adds for a provider that says things in its own way.
// It fits if each of its conditions that is not empty does. Own rules go before
// the built-in ones, in their order.
type Rule struct {
	// Provider is a name in the catalogue or a node's; empty is all.
	Provider string
	// Statuses are those that the answer has, or that the error within it
	// states.
	Statuses []int
	// Contains is in the text of the answer, in any case: the first 64 KiB of
	// its body, or the message as it is shown. At most 512 bytes.
	Contains string
	// Pattern is a regular expression (https://github.com/google/re2/wiki/Syntax)
	// that the text matches, of at most 512 bytes.
	Pattern string
	// Scope is request, model, connection or provider.
	Scope Scope
	// Reason is a word of small letters, digits and underscores; empty is "rule".
	Reason string
	// For is how long to leave it alone, at most [MaxNamed]; 0 is what the
	// provider says, else the scheduler's own pause.
	For time.Duration
}

// Bounds of own rules.
const (
	maxRules       = 256
	maxPattern     = 512
	maxInstruction = 4000 // of a compiled pattern: each is a step for each byte of text
)

var reasonForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

type ownRule struct {
	Rule
	contains string
	pattern  *regexp.Regexp
}

// NewTable returns the table with a user's own rules before the built-in ones.
// An error names the rule by its place, from 1.
func NewTable(rules []Rule) (*Table, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("%d rules of fault: at most %d are possible", len(rules), maxRules)
	}
	t := &Table{waits: newWaits()}
	for i, r := range rules {
		own, err := compile(r)
		if err != nil {
			return nil, fmt.Errorf("rule of fault %d: %w", i+1, err)
		}
		t.own = append(t.own, own)
	}
	// Without a database of time zones it is winter all year, and a quota seems
	// to come back an hour late in summer.
	var err error
	if t.pacific, err = time.LoadLocation("America/Los_Angeles"); err != nil {
		t.pacific = time.FixedZone("PST", -8*3600)
	}
	return t, nil
}

func compile(r Rule) (ownRule, error) {
	own := ownRule{Rule: r, contains: strings.ToLower(r.Contains)}
	own.Statuses = slices.Clone(r.Statuses)
	if own.Reason == "" {
		own.Reason = "rule"
	}
	switch r.Scope {
	case Request, Model, Connection, Provider:
	default:
		return own, fmt.Errorf("scope %q: want request, model, connection or provider", r.Scope)
	}
	switch {
	case len(r.Statuses) == 0 && r.Contains == "" && r.Pattern == "":
		return own, fmt.Errorf("it has no status, text or pattern, so it would fit everything")
	case !reasonForm.MatchString(own.Reason):
		return own, fmt.Errorf("reason %q: want small letters, digits and underscores, at most 40", r.Reason)
	case r.For < 0 || r.For > MaxNamed:
		return own, fmt.Errorf("time of %v: want one between 0 and %v", r.For, MaxNamed)
	case len(r.Contains) > maxPattern:
		return own, fmt.Errorf("text of %d bytes: at most %d are possible", len(r.Contains), maxPattern)
	case len(r.Pattern) > maxPattern:
		return own, fmt.Errorf("pattern of %d bytes: at most %d are possible", len(r.Pattern), maxPattern)
	}
	for _, s := range r.Statuses {
		if s < 100 || s > 599 {
			return own, fmt.Errorf("status %d: want one between 100 and 599", s)
		}
	}
	if r.Pattern == "" {
		return own, nil
	}
	tree, err := syntax.Parse(r.Pattern, syntax.Perl)
	if err != nil {
		return own, fmt.Errorf("pattern: %w", err)
	}
	if p, err := syntax.Compile(tree.Simplify()); err != nil || len(p.Inst) > maxInstruction {
		return own, fmt.Errorf("pattern %q repeats too much", r.Pattern)
	}
	if own.pattern, err = regexp.Compile(r.Pattern); err != nil {
		return own, fmt.Errorf("pattern: %w", err)
	}
	return own, nil
}

// byOwnRules asks the user's rules.
func (t *Table) byOwnRules(a *Answer, ev *evidence) (Fault, bool) {
	var text, small string
	for i := range t.own {
		r := &t.own[i]
		if r.Provider != "" && r.Provider != a.Provider {
			continue
		}
		if len(r.Statuses) > 0 && !slices.Contains(r.Statuses, a.Status) && !slices.Contains(r.Statuses, ev.layers[0].status) {
			continue
		}
		if (r.contains != "" || r.pattern != nil) && text == "" {
			text = a.text()
		}
		if r.contains != "" {
			if small == "" {
				small = strings.ToLower(text)
			}
			if !strings.Contains(small, r.contains) {
				continue
			}
		}
		if r.pattern != nil && !r.pattern.MatchString(text) {
			continue
		}
		return Fault{Scope: r.Scope, Reason: r.Reason, After: r.For, Final: r.Scope == Request}, true
	}
	return Fault{}, false
}

// text is what own rules are matched against.
func (a *Answer) text() string {
	s := string(a.Body[:min(len(a.Body), maxBody)])
	if a.Err != nil {
		s += "\n" + a.Err.Message[:min(len(a.Err.Message), maxMessage)]
	}
	return s
}
