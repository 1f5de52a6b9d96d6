package translate_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
)

// features are what a request says, each as a text that two requests have in
// common if they say the same. White space between texts is not part of it: formats
// differ in what they hold apart.
func features(r *translate.Request) map[string]string {
	f := map[string][]string{}
	add := func(name string, values ...any) {
		s := fmt.Sprint(values...)
		if s != "" {
			f[name] = append(f[name], s)
		}
	}
	var parts func(side string, parts []translate.Part)
	parts = func(side string, list []translate.Part) {
		for i := range list {
			p := &list[i]
			if p.Cache != nil {
				add("cache", "mark")
			}
			add("citations", p.Citations)
			switch p.Kind {
			case translate.Text, translate.Refusal:
				add("text of "+side, noSpace(p.Text))
			case translate.Image, translate.Audio, translate.File:
				m := p.Media
				add("media of "+side, sum(m.Data), m.URL, m.FileID, noSpace(m.Text))
				add("detail", m.Detail)
			case translate.Reasoning:
				add("reasoning", noSpace(p.Text), p.Signature, p.Redacted)
			case translate.ToolCall:
				arguments, _ := canonical(p.Call.Arguments)
				add("calls", p.Call.ID, " ", p.Call.Name, " ", arguments)
			case translate.ToolResult:
				add("results", p.Result.CallID, " ")
				if p.Result.IsError {
					add("errors", p.Result.CallID)
				}
				parts("results", p.Result.Parts)
			default:
				add("others of "+side, p.Kind, p.Raw, p.Text)
			}
			for _, x := range p.Extra {
				add("extra", x.Value)
			}
		}
	}
	for i := range r.Messages {
		m := &r.Messages[i]
		side := "user"
		switch m.Role {
		case translate.RoleAssistant:
			side = "assistant"
		case translate.RoleSystem, translate.RoleDeveloper:
			side = "system"
		}
		add("names", m.Name)
		for _, x := range m.Extra {
			add("extra", x.Value)
		}
		parts(side, m.Parts)
	}
	for i := range r.Tools {
		t := &r.Tools[i]
		schema, _ := canonical(t.Schema)
		if schema == `{"properties":{},"type":"object"}` {
			schema = "{}"
		}
		add("tools", t.Kind, t.Name, t.Description, schema, t.Raw)
		if t.Strict != nil && *t.Strict {
			add("strict", t.Name)
		}
		if t.Cache != nil {
			add("cache", "mark")
		}
		for _, x := range t.Extra {
			add("extra", x.Value)
		}
	}
	if m := r.ToolChoice.Mode; m > translate.ToolAuto { // the default of all
		add("tool_choice", m, r.ToolChoice.Name)
	}
	if p := r.ParallelTools; p != nil && !*p {
		add("parallel_tool_calls", "no")
	}
	number := func(name string, n translate.Number) {
		if n.IsSet() {
			add(name, n.Float())
		}
	}
	number("max_tokens", r.MaxTokens)
	number("temperature", r.Temperature)
	number("top_p", r.TopP)
	number("top_k", r.TopK)
	number("frequency_penalty", r.FrequencyPenalty)
	number("presence_penalty", r.PresencePenalty)
	number("seed", r.Seed)
	if r.N.Int() > 1 {
		number("n", r.N)
	}
	number("top_logprobs", r.TopLogProbs)
	if r.LogProbs != nil && *r.LogProbs {
		add("logprobs", "yes")
	}
	for _, s := range r.Stop {
		add("stop", s)
	}
	if r.Output.Kind > translate.OutputText {
		schema, _ := canonical(r.Output.Schema)
		add("response_format", r.Output.Kind, schema)
		add("response_format.name", r.Output.Name, r.Output.Description)
		if r.Output.Strict != nil && *r.Output.Strict {
			add("response_format.strict", "yes")
		}
	}
	c := &r.Reasoning
	add("reasoning_config", c.Mode, c.Effort, c.Budget, c.Summary, c.Display, c.Include != nil && *c.Include)
	for _, x := range c.Extra {
		add("extra", x.Value)
	}
	add("user", r.User)
	add("prompt_cache_key", r.CacheKey)
	add("service_tier", r.ServiceTier)
	add("verbosity", r.Verbosity)
	if r.Cache != nil {
		add("cache", "mark")
	}
	for _, x := range r.Extra {
		if x.Name != "store" || x.Value != "false" { // which asks for nothing
			add("extra", x.Value)
		}
	}
	joined := map[string]string{}
	for name, list := range f {
		if strings.HasPrefix(name, "text of") || name == "reasoning" {
			joined[name] = strings.Join(list, "")
		} else {
			joined[name] = strings.Join(list, "\n")
		}
	}
	return joined
}

// featuresOf tells which features a loss speaks of.
var featuresOf = []struct {
	path, why *regexp.Regexp
	features  []string
}{
	{regexp.MustCompile(`cache_control$`), nil, []string{"cache", "extra"}},
	{regexp.MustCompile(`\.citations$`), nil, []string{"citations"}},
	{regexp.MustCompile(`\.is_error$`), nil, []string{"errors"}},
	{regexp.MustCompile(`^tools\[\d+\]\.strict$`), nil, []string{"strict"}},
	{regexp.MustCompile(`\.detail$`), nil, []string{"detail"}},
	{regexp.MustCompile(`^messages\[\d+\]\.name$`), nil, []string{"names", "extra"}},
	{regexp.MustCompile(`\]\.name$`), nil, []string{"names", "results", "extra"}},
	{regexp.MustCompile(`^tools`), nil, []string{"tools", "extra"}},
	{regexp.MustCompile(`^messages`), regexp.MustCompile(`^reasoning|^signature`), []string{"reasoning"}},
	{regexp.MustCompile(`^messages|^input`), nil, []string{"text of user", "text of assistant", "text of system", "text of results", "calls", "results", "errors",
		"media of user", "media of results", "others of user", "others of assistant", "others of system", "others of results", "extra", "detail"}},
	{regexp.MustCompile(`^(reasoning|thinking|output_config|include)`), nil, []string{"reasoning_config", "extra", "max_tokens"}},
	{regexp.MustCompile(`^response_format\.(name|description)`), nil, []string{"response_format.name"}},
	{regexp.MustCompile(`^response_format|^text\.format`), nil, []string{"response_format", "response_format.name", "response_format.strict", "text of system"}},
}

func speaksOf(l translate.Loss) []string {
	for _, f := range featuresOf {
		if f.path.MatchString(l.Path) && (f.why == nil || f.why.MatchString(l.Why)) {
			return f.features
		}
	}
	return []string{l.Path, "extra"}
}

// over carries a request into a format and reads it there.
func over(t *testing.T, r *translate.Request, to translate.Codec) (*translate.Request, translate.Losses) {
	t.Helper()
	var losses translate.Losses
	adapted, _ := translate.Adapt(r, to.ToolRules(r.Model), &losses)
	out, err := to.AppendRequest(nil, adapted, &losses)
	if err != nil {
		t.Fatalf("→ %s: %v", to.Format(), err)
	}
	again, err := to.DecodeRequest(out, translate.RequestOptions{})
	if err != nil {
		t.Fatalf("→ %s: %v\n%.2000s", to.Format(), err, out)
	}
	again.Model = r.Model
	return again, losses
}

// A request that goes into another format and back says what it said, but for what
// is on the list; and nothing is on the list that came back.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t, "request") {
		for name, to := range codecs {
			if name == f.Format {
				continue
			}
			t.Run(f.File+" ⇄ "+name, func(t *testing.T) {
				t.Parallel()
				from := codecs[f.Format]
				first, err := from.DecodeRequest(f.body, translate.RequestOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if first.Model == "" {
					first.Model = f.Model
				}
				there, lost := over(t, first, to)
				back, lostBack := over(t, there, from)
				was, is := features(first), features(back)
				differ := map[string]bool{}
				for name := range was {
					differ[name] = was[name] != is[name]
				}
				for name := range is {
					differ[name] = was[name] != is[name]
				}
				told := map[string]bool{}
				for _, l := range append(slices.Clone(lost), lostBack...) {
					for _, name := range speaksOf(l) {
						told[name] = true
					}
				}
				for name, yes := range differ {
					if yes && !told[name] {
						t.Errorf("%s is not what it was, and that is not told:\n%.600s\n%.600s", name, was[name], is[name])
					}
				}
				for _, l := range lost {
					needed := l.Approximated // something near may come back as it was
					for _, name := range speaksOf(l) {
						needed = needed || differ[name]
					}
					if !needed {
						t.Errorf("it came back, but is told to be lost: %+v", l)
					}
				}
				if t.Failed() {
					t.Logf("there %+v\nback %+v", lost, lostBack)
				}
			})
		}
	}
}
