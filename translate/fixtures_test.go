package translate_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
	"github.com/nine-router/nine-router/translate/cohere"
	"github.com/nine-router/nine-router/translate/gemini"
	"github.com/nine-router/nine-router/translate/ollama"
	"github.com/nine-router/nine-router/translate/openai"
	"github.com/nine-router/nine-router/translate/responses"
)

// codecs are the formats that clients speak, by the folder of their recordings.
var codecs = map[string]translate.Codec{
	"openai-chat": openai.Codec{}, "openai-responses": responses.Codec{}, "anthropic-messages": anthropic.Codec{},
	"gemini": gemini.Codec{}, "ollama": ollama.Codec{},
}

// upstreams are the formats that providers speak.
var upstreams = func() map[string]translate.Codec {
	all := maps.Clone(codecs)
	all["cohere"] = cohere.Codec{}
	return all
}()

type fixture struct {
	File, Format, Kind string
	HTTPStatus         int `json:"http_status"`
	Model              string
	Facts              facts
	body               []byte
}

type facts struct {
	Text, Reasoning, Refusal *textFact
	ToolCalls                []callFact `json:"tool_calls"`
	FinishClass              string     `json:"finish_class"`
	Usage                    map[string]int64
	Errors                   []any
	OtherChoices             json.RawMessage `json:"other_choices"`
	Model                    string
	Tools                    []struct{ Name string }
	System                   *textFact
	ToolResults              []struct{ ID string } `json:"tool_results"`
	DoneSentinel             *bool                 `json:"done_sentinel"`
	Unterminated             bool
	Error                    *struct{ Message string }
}

type textFact struct{ SHA256, SHA256NoWS string }

func (t *textFact) UnmarshalJSON(b []byte) error {
	var v struct {
		SHA256 string `json:"sha256"`
		NoWS   string `json:"sha256_nows"`
	}
	err := json.Unmarshal(b, &v)
	t.SHA256, t.SHA256NoWS = v.SHA256, v.NoWS
	if t.SHA256NoWS == "" {
		t.SHA256NoWS = v.SHA256
	}
	return err
}

type callFact struct {
	Name, ID        string
	Arguments       string
	ArgumentsRaw    *string `json:"arguments_raw"`
	ArgumentsSHA256 string  `json:"arguments_sha256"`
	Kind            string
}

// fixtures loads the recordings of both formats, or skips.
func fixtures(t *testing.T, kind string) []fixture {
	t.Helper()
	dir := os.Getenv("NINE_ROUTER_FIXTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "fixtures")
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Skipf("recordings of provider traffic are not here; set NINE_ROUTER_FIXTURES to their folder: %v", err)
	}
	var m struct{ Files []fixture }
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	var list []fixture
	for _, f := range m.Files {
		if f.Kind != kind || upstreams[f.Format] == nil || kind == "request" && codecs[f.Format] == nil {
			continue
		}
		// These formats end an answer with calls like any other; see the
		// recordings' README.
		if (f.Format == "openai-responses" || f.Format == "gemini" || f.Format == "ollama") && f.Facts.FinishClass == "stop" && len(f.Facts.ToolCalls) > 0 {
			f.Facts.FinishClass = "tool_calls"
		}
		if f.body, err = os.ReadFile(filepath.Join(dir, f.File)); err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	if len(list) == 0 {
		t.Fatal("the manifest names no files of this kind")
	}
	return list
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func noSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

func (t *textFact) differs(what, got string) string {
	if t == nil {
		if got != "" {
			return fmt.Sprintf("%s: got %.60q, want none", what, got)
		}
		return ""
	}
	if sum(got) != t.SHA256 && sum(noSpace(got)) != t.SHA256NoWS {
		return fmt.Sprintf("%s: got %d bytes %.80q, want another text", what, len(got), got)
	}
	return ""
}

// canonical is JSON with sorted names, without spaces and without escapes that
// are not needed.
func canonical(s string) (string, bool) {
	if strings.TrimSpace(s) == "" {
		return "{}", true
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return s, false
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(v)
	r := strings.NewReplacer("\\u2028", "\u2028", "\\u2029", "\u2029")
	return r.Replace(strings.TrimSpace(b.String())), true
}

func (c callFact) differs(name, id, arguments string) string {
	if name != c.Name {
		return fmt.Sprintf("call %q, want %q", name, c.Name)
	}
	if c.ID != "" && id != c.ID {
		return fmt.Sprintf("call %s has id %q, want %q", name, id, c.ID)
	}
	if c.Kind == "custom" {
		return ""
	}
	got, ok := canonical(arguments)
	switch {
	case !ok && c.ArgumentsRaw == nil:
		return fmt.Sprintf("call %s has arguments that are not JSON: %.80q", name, arguments)
	case c.ArgumentsRaw != nil && !ok && arguments != *c.ArgumentsRaw:
		return fmt.Sprintf("call %s has raw arguments %.80q, want %.80q", name, arguments, *c.ArgumentsRaw)
	case ok && c.ArgumentsSHA256 != "" && sum(got) != c.ArgumentsSHA256:
		return fmt.Sprintf("call %s has other long arguments", name)
	case ok && c.ArgumentsSHA256 == "" && c.ArgumentsRaw == nil && got != c.Arguments:
		return fmt.Sprintf("call %s has arguments %.200q, want %.200q", name, got, c.Arguments)
	}
	return ""
}

var classes = map[translate.StopReason][]string{
	translate.StopEnd: {"stop"}, translate.StopSequence: {"stop"}, translate.StopLength: {"length"}, translate.StopContext: {"length", "other"},
	translate.StopTools: {"tool_calls"}, translate.StopPause: {"pause"}, translate.StopFiltered: {"content_filter"},
	translate.StopRefused: {"refusal", "content_filter"}, translate.StopUnknown: {"other", ""}, translate.StopError: {"error"},
}

// A view is how much of the facts can be seen: what an answer was re-encoded to
// may not be able to express everything.
type view struct {
	exactStop  bool // the stop is expressible
	translated bool // into another format
	ids        bool
}

// check compares an answer with the facts.
func (f facts) check(a *translate.Answer, v view) (bad []string) {
	add := func(s string) {
		if s != "" {
			bad = append(bad, s)
		}
	}
	if len(f.Errors) > 0 {
		if a.Err == nil {
			add("the error within the answer was not told")
		}
		return bad
	}
	if a.Err != nil {
		add("unexpected failure: " + a.Err.Message)
		return bad
	}
	var text, reasoning, refusal strings.Builder
	var calls []translate.Block
	var c translate.Choice
	if len(a.Choices) > 0 {
		c = a.Choices[0]
	}
	for _, b := range c.Blocks {
		switch b.Part {
		case translate.Text:
			text.Write(b.Text)
		case translate.Reasoning:
			if !b.Redacted {
				reasoning.Write(b.Text)
			}
		case translate.Refusal:
			refusal.Write(b.Text)
		case translate.ToolCall:
			calls = append(calls, b)
		}
	}
	whole := text.String()
	if f.Refusal != nil && refusal.Len() == 0 {
		add(f.Refusal.differs("refusal", whole))
		whole = ""
	}
	add(f.Text.differs("text", whole))
	add(f.Reasoning.differs("reasoning", reasoning.String()))
	if len(calls) != len(f.ToolCalls) {
		add(fmt.Sprintf("%d calls, want %d", len(calls), len(f.ToolCalls)))
	} else {
		for i, b := range calls {
			want := f.ToolCalls[i]
			if !v.ids {
				want.ID = ""
			}
			add(want.differs(b.Name, b.ID, string(b.Text)))
		}
	}
	for name, got := range map[string]int64{"input": a.Usage.Input, "output": a.Usage.Output, "cached_input": a.Usage.CacheRead, "reasoning": a.Usage.Reasoning} {
		if want, ok := f.Usage[name]; ok && got != want {
			add(fmt.Sprintf("usage.%s %d, want %d", name, got, want))
		}
	}
	if v.exactStop && c.Finished {
		ok := false
		for _, class := range classes[c.Stop] {
			ok = ok || class == f.FinishClass
		}
		if v.translated { // the formats have different words for a refusal
			ok = ok || f.FinishClass == "refusal" && c.Stop == translate.StopFiltered || f.Refusal != nil && c.Stop == translate.StopRefused
		}
		if !ok {
			add(fmt.Sprintf("stop %d (%s), want %s", c.Stop, c.Native, f.FinishClass))
		}
	}
	return bad
}

// decode runs an answer through a decoder, cut where cut says.
func decode(c translate.Codec, body []byte, o translate.DecodeOptions, sink translate.Sink, cut func(rest int) int) error {
	d := c.NewDecoder(sink, o)
	for len(body) > 0 {
		n := min(len(body), cut(len(body)))
		if _, err := d.Write(body[:n]); err != nil {
			return err
		}
		body = body[n:]
	}
	return d.Close()
}

func whole(n int) int { return n }
func one(int) int     { return 1 }

func random(seed uint64) func(int) int {
	r := rand.New(rand.NewPCG(seed, 9))
	return func(int) int { return 1 + r.IntN(700) }
}

// partial are recordings that end before their answer does.
func (f fixture) partial(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ended before")
}

func TestRecordedAnswersKeepTheirFacts(t *testing.T) {
	t.Parallel()
	runs := 0
	for _, kind := range []string{"stream", "response"} {
		for _, f := range fixtures(t, kind) {
			codec := upstreams[f.Format]
			t.Run(f.File, func(t *testing.T) {
				cuts := map[string]func(int) int{"whole": whole, "bytes": one, "random": random(uint64(len(f.body)))}
				for name, cut := range cuts {
					runs++
					var got translate.Collector
					err := decode(codec, f.body, translate.DecodeOptions{Stream: kind == "stream"}, &got, cut)
					if err != nil && !f.partial(err) {
						t.Errorf("%s: %v", name, err)
						continue
					}
					if err != nil && f.Facts.FinishClass != "" && f.Facts.FinishClass != "other" {
						t.Errorf("%s: %v, but the recording is finished: %s", name, err, f.Facts.FinishClass)
					}
					for _, bad := range f.Facts.check(&got.Answer, view{exactStop: true, ids: true}) {
						t.Errorf("%s: %s", name, bad)
					}
					if err != nil {
						continue
					}
				}
				var original translate.Collector
				decode(codec, f.body, translate.DecodeOptions{Stream: kind == "stream"}, &original, whole)
				for target, other := range codecs {
					for _, stream := range []bool{true, false} {
						runs++
						enc := other.NewEncoder(translate.EncodeOptions{Stream: stream, IncludeUsage: true, Model: "m", ID: "x"})
						if err := decode(codec, f.body, translate.DecodeOptions{Stream: kind == "stream"}, enc, whole); err != nil {
							continue
						}
						out := bytes.Clone(enc.Bytes())
						var got translate.Collector
						err := decode(other, out, translate.DecodeOptions{Stream: stream}, &got, random(1))
						if err != nil {
							t.Errorf("→ %s stream=%v: %v\n%s", target, stream, err, out)
							continue
						}
						want := f.Facts
						calls := append([]callFact(nil), want.ToolCalls...)
						for i := range calls {
							if calls[i].ArgumentsRaw != nil && target != "openai-chat" && target != "openai-responses" {
								calls[i].ArgumentsRaw, calls[i].Kind = nil, "custom" // wrapped, and listed as a loss
							}
						}
						want.ToolCalls = calls
						want.Usage = maps.Clone(want.Usage)
						if from := original.Answer.Usage; from.Apart && (target == "gemini" || target == "ollama") {
							want.Usage["output"] = from.Billed() // these count reasoning always
						}
						if from := original.Answer.Usage; from.Reasoning > from.Billed() && target == "gemini" {
							delete(want.Usage, "reasoning") // more than all there was
						}
						switch class := f.Facts.FinishClass; {
						case class == "other", class == "pause" && target != "openai-responses" && target != "anthropic-messages",
							class == "error" && target != "gemini", // nobody else has a word for it
							target == "ollama" && (class == "content_filter" || class == "refusal"):
							want.FinishClass = ""
						}
						if target == "ollama" { // counts tokens without telling which
							delete(want.Usage, "cached_input")
							delete(want.Usage, "reasoning")
						}
						for _, bad := range want.check(&got.Answer, view{exactStop: want.FinishClass != "", translated: target != f.Format, ids: true}) {
							t.Errorf("→ %s stream=%v: %s", target, stream, bad)
						}
					}
				}
			})
		}
	}
	t.Logf("%d runs", runs)
}

func TestAListenerSeesUsageAndEnd(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t, "stream") {
		t.Run(f.File, func(t *testing.T) {
			t.Parallel()
			var all, some translate.Collector
			want := decode(upstreams[f.Format], f.body, translate.DecodeOptions{Stream: true}, &all, whole)
			got := decode(upstreams[f.Format], f.body, translate.DecodeOptions{Stream: true, Listen: true}, &some, random(2))
			if (want == nil) != (got == nil) {
				t.Fatalf("listening gave %v, reading %v", got, want)
			}
			if all.Answer.Usage != some.Answer.Usage {
				t.Errorf("usage %+v, want %+v", some.Answer.Usage, all.Answer.Usage)
			}
			if (all.Answer.Err == nil) != (some.Answer.Err == nil) || all.Answer.Ended != some.Answer.Ended {
				t.Errorf("another end: %v %v", some.Answer.Err, some.Answer.Ended)
			}
		})
	}
}

// A stream that is cut off is never taken for a whole one.
func TestACutStreamIsNotASuccess(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t, "stream") {
		t.Run(f.File, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(3, uint64(len(f.body))))
			for range 30 {
				n := r.IntN(len(f.body))
				var got translate.Collector
				err := decode(upstreams[f.Format], f.body[:n], translate.DecodeOptions{Stream: true}, &got, whole)
				if err != nil || got.Answer.Err != nil {
					continue
				}
				for i, c := range got.Answer.Choices {
					if !c.Finished || c.Stop == translate.StopUnknown && f.Facts.FinishClass != "other" {
						t.Errorf("cut at %d of %d: choice %d is taken for finished", n, len(f.body), i)
					}
				}
			}
		})
	}
}

func TestRecordedRequestsKeepTheirFacts(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t, "request") {
		t.Run(f.File, func(t *testing.T) {
			t.Parallel()
			r, err := codecs[f.Format].DecodeRequest(f.body, translate.RequestOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Release()
			if r.Model == "" { // it is in the path
				r.Model = f.Model
			}
			f.Facts.checkRequest(t, "decoded", r, true, nil)
			for target, codec := range codecs {
				var losses translate.Losses
				adapted, _ := translate.Adapt(r, codec.ToolRules(r.Model), &losses)
				out, err := codec.AppendRequest(nil, adapted, &losses)
				if err != nil {
					t.Errorf("→ %s: %v", target, err)
					continue
				}
				if !json.Valid(out) {
					t.Errorf("→ %s: not JSON: %s", target, out)
					continue
				}
				if target == f.Format && len(losses) > 0 {
					t.Errorf("→ %s: losses in the same format: %v", target, losses)
				}
				again, err := codec.DecodeRequest(out, translate.RequestOptions{})
				if err != nil {
					t.Errorf("→ %s: %v\n%.2000s", target, err, out)
					continue
				}
				f.Facts.checkRequest(t, "→ "+target, again, target == f.Format, losses)
				again.Release()
			}
		})
	}
}

func listed(losses translate.Losses, why string) bool {
	for _, l := range losses {
		if strings.HasPrefix(l.Why, why) {
			return true
		}
	}
	return false
}

func (f facts) checkRequest(t *testing.T, what string, r *translate.Request, same bool, losses translate.Losses) {
	t.Helper()
	var system, text, reasoning strings.Builder
	var calls []*translate.Call
	var results []string
	visit := func(to *strings.Builder, parts []translate.Part) {
		for i := range parts {
			switch p := &parts[i]; p.Kind {
			case translate.Text:
				to.WriteString(p.Text)
			case translate.Reasoning:
				reasoning.WriteString(p.Text)
			case translate.ToolCall:
				calls = append(calls, p.Call)
			case translate.ToolResult:
				results = append(results, p.Result.CallID)
			}
		}
	}
	for i := range r.Messages {
		m := &r.Messages[i]
		if m.Role == translate.RoleSystem || m.Role == translate.RoleDeveloper {
			visit(&system, m.Parts)
		} else {
			visit(&text, m.Parts)
		}
	}
	add := func(s string) {
		if s != "" {
			t.Errorf("%s: %s", what, s)
		}
	}
	add(f.System.differs("system", system.String()))
	// What differs must be on the list of losses.
	if !listed(losses, "a text document became text") {
		add(f.Text.differs("text", text.String()))
	}
	if !listed(losses, "reasoning of another provider") {
		add(f.Reasoning.differs("reasoning", reasoning.String()))
	}
	if len(calls) != len(f.ToolCalls) {
		add(fmt.Sprintf("%d calls, want %d", len(calls), len(f.ToolCalls)))
	} else {
		for i, c := range calls {
			name := c.Name
			if _, within, ok := strings.Cut(name, "__"); ok && !same && within == f.ToolCalls[i].Name { // of a namespace
				name = within
			}
			add(f.ToolCalls[i].differs(name, c.ID, c.Arguments))
		}
	}
	if len(results) != len(f.ToolResults) {
		add(fmt.Sprintf("%d results, want %d", len(results), len(f.ToolResults)))
	} else {
		for i, id := range results {
			if want := f.ToolResults[i].ID; want != "" && id != want {
				add(fmt.Sprintf("result of %q, want %q", id, want))
			}
		}
	}
	for i, tool := range f.Tools {
		known := !same || tool.Name == "" && i < len(r.Tools)
		for _, t := range r.Tools {
			known = known || t.Name == tool.Name
		}
		if !known {
			add(fmt.Sprintf("tool %d, %q, is gone", i, tool.Name))
		}
	}
}

func TestRecordedErrorsAreTold(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t, "error") {
		t.Run(f.File, func(t *testing.T) {
			t.Parallel()
			e := upstreams[f.Format].DecodeError(f.HTTPStatus, f.body)
			if f.Facts.Error != nil && f.Facts.Error.Message != "" && e.Message != f.Facts.Error.Message {
				t.Errorf("message %q, want %q", e.Message, f.Facts.Error.Message)
			}
			for target, codec := range codecs {
				body := codec.AppendError(nil, e)
				again := codec.DecodeError(f.HTTPStatus, body)
				if !json.Valid(body) || again.Message != e.Message || again.Type == "" && target != "ollama" {
					t.Errorf("→ %s: %s", target, body)
				}
			}
		})
	}
}
