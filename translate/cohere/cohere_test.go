package cohere_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
	"github.com/nine-router/nine-router/translate/cohere"
	"github.com/nine-router/nine-router/translate/openai"
)

type text struct {
	SHA256 string `json:"sha256"`
}

type fixture struct {
	File, Format, Kind string
	Facts              struct {
		Text, Reasoning *text
		ToolCalls       []struct{ Name, ID, Arguments string } `json:"tool_calls"`
		ToolResults     []struct{ ID string }                  `json:"tool_results"`
		FinishClass     string                                 `json:"finish_class"`
		Usage           map[string]int64
		Citations       int
	}
	body []byte
}

func fixtures(t *testing.T, kind string, formats ...string) []fixture {
	t.Helper()
	dir := os.Getenv("NINE_ROUTER_FIXTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "fixtures")
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Skipf("recordings of provider traffic are not here: %v", err)
	}
	var m struct{ Files []fixture }
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	var list []fixture
	for _, f := range m.Files {
		for _, format := range formats {
			if f.Kind == kind && f.Format == format {
				if f.body, err = os.ReadFile(filepath.Join(dir, f.File)); err != nil {
					t.Fatal(err)
				}
				list = append(list, f)
			}
		}
	}
	return list
}

func (want *text) differs(got string) bool {
	if want == nil {
		return got != ""
	}
	h := sha256.Sum256([]byte(got))
	return hex.EncodeToString(h[:]) != want.SHA256
}

func same(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func run(t *testing.T, body []byte, o translate.DecodeOptions, sink translate.Sink, step int) error {
	t.Helper()
	d := cohere.Codec{}.NewDecoder(sink, o)
	for rest := body; len(rest) > 0; {
		n := min(step, len(rest))
		if _, err := d.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return d.Close()
}

func TestRecordedAnswers(t *testing.T) {
	t.Parallel()
	stops := map[string]translate.StopReason{"stop": translate.StopEnd, "tool_calls": translate.StopTools}
	for _, kind := range []string{"stream", "response"} {
		for _, f := range fixtures(t, kind, "cohere") {
			t.Run(f.File, func(t *testing.T) {
				o := translate.DecodeOptions{Stream: kind == "stream"}
				for _, step := range []int{1, 11, len(f.body)} {
					var got translate.Collector
					if err := run(t, f.body, o, &got, step); err != nil {
						t.Fatal(err)
					}
					a := &got.Answer
					if len(a.Choices) != 1 || !a.Ended || a.ID == "" {
						t.Fatalf("%+v", a)
					}
					said, thought, citations, calls := "", "", 0, 0
					for _, b := range a.Choices[0].Blocks {
						citations += len(b.Citations)
						switch b.Part {
						case translate.Text:
							said += string(b.Text)
						case translate.Reasoning:
							thought += string(b.Text)
						case translate.ToolCall:
							if calls < len(f.Facts.ToolCalls) {
								want := f.Facts.ToolCalls[calls]
								if b.Name != want.Name || b.ID != want.ID || !same(string(b.Text), want.Arguments) {
									t.Errorf("call %s %s %s, want %+v", b.Name, b.ID, b.Text, want)
								}
							}
							calls++
						}
					}
					if f.Facts.Text.differs(said) || f.Facts.Reasoning.differs(thought) {
						t.Errorf("text %q, reasoning %q", said, thought)
					}
					if calls != len(f.Facts.ToolCalls) || citations != f.Facts.Citations {
						t.Errorf("%d calls, %d citations", calls, citations)
					}
					if a.Choices[0].Stop != stops[f.Facts.FinishClass] {
						t.Errorf("stop %d, want %s", a.Choices[0].Stop, f.Facts.FinishClass)
					}
					u := f.Facts.Usage
					if a.Usage.Input != u["input"] || a.Usage.Output != u["output"] || a.Usage.CacheRead != u["cached_input"] {
						t.Errorf("usage %+v, want %v", a.Usage, u)
					}
					var heard translate.Collector
					o := o
					o.Listen = true
					if err := run(t, f.body, o, &heard, step); err != nil {
						t.Fatal(err)
					}
					if heard.Answer.Usage != a.Usage || heard.Answer.Choices[0].Stop != a.Choices[0].Stop {
						t.Error("a listener sees another end")
					}
				}
				if kind == "response" {
					return
				}
				for n := 0; n < len(f.body)-20; n += 37 {
					var got translate.Collector
					if err := run(t, f.body[:n], o, &got, n+1); err == nil && !got.Answer.Ended {
						t.Fatalf("cut at %d it was taken for whole", n)
					}
				}
			})
		}
	}
}

func TestRequestsKeepCallsAndResults(t *testing.T) {
	t.Parallel()
	codecs := map[string]translate.Codec{"openai-chat": openai.Codec{}, "anthropic-messages": anthropic.Codec{}, "cohere": openai.Codec{}}
	for _, f := range fixtures(t, "request", "openai-chat", "anthropic-messages", "cohere") {
		t.Run(f.File, func(t *testing.T) {
			r, err := codecs[f.Format].DecodeRequest(f.body, translate.RequestOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Release()
			var losses translate.Losses
			out, err := cohere.Codec{}.AppendRequest(nil, r, &losses)
			if err != nil || !json.Valid(out) {
				t.Fatalf("%v %s", err, out)
			}
			var got struct {
				Messages []struct {
					Role       string
					ToolCallID string `json:"tool_call_id"`
					ToolCalls  []struct {
						ID       string
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
			}
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			calls, results, before := 0, 0, ""
			for _, m := range got.Messages {
				if m.Role == "assistant" && before == "assistant" {
					t.Error("two messages for one turn")
				}
				before = m.Role
				for _, c := range m.ToolCalls {
					if want := f.Facts.ToolCalls[calls]; c.Function.Name != want.Name || c.ID != want.ID && want.ID != "" {
						t.Errorf("call %+v, want %+v", c, want)
					}
					calls++
				}
				if m.Role == "tool" {
					if want := f.Facts.ToolResults[results]; m.ToolCallID != want.ID && want.ID != "" {
						t.Errorf("result of %s, want %s", m.ToolCallID, want.ID)
					}
					results++
				}
			}
			if calls != len(f.Facts.ToolCalls) || results != len(f.Facts.ToolResults) {
				t.Errorf("%d calls and %d results, want %d and %d", calls, results, len(f.Facts.ToolCalls), len(f.Facts.ToolResults))
			}
			if f.Format == "cohere" && !same(string(out), string(f.body)) {
				// A null content is as good as none.
				if want := strings.ReplaceAll(string(f.body), `"content": null,`, ""); !same(string(out), want) {
					t.Errorf("got %s\nwant %s", out, want)
				}
			}
		})
	}
}

func TestOptionsHaveCoheresNames(t *testing.T) {
	t.Parallel()
	r, err := openai.Codec{}.DecodeRequest([]byte(`{"model":"command-a-03-2025","stream":true,"messages":[
		{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"https://x.test/a.png"}}]}],
		"tools":[{"type":"function","function":{"name":"f","strict":true}}],"tool_choice":{"type":"function","function":{"name":"f"}},
		"max_tokens":5,"temperature":0.3,"top_p":0.9,"top_k":3,"seed":4,"stop":["a","b"],"reasoning_effort":"none","n":2,"mine":1,
		"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}}`), translate.RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	var losses translate.Losses
	out, err := cohere.Codec{}.AppendRequest(nil, r, &losses)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"model":"command-a-03-2025","messages":[{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"https://x.test/a.png"}}]}],
		"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"strict_tools":true,"tool_choice":"REQUIRED",
		"stream":true,"max_tokens":5,"temperature":0.3,"p":0.9,"k":3,"seed":4,"stop_sequences":["a","b"],"response_format":{"type":"json_object","json_schema":{"type":"object"}},
		"thinking":{"type":"disabled"}}`
	if !same(string(out), want) {
		t.Errorf("got  %s\nwant %s", out, want)
	}
	if len(losses) != 3 { // the tool's name, n, and a member of the client's own
		t.Errorf("losses %v", losses)
	}
}

func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	const start = `data: {"type":"message-start","id":"i"}` + "\n\n"
	for body, stream := range map[string]bool{
		start + `data: {"message":"overloaded"}` + "\n\n":                                                      true,
		start + `data: {"type":"message-end","delta":{"finish_reason":"ERROR","error":"overloaded"}}` + "\n\n": true,
		`{"message":"overloaded"}`: false,
	} {
		var got translate.Collector
		if err := run(t, []byte(body), translate.DecodeOptions{Stream: stream}, &got, 9); err != nil || got.Answer.Err == nil || got.Answer.Err.Message != "overloaded" {
			t.Errorf("%s: %v %+v", body, err, got.Answer)
		}
	}
	if e := (cohere.Codec{}).DecodeError(429, []byte(`{"id":"x","message":"slow down"}`)); e.Message != "slow down" || e.Kind != translate.RateLimited {
		t.Errorf("%+v", e)
	}
	if _, err := (cohere.Codec{}).DecodeRequest([]byte(`{}`), translate.RequestOptions{}); err == nil {
		t.Error("a request was read")
	}
}

// A citation may come when its text is closed, and a plan is no text.
func TestCitationsAndPlans(t *testing.T) {
	t.Parallel()
	body := `data: {"type":"message-start","id":"i","delta":{"message":{"role":"assistant"}}}

data: {"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will"}}}

data: {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}

data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"sunny"}}}}

data: {"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":5,"text":"sunny","sources":[]}}}}

data: {"type":"citation-end","index":0}

data: {"type":"content-end","index":0}

data: {"type":"citation-start","index":1,"delta":{"message":{"citations":{"start":0,"end":1,"text":"s","sources":[]}}}}

data: {"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":2,"output_tokens":3}}}}

`
	var got translate.Collector
	if err := run(t, []byte(body), translate.DecodeOptions{Stream: true}, &got, 1000); err != nil {
		t.Fatal(err)
	}
	b := got.Answer.Choices[0].Blocks
	if len(b) != 2 || string(b[0].Text) != "sunny" || len(b[0].Citations) != 1 || len(b[1].Citations) != 1 || got.Answer.Usage.Output != 3 {
		t.Errorf("%+v", got.Answer)
	}
	enc := cohere.Codec{}.NewEncoder(translate.EncodeOptions{Stream: true, ID: "x", Model: "m"})
	if err := run(t, []byte(body), translate.DecodeOptions{Stream: true}, enc, 1000); err != nil {
		t.Fatal(err)
	}
	if l := enc.Losses(); len(l) != 2 || l[0].Path != "tool_plan" {
		t.Errorf("losses %v", l)
	}
}
