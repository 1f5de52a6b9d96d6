package ollama_test

import (
	"bytes"
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
	"github.com/nine-router/nine-router/translate/ollama"
	"github.com/nine-router/nine-router/translate/openai"
)

type fixture struct {
	File, Format, Kind string
	Facts              struct {
		Text, Reasoning *struct {
			SHA256 string `json:"sha256"`
		}
		ToolCalls []struct {
			Name, ID, Arguments string
		} `json:"tool_calls"`
		ToolResults []struct{ ID string } `json:"tool_results"`
		FinishClass string                `json:"finish_class"`
		Usage       map[string]int64
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

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func decode(t *testing.T, body []byte, o translate.DecodeOptions, sink translate.Sink, step int) {
	t.Helper()
	d := ollama.Codec{}.NewDecoder(sink, o)
	for rest := body; len(rest) > 0; {
		n := min(step, len(rest))
		if _, err := d.Write(rest[:n]); err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
		rest = rest[n:]
	}
	if err := d.Close(); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
}

func same(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

func (f fixture) check(t *testing.T, what string, a *translate.Answer, ids bool) {
	t.Helper()
	if len(a.Choices) != 1 || !a.Ended || a.Err != nil {
		t.Fatalf("%s: %d choices, ended %v, %v", what, len(a.Choices), a.Ended, a.Err)
	}
	c := a.Choices[0]
	text, calls := "", 0
	for _, b := range c.Blocks {
		switch b.Part {
		case translate.Text:
			text += string(b.Text)
		case translate.ToolCall:
			if calls < len(f.Facts.ToolCalls) {
				want := f.Facts.ToolCalls[calls]
				if b.Name != want.Name || !same(t, string(b.Text), want.Arguments) || ids && want.ID != b.ID {
					t.Errorf("%s: call %+v, want %+v", what, b, want)
				}
			}
			calls++
		}
	}
	if f.Facts.Text != nil && sum(text) != f.Facts.Text.SHA256 {
		t.Errorf("%s: text %q", what, text)
	}
	if calls != len(f.Facts.ToolCalls) {
		t.Errorf("%s: %d calls, want %d", what, calls, len(f.Facts.ToolCalls))
	}
	stop := translate.StopEnd
	if calls > 0 {
		stop = translate.StopTools
	}
	if c.Stop != stop || f.Facts.FinishClass != "stop" {
		t.Errorf("%s: stop %d, want %s", what, c.Stop, f.Facts.FinishClass)
	}
	if a.Usage.Input != f.Facts.Usage["input"] || a.Usage.Output != f.Facts.Usage["output"] {
		t.Errorf("%s: usage %+v, want %v", what, a.Usage, f.Facts.Usage)
	}
}

func TestRecordedAnswers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"stream", "response"} {
		for _, f := range fixtures(t, kind, "ollama") {
			t.Run(f.File, func(t *testing.T) {
				o := translate.DecodeOptions{Stream: kind == "stream"}
				for _, step := range []int{1, 7, len(f.body)} {
					var got translate.Collector
					decode(t, f.body, o, &got, step)
					f.check(t, "decoded", &got.Answer, true)
				}
				generate, err := ollama.Codec{}.DecodeRequest([]byte(`{"model":"m","prompt":"p"}`), translate.RequestOptions{})
				if err != nil {
					t.Fatal(err)
				}
				for _, request := range []*translate.Request{nil, generate} {
					for _, stream := range []bool{true, false} {
						enc := ollama.Codec{}.NewEncoder(translate.EncodeOptions{Stream: stream, Model: "m", ID: "x", Request: request})
						decode(t, f.body, o, enc, 100)
						if n := len(enc.Losses()); n > 0 {
							t.Errorf("losses %v", enc.Losses())
						}
						if request != nil && bytes.Contains(enc.Bytes(), []byte(`"message"`)) {
							t.Errorf("an answer of the other path: %s", enc.Bytes())
						}
						var got translate.Collector
						decode(t, enc.Bytes(), translate.DecodeOptions{Stream: stream}, &got, 3)
						f.check(t, "encoded", &got.Answer, false)
					}
				}
				var all, some translate.Collector
				decode(t, f.body, o, &all, 9)
				decode(t, f.body, translate.DecodeOptions{Stream: o.Stream, Listen: true}, &some, 9)
				if all.Answer.Usage != some.Answer.Usage || some.Answer.Choices[0].Stop != all.Answer.Choices[0].Stop {
					t.Error("a listener sees another end")
				}
			})
		}
	}
}

func TestRecordedRequestsComeBack(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t, "request", "ollama") {
		r, err := ollama.Codec{}.DecodeRequest(f.body, translate.RequestOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var losses translate.Losses
		out, err := ollama.Codec{}.AppendRequest(nil, r, &losses)
		if err != nil || len(losses) > 0 || !json.Valid(out) {
			t.Errorf("%s: %v %v %s", f.File, err, losses, out)
		}
		for _, absent := range []string{`"id"`, "tool_call_id", "tool_name"} {
			if strings.Contains(string(out), absent) {
				t.Errorf("%s: %s was added: %s", f.File, absent, out)
			}
		}
		out, err = openai.Codec{}.AppendRequest(nil, r, &losses)
		if err != nil || !json.Valid(out) {
			t.Errorf("%s: %v %s", f.File, err, out)
		}
		r.Release()
	}
}

func TestRequestsOfOtherFormatsKeepCallsAndResults(t *testing.T) {
	t.Parallel()
	codecs := map[string]translate.Codec{"openai-chat": openai.Codec{}, "anthropic-messages": anthropic.Codec{}}
	for _, f := range fixtures(t, "request", "openai-chat", "anthropic-messages") {
		t.Run(f.File, func(t *testing.T) {
			r, err := codecs[f.Format].DecodeRequest(f.body, translate.RequestOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Release()
			var losses translate.Losses
			fit, _ := translate.Adapt(r, ollama.Codec{}.ToolRules("m"), &losses)
			out, err := ollama.Codec{}.AppendRequest(nil, fit, &losses)
			if err != nil || !json.Valid(out) {
				t.Fatalf("%v %s", err, out)
			}
			again, err := ollama.Codec{}.DecodeRequest(out, translate.RequestOptions{})
			if err != nil {
				t.Fatalf("%v %s", err, out)
			}
			defer again.Release()
			if again.Stream != r.Stream {
				t.Error("stream changed")
			}
			calls, results := 0, 0
			for _, m := range again.Messages {
				for _, p := range m.Parts {
					switch p.Kind {
					case translate.ToolCall:
						if want := f.Facts.ToolCalls[calls]; want.Name != p.Call.Name || want.ID != "" && want.ID != p.Call.ID {
							t.Errorf("call %+v, want %+v", p.Call, want)
						}
						calls++
					case translate.ToolResult:
						if want := f.Facts.ToolResults[results]; want.ID != "" && want.ID != p.Result.CallID {
							t.Errorf("result %+v, want %+v", p.Result, want)
						}
						if p.Result.Name == "" {
							t.Errorf("result of %s names no tool", p.Result.CallID)
						}
						results++
					}
				}
			}
			if calls != len(f.Facts.ToolCalls) || results != len(f.Facts.ToolResults) {
				t.Errorf("%d calls and %d results, want %d and %d", calls, results, len(f.Facts.ToolCalls), len(f.Facts.ToolResults))
			}
		})
	}
}

// What a client of Ollama sends comes to another Ollama as it was.
func TestRequestsComeBackWhole(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"u","images":["iVBORw0KGgo="],"mine":1},
		  {"role":"assistant","content":"a","thinking":"t","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}},{"id":"c2","function":{"name":"g","arguments":{}}}]},
		  {"role":"tool","content":"r","tool_name":"g"},{"role":"tool","content":"r2","tool_call_id":"c2"},{"role":"tool","content":"r3"}],
		  "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"more":2},"items":[]},{"type":"browser"}],
		  "stream":true,"think":"high","format":{"type":"object"},"keep_alive":"5m","logprobs":true,"top_logprobs":2,
		  "options":{"temperature":0.50,"top_p":1,"top_k":3,"num_predict":10,"seed":1,"stop":["x"],"frequency_penalty":1,"presence_penalty":2,"num_ctx":4096,"mirostat":0}}`,
		`{"model":"m","messages":[],"stream":true,"keep_alive":0}`,
		`{"model":"m","messages":[{"role":"user","content":"x"}],"stream":false,"think":false,"format":"json","options":{"num_predict":-1}}`,
		`{"model":"m","prompt":"p","system":"s","images":["/9j/4AAQ"],"suffix":"after","template":"t","raw":true,"context":[1,2],"stream":false,"think":true}`,
		`{"model":"m","stream":true}`,
	} {
		r, err := ollama.Codec{}.DecodeRequest([]byte(body), translate.RequestOptions{})
		if err != nil {
			t.Fatalf("%v %s", err, body)
		}
		if got, want := ollama.IsGenerate(r), !strings.Contains(body, "messages"); got != want {
			t.Errorf("IsGenerate is %v of %s", got, body)
		}
		var losses translate.Losses
		out, err := ollama.Codec{}.AppendRequest(nil, r, &losses)
		if err != nil || len(losses) > 0 || !same(t, body, string(out)) {
			t.Errorf("%v %v\n got %s\nwant %s", err, losses, out, body)
		}
	}
}

func TestResultsFindTheirCalls(t *testing.T) {
	t.Parallel()
	r, err := ollama.Codec{}.DecodeRequest([]byte(`{"model":"m","messages":[
		{"role":"assistant","tool_calls":[{"function":{"name":"a","arguments":{}}},{"function":{"name":"b","arguments":{}}},{"id":"x","function":{"name":"a","arguments":{}}}]},
		{"role":"tool","content":"1","tool_name":"b"},{"role":"tool","content":"2"},{"role":"tool","content":"3","tool_name":"a"}]}`), translate.RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Stream {
		t.Error("Ollama streams unless it is told not to")
	}
	for i, want := range []string{"call_0_1", "call_0_0", "x"} {
		if got := r.Messages[i+1].Parts[0].Result.CallID; got != want {
			t.Errorf("result %d is of %s, want %s", i, got, want)
		}
	}
}

func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	const line = `{"model":"m","message":{"role":"assistant","content":"x"},"done":false}` + "\n"
	for _, body := range []string{"", line, line + line[:20], line + "\nnonsense\n"} {
		var got translate.Collector
		d := ollama.Codec{}.NewDecoder(&got, translate.DecodeOptions{Stream: true})
		_, err := d.Write([]byte(body))
		if err == nil {
			err = d.Close()
		}
		if err == nil {
			t.Errorf("%q was taken for whole", body)
		}
	}
	d := ollama.Codec{}.NewDecoder(&translate.Collector{}, translate.DecodeOptions{Stream: true, MaxEvent: 50})
	if _, err := d.Write([]byte(line)); err == nil {
		t.Error("no bound for a line")
	}
	for _, stream := range []bool{true, false} {
		enc := ollama.Codec{}.NewEncoder(translate.EncodeOptions{Stream: stream})
		body := `{"error":"out of memory"}`
		if stream {
			body = line + body
		}
		decode(t, []byte(body), translate.DecodeOptions{Stream: stream}, enc, 5)
		var got translate.Collector
		decode(t, enc.Bytes(), translate.DecodeOptions{Stream: stream}, &got, 5)
		if got.Answer.Err == nil || got.Answer.Err.Message != "out of memory" || got.Answer.Ended {
			t.Errorf("the failure became %+v", got.Answer)
		}
	}
	for _, body := range []string{`{"error":"no"}`, `{"error":{"message":"no"}}`, `{"message":"no"}`} {
		if e := (ollama.Codec{}).DecodeError(404, []byte(body)); e.Message != "no" || e.Kind != translate.NotFound {
			t.Errorf("%s: %+v", body, e)
		}
	}
}

// Pieces of calls and several lines of arguments become one line.
func TestCallsAreWrittenWhole(t *testing.T) {
	t.Parallel()
	enc := ollama.Codec{}.NewEncoder(translate.EncodeOptions{Stream: true, Model: "m", ID: "id", Created: 1})
	for _, e := range []translate.Event{
		{Kind: translate.AnswerStart},
		{Kind: translate.BlockStart, Part: translate.ToolCall, Block: 0, Name: "a"},
		{Kind: translate.BlockStart, Part: translate.ToolCall, Block: 1, Name: "b", ID: "c"},
		{Kind: translate.Delta, Part: translate.ToolCall, Block: 0, Text: "{\n \"x\""},
		{Kind: translate.Delta, Part: translate.ToolCall, Block: 1, Text: "[1]"},
		{Kind: translate.Delta, Part: translate.ToolCall, Block: 0, Text: ":1.0\n}"},
		{Kind: translate.BlockStop, Part: translate.ToolCall, Block: 1},
		{Kind: translate.BlockStop, Part: translate.ToolCall, Block: 0},
		{Kind: translate.Finish, Stop: translate.StopTools},
		{Kind: translate.AnswerEnd},
	} {
		if err := enc.Event(&e); err != nil {
			t.Fatal(err)
		}
	}
	const head = `{"model":"m","created_at":"1970-01-01T00:00:01Z","message":{"role":"assistant","content":""`
	want := head + `,"tool_calls":[{"id":"c","function":{"index":0,"name":"b","arguments":{"malformed_arguments":"[1]"}}}]},"done":false}` + "\n" +
		head + `,"tool_calls":[{"id":"call_id_1","function":{"index":1,"name":"a","arguments":{"x":1.0}}}]},"done":false}` + "\n" +
		head + `},"done":true,"done_reason":"stop","total_duration":0,"load_duration":0,"prompt_eval_count":0,"prompt_eval_duration":0,"eval_count":0,"eval_duration":0}` + "\n"
	if got := string(enc.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(enc.Losses()) != 1 {
		t.Errorf("losses %v", enc.Losses())
	}
}

func TestThinkFollowsTheModel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		model  string
		config translate.ReasoningConfig
		want   string
	}{
		{"qwen3", translate.ReasoningConfig{Effort: "low"}, `"think":true`},
		{"qwen3", translate.ReasoningConfig{Effort: "none"}, `"think":false`},
		{"qwen3", translate.ReasoningConfig{Mode: translate.ReasoningOff}, `"think":false`},
		{"qwen3", translate.ReasoningConfig{Mode: translate.ReasoningOn, Budget: "9000"}, `"think":true`},
		{"gpt-oss:20b", translate.ReasoningConfig{Mode: translate.ReasoningOn, Budget: "9000"}, `"think":"medium"`},
		{"gpt-oss:20b", translate.ReasoningConfig{Effort: "xhigh"}, `"think":"high"`},
		{"qwen3", translate.ReasoningConfig{Mode: translate.ReasoningAdaptive, Effort: "high"}, ""},
		{"qwen3", translate.ReasoningConfig{}, ""},
	} {
		r := &translate.Request{Format: translate.OpenAI, Model: c.model, Reasoning: c.config, Messages: []translate.Message{{Role: translate.RoleUser}}}
		out, err := ollama.Codec{}.AppendRequest(nil, r, nil)
		if err != nil || c.want != "" && !strings.Contains(string(out), c.want) || c.want == "" && strings.Contains(string(out), "think") {
			t.Errorf("%+v: %v %s, want %s", c.config, err, out, c.want)
		}
	}
}

type nothing struct{}

func (nothing) Event(*translate.Event) error { return nil }

func TestPiecesOfTextCostNoAllocation(t *testing.T) {
	d := ollama.Codec{}.NewDecoder(nothing{}, translate.DecodeOptions{Stream: true})
	line := []byte(`{"model":"m","created_at":"2024-05-24T20:57:43.314639Z","message":{"role":"assistant","content":"Here\n"},"done":false}` + "\n")
	for range 10 {
		if _, err := d.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = d.Write(line) }); n > 0 {
		t.Errorf("%v allocations for a piece of text", n)
	}
}
