package translate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
	"github.com/nine-router/nine-router/translate/gemini"
	"github.com/nine-router/nine-router/translate/ollama"
	"github.com/nine-router/nine-router/translate/openai"
	"github.com/nine-router/nine-router/translate/responses"
)

// seeds are requests of each format that have most of what it knows.
var seeds = map[string]string{
	"openai-chat":        `{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},{"role":"assistant","reasoning_content":"r","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"q\":1}"}}]},{"role":"tool","tool_call_id":"a","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required","max_tokens":5,"stop":["x"],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}},"reasoning_effort":"low"}`,
	"anthropic-messages": `{"model":"m","max_tokens":1,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a.b","content":[{"type":"image","source":{"type":"url","url":"u"}}],"is_error":true},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"s"},{"type":"redacted_thinking","data":"d"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"thinking":{"type":"enabled","budget_tokens":5}}`,
	"openai-responses":   `{"model":"m","instructions":"i","input":[{"role":"user","content":[{"type":"input_text","text":"x"}]},{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"e"},{"type":"function_call","call_id":"c","name":"f","namespace":"n","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"o"},{"type":"custom_tool_call","call_id":"d","name":"p","input":"free"}],"tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"f"}]},{"type":"custom","name":"p","format":{"type":"grammar","syntax":"lark","definition":"d"}}],"reasoning":{"effort":"high"}}`,
	"gemini":             `{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"x"},{"inline_data":{"mime_type":"image/png","data":"AA"}}]},{"role":"model","parts":[{"text":"t","thought":true},{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"c2ln"}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"o"}}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true}}}}]},{"googleSearch":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},"generationConfig":{"maxOutputTokens":3,"thinkingConfig":{"thinkingBudget":5}}}`,
	"ollama":             `{"model":"m","messages":[{"role":"user","content":"x","images":["/9j/"]},{"role":"assistant","thinking":"t","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","tool_name":"f","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"format":"json","think":true,"options":{"num_predict":5,"stop":"x","mirostat":1}}`,
}

// Whatever a client sends, decoding fails in no other way than by an error for the
// client, and what it gives can be encoded. What was encoded in the same format
// is read and written again as it is.
func FuzzRequest(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, from := range codecs {
			r, err := from.DecodeRequest(body, translate.RequestOptions{})
			if err != nil {
				if _, ok := err.(*translate.Error); !ok {
					t.Fatalf("%T: %v", err, err)
				}
				continue
			}
			for _, to := range codecs {
				var losses translate.Losses
				adapted, _ := translate.Adapt(r, to.ToolRules(r.Model), &losses)
				out, err := to.AppendRequest(nil, adapted, &losses)
				if err != nil {
					continue
				}
				if !json.Valid(out) {
					t.Errorf("%s → %s gives what is not JSON: %q", from.Format(), to.Format(), out)
				}
				again, err := to.DecodeRequest(out, translate.RequestOptions{})
				if err != nil {
					t.Errorf("%s → %s cannot be read: %v\n%s", from.Format(), to.Format(), err, out)
					continue
				}
				if from.Format() == to.Format() {
					if len(losses) > 0 {
						t.Errorf("%s: losses in the same format: %v", from.Format(), losses)
					}
					if fixed, err := to.AppendRequest(nil, again, nil); err != nil || string(fixed) != string(out) {
						t.Errorf("%s: not a fixed point: %v\n%s\n%s", from.Format(), err, out, fixed)
					}
				}
				again.Release()
			}
			r.Release()
		}
	})
}

// Whatever a provider sends and wherever it is cut, an answer decodes to the same
// events in their order, and they are encoded in every format to an answer that
// its decoder takes, or to an error.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(openaiChunk+"data: [DONE]\n\n"), uint8(3), true)
	f.Add([]byte(anthropicBegin+anthropicChunk), uint8(7), true)
	f.Add([]byte(`{"choices":[{"message":{"content":"x"}}]}`), uint8(2), false)
	f.Add([]byte(`{"message":{"role":"assistant","content":"x","tool_calls":[{"function":{"name":"f","arguments":{}}}]},"done":true,"done_reason":"stop"}`+"\n"), uint8(2), true)
	f.Add([]byte(`[{"candidates":[{"content":{"parts":[{"text":"x","thought":true},{"functionCall":{"name":"f","willContinue":true},"thoughtSignature":"s"}]}}]},{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.a[0].b","stringValue":"v"}]}}]},"finishReason":"STOP"}]}]`), uint8(5), true)
	f.Add([]byte("data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"x\"}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\n\n"), uint8(9), true)
	f.Fuzz(func(t *testing.T, body []byte, cut uint8, stream bool) {
		for _, from := range upstreams {
			var once, cutUp translate.Collector
			o := translate.DecodeOptions{Stream: stream}
			order := &orderly{next: &once}
			err1 := decode(from, body, o, order, whole)
			err2 := decode(from, body, o, &cutUp, func(int) int { return int(cut)%16 + 1 })
			if order.bad != "" {
				t.Fatalf("%s: %s", from.Format(), order.bad)
			}
			if fmt.Sprint(err1, once.Answer) != fmt.Sprint(err2, cutUp.Answer) && once.Answer.Err == nil {
				t.Errorf("%s: whole %v %+v, cut %v %+v", from.Format(), err1, once.Answer, err2, cutUp.Answer)
			}
			for _, to := range codecs {
				for _, stream := range []bool{true, false} {
					enc := to.NewEncoder(translate.EncodeOptions{Stream: stream, Model: "m", ID: "x"})
					if decode(from, body, o, enc, whole) != nil || once.Answer.Err != nil {
						continue
					}
					var again translate.Collector
					if err := decode(to, enc.Bytes(), translate.DecodeOptions{Stream: stream}, &again, whole); err != nil || again.Answer.Err != nil {
						t.Errorf("%s → %s stream=%v: %v %v\n%s", from.Format(), to.Format(), stream, err, again.Answer.Err, enc.Bytes())
					}
					if stream {
						if err := legal[to.Format()](enc.Bytes()); err != nil {
							t.Errorf("%s → %s: %v", from.Format(), to.Format(), err)
						}
					}
				}
			}
		}
	})
}

// orderly holds a decoder to the grammar that [translate.Event] states.
type orderly struct {
	next    translate.Sink
	started bool
	over    bool
	bad     string
	open    map[[2]int]translate.PartKind
	blocks  map[int]int
	ended   map[int]bool
}

func (o *orderly) Event(e *translate.Event) error {
	fail := func(what string) {
		if o.bad == "" {
			o.bad = fmt.Sprintf("%s: %+v", what, *e)
		}
	}
	if o.open == nil {
		o.open, o.blocks, o.ended = map[[2]int]translate.PartKind{}, map[int]int{}, map[int]bool{}
	}
	key := [2]int{e.Choice, e.Block}
	switch {
	case o.over:
		fail("an event after the end")
	case e.Kind == translate.AnswerStart && o.started:
		fail("a second start")
	case e.Kind == translate.AnswerStart:
		o.started = true
	case !o.started && e.Kind != translate.Failure && e.Kind != translate.Ping:
		fail("an event before the start")
	}
	switch e.Kind {
	case translate.BlockStart:
		if e.Block != o.blocks[e.Choice] || o.ended[e.Choice] || e.Part == 0 {
			fail("a block out of order")
		}
		o.blocks[e.Choice]++
		o.open[key] = e.Part
	case translate.Delta, translate.Signature, translate.Citation:
		if o.open[key] != e.Part || e.Part == 0 {
			fail("an event outside its block")
		}
	case translate.BlockStop:
		if o.open[key] != e.Part {
			fail("a stop of a block that is not open")
		}
		delete(o.open, key)
	case translate.Finish:
		for k := range o.open {
			if k[0] == e.Choice {
				fail("a finish with an open block")
			}
		}
		if o.ended[e.Choice] {
			fail("a second finish")
		}
		o.ended[e.Choice] = true
	case translate.AnswerEnd:
		if len(o.open) > 0 {
			fail("an end with an open block")
		}
		o.over = true
	case translate.Failure:
		o.over = true
	}
	return o.next.Event(e)
}

func TestDecodersKeepTheOrderOfEvents(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"stream", "response"} {
		for _, f := range fixtures(t, kind) {
			for _, listen := range []bool{false, true} {
				o := &orderly{next: &translate.Collector{}}
				decode(upstreams[f.Format], f.body, translate.DecodeOptions{Stream: kind == "stream", Listen: listen}, o, random(5))
				if o.bad != "" {
					t.Errorf("%s: %s", f.File, o.bad)
				}
			}
		}
	}
}

// legal says of a stream what breaks its format's grammar.
var legal = map[translate.Format]func(stream []byte) error{
	translate.Anthropic: grammar,
	translate.OpenAI:    openaiGrammar,
	translate.Responses: responsesGrammar,
	translate.Gemini:    geminiGrammar,
	translate.Ollama:    ollamaGrammar,
}

func TestStreamsAreLegal(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t, "stream") {
		for _, to := range codecs {
			enc := to.NewEncoder(translate.EncodeOptions{Stream: true, IncludeUsage: true, Model: "m", ID: "x"})
			if decode(upstreams[f.Format], f.body, translate.DecodeOptions{Stream: true}, enc, whole) != nil || len(f.Facts.Errors) > 0 {
				continue
			}
			if err := legal[to.Format()](enc.Bytes()); err != nil {
				t.Errorf("%s → %s: %v", f.File, to.Format(), err)
			}
		}
	}
}

// Without these the seeds above would not be what they are taken for.
func TestSeedsAreRequests(t *testing.T) {
	t.Parallel()
	for name, s := range seeds {
		r, err := codecs[name].DecodeRequest([]byte(s), translate.RequestOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r.Release()
	}
	for _, c := range []translate.Codec{anthropic.Codec{}, gemini.Codec{}, ollama.Codec{}, openai.Codec{}, responses.Codec{}} {
		if legal[c.Format()] == nil || !strings.Contains(fmt.Sprint(codecs), fmt.Sprint(c)) {
			t.Errorf("%s is not tested", c.Format())
		}
	}
}
