package translate_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
)

// tape writes down every event in full.
type tape struct{ told []string }

func (t *tape) Event(e *translate.Event) error {
	line := fmt.Sprintf("%d %d %d %v id=%q name=%q ns=%q text=%q custom=%v redacted=%v by=%q raw=%q of=%q stop=%v native=%q at=%q created=%d",
		e.Kind, e.Choice, e.Block, e.Part, e.ID, e.Name, e.Namespace, e.Text, e.Custom, e.Redacted, e.SignedBy, e.Raw, e.RawFormat,
		e.Stop, e.Native, e.StopSequence, e.Created)
	if e.Usage != nil {
		line += fmt.Sprintf(" usage=%+v", *e.Usage)
	}
	if e.Media != nil {
		line += fmt.Sprintf(" media=%+v", *e.Media)
	}
	if e.Err != nil {
		line += fmt.Sprintf(" err=%+v", *e.Err)
	}
	t.told = append(t.told, line)
	return nil
}

var opened = regexp.MustCompile(`(?m)^(data: *)?\{`)

// unlike makes all events of a stream look different, and mean the same, so that
// each has to be parsed.
func unlike(stream []byte) []byte {
	n := 0
	return opened.ReplaceAllFunc(stream, func(b []byte) []byte {
		n++
		return append(bytes.Clone(b), strings.Repeat(" ", n%7)...)
	})
}

// same compares what a decoder tells of a stream whose events are recognised with
// what it tells when all are parsed.
func same(t *testing.T, c translate.Codec, stream []byte, listen bool) {
	t.Helper()
	o := translate.DecodeOptions{Stream: true, Listen: listen}
	var got, want tape
	gotErr, wantErr := decode(c, stream, o, &got, whole), decode(c, unlike(stream), o, &want, whole)
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Errorf("%s: ended with %v, want %v", c.Format(), gotErr, wantErr)
	}
	for i := range max(len(got.told), len(want.told)) {
		switch {
		case i >= len(got.told):
			t.Fatalf("%s: did not tell: %s", c.Format(), want.told[i])
		case i >= len(want.told):
			t.Fatalf("%s: told too much: %s", c.Format(), got.told[i])
		case got.told[i] != want.told[i]:
			t.Fatalf("%s, event %d:\n  got %s\n want %s", c.Format(), i, got.told[i], want.told[i])
		}
	}
}

// alike are streams whose events look alike and are not, or the other way round.
var alike = map[string]string{
	"openai-chat": chunks(
		`{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"one"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"t\"w\no \u00e9 \ud83d\ude00"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"half \ud83d"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":""}}]}`,
		`{"choices":[{"index":1,"delta":{"content":"of another choice"}}]}`,
		`{"choices":[{"index":1,"delta":{"content":null}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"a","reasoning_content":""}}],"obfuscation":"xx"}`,
		`{"choices":[{"index":0,"delta":{"content":"b","reasoning_content":""}}],"obfuscation":"yyyyy"}`,
		`{"choices":[{"index":0,"delta":{"content":"","reasoning_content":"c"}}],"obfuscation":"z"}`,
		`{"choices":[{"index":0,"delta":{"content":"","reasoning_content":"d"}}],"obfuscation":"z"}`,
		`{"choices":[{"index":0,"delta":{"content":"e","reasoning_content":"f"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"e","reasoning_content":"g"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"\u0041","x":{"content":"A"}}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"A","x":{"content":"B"}}}]}`,
		`{"choices":[{"index":0,"delta":{"\u0063ontent":"A"}}]}`,
		`{"choices":[{"index":0,"delta":{"\u0063ontent":"B"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"A"},"finish_reason":null}]}`,
		`{"choices":[{"index":0,"delta":{"content":"B"},"finish_reason":"length"}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"d","function":{"name":"g","arguments":"{}"}}]}}]}`,
		`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`,
		`[DONE]`,
		`{"choices":[{"index":0,"delta":{"content":"after the end"}}]}`,
	),
	"anthropic-messages": chunks(
		`{"type":"message_start","message":{"id":"m","model":"x","usage":{"input_tokens":1}}}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"c"},"text":"d"}`,
		`{"type":"content_block_stop","index":0}`,
		`{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}`,
		`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}`,
		`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"  "}}`,
		`{"type":"content_block_stop","index":1}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"of a closed block"}}`,
	),
	"openai-responses": chunks(
		`{"type":"response.created","sequence_number":0,"response":{"id":"r","model":"x"}}`,
		`{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"i"}}`,
		`{"type":"response.output_text.delta","sequence_number":2,"output_index":0,"content_index":0,"delta":"a","obfuscation":"q"}`,
		`{"type":"response.output_text.delta","sequence_number":3,"output_index":0,"content_index":0,"delta":"b","obfuscation":"qqq"}`,
		`{"type":"response.output_text.delta","sequence_number":10,"output_index":0,"content_index":0,"delta":"c","obfuscation":"q"}`,
		`{"type":"response.output_text.delta","sequence_number":11,"output_index":0,"content_index":1,"delta":"d","obfuscation":"q"}`,
		`{"type":"response.refusal.delta","sequence_number":12,"output_index":0,"content_index":2,"delta":"e"}`,
		`{"type":"response.completed","sequence_number":13,"response":{"id":"r","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":2}}}`,
	),
	"ollama": "" +
		`{"model":"x","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"a"},"done":false}` + "\n" +
		`{"model":"x","created_at":"2026-01-01T00:00:01Z","message":{"role":"assistant","content":"b"},"done":false}` + "\n" +
		`{"model":"x","created_at":"2026-01-01T00:00:02Z","message":{"role":"assistant","content":"c","thinking":"d"},"done":false}` + "\n" +
		`{"model":"x","created_at":"2026-01-01T00:00:03Z","message":{"role":"assistant","content":"e"},"done":true,"eval_count":3}` + "\n" +
		`{"model":"x","created_at":"2026-01-01T00:00:03Z","message":{"role":"assistant","content":"f"},"done":true,"eval_count":3}` + "\n",
}

func chunks(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		b.WriteString("data: " + d + "\n\n")
	}
	return b.String()
}

func TestEventsThatAreRecognisedMeanTheSame(t *testing.T) {
	t.Parallel()
	for format, stream := range alike {
		for _, listen := range []bool{false, true} {
			same(t, upstreams[format], []byte(stream), listen)
		}
	}
	for _, f := range fixtures(t, "stream") {
		for _, listen := range []bool{false, true} {
			same(t, upstreams[f.Format], f.body, listen)
		}
	}
}

// The same in any order, and any number of times: most of these streams are wrong,
// which must be told in the same way.
func TestEventsThatAreRecognisedMeanTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	for format, stream := range alike {
		events := strings.SplitAfter(stream, "\n")
		for seed := range uint64(3000) {
			r := rand.New(rand.NewPCG(seed, 1))
			var mixed strings.Builder
			mixed.WriteString(events[0] + "\n")
			for range 1 + r.IntN(12) {
				event := events[r.IntN(len(events))]
				for range 1 + r.IntN(4) {
					mixed.WriteString(event + "\n")
				}
			}
			same(t, upstreams[format], []byte(mixed.String()), seed%2 == 0)
		}
	}
}

func FuzzLikeness(f *testing.F) {
	for _, stream := range alike {
		f.Add([]byte(stream))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		if bytes.IndexByte(stream, '\r') >= 0 {
			return // lines may begin where unlike does not see it
		}
		for _, c := range upstreams {
			for _, listen := range []bool{false, true} {
				same(t, c, stream, listen)
			}
		}
	})
}

// Whoever only listens does not break a stream off because of an event that it cannot
// read, once there was content: the client sees it, and knows its provider.
func TestAListenerBearsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	begin, text := `{"choices":[{"index":0,"delta":{"role":"assistant"}}]}`, `{"choices":[{"index":0,"delta":{"content":"a"}}]}`
	end := `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	for stream, broken := range map[string]bool{
		chunks(begin, text, "keep-alive", text, end, "[DONE]"): false,
		chunks(begin, "keep-alive", text, end, "[DONE]"):       true,
		chunks(begin, text, "", text, end, "[DONE]"):           false,
	} {
		var got translate.Collector
		err := decode(codecs["openai-chat"], []byte(stream), translate.DecodeOptions{Stream: true, Listen: true}, &got, whole)
		if (err != nil) != broken || !broken && (!got.Answer.Ended || got.Answer.Choices[0].Stop != translate.StopEnd) {
			t.Errorf("%q: %v", stream, err)
		}
	}
	var got translate.Collector
	if err := decode(codecs["openai-chat"], []byte(chunks(begin, text, "keep-alive", end)), translate.DecodeOptions{Stream: true}, &got, whole); err == nil {
		t.Error("an event that cannot be translated was left out in silence")
	}
}
