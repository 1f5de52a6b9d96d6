package gemini_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
	"github.com/nine-router/nine-router/translate/gemini"
	"github.com/nine-router/nine-router/translate/openai"
)

// read decodes a request of this format for a model.
func read(t *testing.T, model, body string) *translate.Request {
	t.Helper()
	r, err := gemini.Codec{}.DecodeRequest([]byte(body), translate.RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Release)
	r.Model = model
	return r
}

func appended(t *testing.T, c translate.Codec, r *translate.Request) (string, translate.Losses) {
	t.Helper()
	var losses translate.Losses
	b, err := c.AppendRequest(nil, r, &losses)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), losses
}

// collect decodes an answer.
func collect(t *testing.T, body string, stream bool) translate.Answer {
	t.Helper()
	var c translate.Collector
	d := gemini.Codec{}.NewDecoder(&c, translate.DecodeOptions{Stream: stream})
	if _, err := d.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return c.Answer
}

// Google's dialect of schemas becomes JSON Schema; what only looks like it stays.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"n":{"type":"ARRAY","items":{"type":"INTEGER"},"minItems":"2"}},"required":["n"]}`: `{"type":"object","properties":{"type":{"type":["string","null"]},"n":{"type":"array","items":{"type":"integer"},"minItems":2}},"required":["n"]}`,
		`{"type":"object","properties":{"nullable":{"type":"string"}},"$defs":{"a":{"type":"string"}}}`:                                                             `{"type":"object","properties":{"nullable":{"type":"string"}},"$defs":{"a":{"type":"string"}}}`,
		`{"any_of":[{"type":"STRING","enum":["a"],"nullable":true},{"type":"NUMBER"}]}`:                                                                             `{"anyOf":[{"type":["string","null"],"enum":["a",null]},{"type":"number"}]}`,
		`{"type":"object","properties":{"TYPE":{"const":"STRING"}}}`:                                                                                                `{"type":"object","properties":{"TYPE":{"const":"STRING"}}}`,
	} {
		for _, member := range []string{"parameters", "parametersJsonSchema", "parameters_json_schema"} {
			r := read(t, "m", `{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"f","`+member+`":`+in+`}]}]}`)
			if got := r.Tools[0].Schema; got != want {
				t.Errorf("%s: got %s", member, got)
			}
		}
	}
}

// Calls without ids get one each by their place, and results find their calls in
// order; the same format is not shown an id that the client did not send.
func TestCallsWithoutIDs(t *testing.T) {
	t.Parallel()
	const body = `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"name":"f","args":{"a":2}}}]},` +
		`{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"one"}}},{"functionResponse":{"name":"f","response":{"b":2}}}]}]}`
	r := read(t, "m", body)
	out, losses := appended(t, openai.Codec{}, r)
	if !strings.Contains(out, `{"role":"tool","tool_call_id":"call_1_0","name":"f","content":"one"}`) || !strings.Contains(out, `"tool_call_id":"call_1_1","name":"f","content":"{\"b\":2}"`) || len(losses) > 0 {
		t.Errorf("%s %v", out, losses)
	}
	if out, _ = appended(t, gemini.Codec{}, r); out != body {
		t.Errorf("the same format gives\n%s", out)
	}
}

// A signature belongs to the thinking in front of the part that it lies on, and
// returns to that part.
func TestSignaturesReturnToTheirParts(t *testing.T) {
	t.Parallel()
	for _, parts := range []string{
		`{"text":"t","thought":true},{"functionCall":{"name":"f","args":{}},"thoughtSignature":"AAAA"}`,
		`{"functionCall":{"name":"f","args":{}},"thoughtSignature":"AAAA"},{"functionCall":{"name":"g","args":{}}}`,
		`{"text":"t","thought":true,"thoughtSignature":"AAAA"},{"text":"x"}`,
		`{"text":"x"},{"text":"","thoughtSignature":"AAAA"}`,
		`{"executableCode":{"code":"1"},"thoughtSignature":"AAAA"},{"text":"x","thoughtSignature":"BBBB"}`,
	} {
		body := `{"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[` + parts + `]}]}`
		if out, _ := appended(t, gemini.Codec{}, read(t, "m", body)); out != body {
			t.Errorf("got %s\nwant %s", out, body)
		}
		// Also through a client of another format, from an answer to the next turn.
		a := collect(t, `{"candidates":[{"content":{"parts":[`+parts+`]},"finishReason":"STOP"}]}`, false)
		m := translate.Message{Role: translate.RoleAssistant}
		for _, b := range a.Choices[0].Blocks {
			switch b.Part {
			case translate.Reasoning:
				m.Parts = append(m.Parts, translate.Part{Kind: b.Part, Text: string(b.Text), Signature: string(b.Signature), SignedBy: b.SignedBy})
			case translate.Text:
				m.Parts = append(m.Parts, translate.Part{Kind: b.Part, Text: string(b.Text)})
			case translate.ToolCall:
				m.Parts = append(m.Parts, translate.Part{Kind: b.Part, Call: &translate.Call{Name: b.Name, Arguments: string(b.Text)}})
			default:
				m.Parts = append(m.Parts, translate.Part{Kind: b.Part, Raw: b.Raw, RawFormat: b.RawFormat})
			}
		}
		r := &translate.Request{Format: translate.Anthropic, Model: "gemini-2.5-pro", Messages: []translate.Message{
			{Role: translate.RoleUser, Parts: []translate.Part{{Kind: translate.Text, Text: "q"}}}, m,
		}}
		if out, _ := appended(t, gemini.Codec{}, r); out != body {
			t.Errorf("over another format: got %s\nwant %s", out, body)
		}
	}
}

// Gemini 3 refuses a call of another model without the word that Google has for it.
func TestCallsOfOtherModels(t *testing.T) {
	t.Parallel()
	call := func(id string) translate.Part {
		return translate.Part{Kind: translate.ToolCall, Call: &translate.Call{ID: id, Name: "f", Arguments: "{}"}}
	}
	r := &translate.Request{Format: translate.OpenAI, Messages: []translate.Message{
		{Role: translate.RoleUser, Parts: []translate.Part{{Kind: translate.Text, Text: "x"}}},
		{Role: translate.RoleAssistant, Parts: []translate.Part{call("a"), call("b")}},
	}}
	for model, want := range map[string]int{"gemini-3-pro-preview": 1, "gemini-2.5-flash": 0, "gemini-flash-latest": 1, "learnlm": 0} {
		r.Model = model
		out, _ := appended(t, gemini.Codec{}, r)
		if n := strings.Count(out, "skip_thought_signature_validator"); n != want || n > 0 && !strings.Contains(out, `"args":{}},"thoughtSignature":"skip`) {
			t.Errorf("%s: %s", model, out)
		}
	}
}

// How much to think is said as the model has it.
func TestThinking(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		model  string
		config translate.ReasoningConfig
		want   string
	}{
		{"gemini-3-pro", translate.ReasoningConfig{Effort: "xhigh"}, `"thinkingLevel":"HIGH"`},
		{"gemini-3-pro", translate.ReasoningConfig{Mode: translate.ReasoningOn, Budget: "31999"}, `"thinkingLevel":"HIGH","includeThoughts":true`},
		{"gemini-2.5-pro", translate.ReasoningConfig{Mode: translate.ReasoningOn, Budget: "40000"}, `"thinkingBudget":32768,"includeThoughts":true`},
		{"gemini-2.5-flash", translate.ReasoningConfig{Mode: translate.ReasoningOff}, `"thinkingBudget":0`},
		{"gemini-2.5-flash", translate.ReasoningConfig{Mode: translate.ReasoningAdaptive}, `"thinkingBudget":-1,"includeThoughts":true`},
		{"gemini-2.5-pro", translate.ReasoningConfig{Effort: "none"}, `"thinkingBudget":128`},
		{"gemini-2.0-flash", translate.ReasoningConfig{Effort: "high"}, ``},
	} {
		r := &translate.Request{Format: translate.Anthropic, Model: c.model, Reasoning: c.config,
			Messages: []translate.Message{{Role: translate.RoleUser, Parts: []translate.Part{{Kind: translate.Text, Text: "x"}}}}}
		out, _ := appended(t, gemini.Codec{}, r)
		_, got, found := strings.Cut(out, `"thinkingConfig":{`)
		got, _, _ = strings.Cut(got, "}")
		if got != c.want || found != (c.want != "") {
			t.Errorf("%s %+v: got %s", c.model, c.config, got)
		}
	}
}

// The arguments of a call that come as values with places are one JSON object.
func TestPartialArguments(t *testing.T) {
	t.Parallel()
	stream := func(values ...string) string {
		b := `data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","id":"1","willContinue":true}}]}}]}` + "\r\n\r\n"
		for _, v := range values {
			b += `data: {"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[` + v + `],"willContinue":true}}]}}]}` + "\r\n\r\n"
		}
		return b + `data: {"candidates":[{"content":{"parts":[{"functionCall":{}}]},"finishReason":"STOP"}]}` + "\r\n\r\n"
	}
	a := collect(t, stream(
		`{"jsonPath":"$.a","stringValue":"he said \"","willContinue":true}`, `{"jsonPath":"$.a","stringValue":"hi\""}`,
		`{"jsonPath":"$.list[0].x","numberValue":1.5},{"jsonPath":"$.list[0].y","boolValue":true}`,
		`{"jsonPath":"$.list[1]['odd.name']","nullValue":"NULL_VALUE"}`, `{"jsonPath":"$.z[0][1]","stringValue":""}`), true)
	b := a.Choices[0].Blocks[0]
	if want := `{"a":"he said \"hi\"","list":[{"x":1.5,"y":true},{"odd.name":null}],"z":[[""]]}`; string(b.Text) != want || !json.Valid(b.Text) || a.Choices[0].Stop != translate.StopTools {
		t.Errorf("got %s", b.Text)
	}
	if b := collect(t, stream(), true).Choices[0].Blocks[0]; string(b.Text) != "{}" {
		t.Errorf("no arguments are %s", b.Text)
	}
	var c translate.Collector
	d := gemini.Codec{}.NewDecoder(&c, translate.DecodeOptions{Stream: true})
	if _, err := d.Write([]byte(stream(`{"jsonPath":"$.a[1]","stringValue":"x"}`, `{"jsonPath":"$.a[0]","stringValue":"y"}`))); err == nil {
		t.Error("a step back is taken")
	}
}

// A list that is not closed is cut, however whole its elements are.
func TestAListHasToBeClosed(t *testing.T) {
	t.Parallel()
	const whole = `[{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}]}` + "\n]"
	for _, stream := range []bool{true, false} { // its media type is that of a document
		if a := collect(t, whole, stream); !a.Ended || string(a.Choices[0].Blocks[0].Text) != "x" {
			t.Error("it is not taken for whole")
		}
	}
	var c translate.Collector
	d := gemini.Codec{}.NewDecoder(&c, translate.DecodeOptions{Stream: true})
	d.Write([]byte(strings.TrimSuffix(whole, "]")))
	if err := d.Close(); err == nil {
		t.Error("it is taken for whole")
	}
}

// A client may want its stream as a list.
func TestAStreamAsAList(t *testing.T) {
	t.Parallel()
	enc := gemini.Codec{}.NewEncoder(translate.EncodeOptions{Stream: true, List: true, Model: "m", ID: "x"})
	for _, e := range []translate.Event{
		{Kind: translate.AnswerStart}, {Kind: translate.BlockStart, Part: translate.Text}, {Kind: translate.Delta, Part: translate.Text, Text: "a"},
		{Kind: translate.BlockStop, Part: translate.Text}, {Kind: translate.Finish, Stop: translate.StopEnd}, {Kind: translate.AnswerEnd},
	} {
		enc.Event(&e)
	}
	var list []map[string]any
	if err := json.Unmarshal(enc.Bytes(), &list); err != nil || len(list) != 2 {
		t.Errorf("%v %s", err, enc.Bytes())
	}
}

// What another provider signed goes to Google's clients sealed, in base64, and is
// told from Google's own when it returns.
func TestForeignSignatures(t *testing.T) {
	t.Parallel()
	var c translate.Collector
	enc := gemini.Codec{}.NewEncoder(translate.EncodeOptions{Stream: true, ID: "x"})
	d := anthropic.Codec{}.NewDecoder(enc, translate.DecodeOptions{})
	d.Write([]byte(`{"id":"m","type":"message","role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"not base64!"},{"type":"redacted_thinking","data":"hidden"},{"type":"tool_use","id":"t1","name":"f","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}`))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	own := gemini.Codec{}.NewDecoder(&c, translate.DecodeOptions{Stream: true})
	own.Write(enc.Bytes())
	var parts []string
	for _, line := range strings.Split(string(enc.Bytes()), "\r\n\r\n") {
		var v struct {
			Candidates []struct {
				Content struct{ Parts []json.RawMessage }
			}
		}
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &v) == nil && len(v.Candidates) > 0 {
			for _, p := range v.Candidates[0].Content.Parts {
				parts = append(parts, string(p))
			}
		}
	}
	r := read(t, "m", `{"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[`+strings.Join(parts, ",")+`]}]}`)
	var signature, redacted string
	for _, p := range r.Messages[1].Parts {
		if p.SignedBy == translate.Anthropic {
			signature, redacted = signature+p.Signature, redacted+p.Redacted
		}
	}
	if signature != "not base64!" || redacted != "hidden" {
		t.Errorf("%q %q from %s", signature, redacted, parts)
	}
	if out, _ := appended(t, gemini.Codec{}, r); strings.Contains(out, "nrSig1") || strings.Contains(out, "hidden") {
		t.Errorf("Google is shown %s", out)
	}
}
