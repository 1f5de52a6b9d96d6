package translate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
	"github.com/nine-router/nine-router/translate/gemini"
	"github.com/nine-router/nine-router/translate/ollama"
	"github.com/nine-router/nine-router/translate/openai"
	"github.com/nine-router/nine-router/translate/responses"
	"github.com/nine-router/nine-router/translate/sse"
)

// grammar says what is wrong with the order of an Anthropic stream's events, by
// https://platform.claude.com/docs/en/build-with-claude/streaming.
func grammar(stream []byte) error {
	open, next, state := -1, 0, "begin"
	kind := ""
	deltas := map[string]string{"text_delta": "text", "citations_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking", "input_json_delta": "tool_use"}
	r := sse.Reader{Emit: func(event, data []byte) error {
		var v struct {
			Type         string
			Index        *int
			ContentBlock struct{ Type string } `json:"content_block"`
			Delta        struct{ Type string }
		}
		if err := json.Unmarshal(data, &v); err != nil {
			return err
		}
		bad := fmt.Errorf("%s in state %s, block %d", data, state, open)
		if v.Type != string(event) {
			return fmt.Errorf("event %s has type %s", event, v.Type)
		}
		switch {
		case state == "end":
			return bad
		case v.Type == "ping" || v.Type == "error":
		case v.Type == "message_start" && state == "begin":
			state = "blocks"
		case v.Type == "content_block_start" && state == "blocks" && open < 0 && *v.Index == next:
			open, kind = next, v.ContentBlock.Type
			next++
		case v.Type == "content_block_delta" && open >= 0 && *v.Index == open && deltas[v.Delta.Type] == kind:
		case v.Type == "content_block_stop" && open >= 0 && *v.Index == open:
			open = -1
		case v.Type == "message_delta" && state == "blocks" && open < 0:
			state = "told"
		case v.Type == "message_stop" && state == "told":
			state = "end"
		default:
			return bad
		}
		return nil
	}}
	if _, err := r.Write(stream); err != nil {
		return err
	}
	if state != "end" {
		return fmt.Errorf("ends in state %s", state)
	}
	return nil
}

// Calls that a provider streams interleaved come out one after the other, and
// whole.
func TestInterleavedCallsAreSetInOrder(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	for _, delta := range []string{
		`{"index":0,"id":"a","function":{"name":"f","arguments":""}}`, `{"index":1,"id":"b","function":{"name":"g","arguments":""}}`,
		`{"index":0,"function":{"arguments":"{\"x\":"}}`, `{"index":1,"function":{"arguments":"{\"y\":"}}`,
		`{"index":1,"function":{"arguments":"2}"}}`, `{"index":0,"function":{"arguments":"1}"}}`,
	} {
		fmt.Fprintf(&in, "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[%s]}}]}\n\n", delta)
	}
	in.WriteString("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n")
	enc := anthropic.Codec{}.NewEncoder(translate.EncodeOptions{Stream: true})
	if err := decode(openai.Codec{}, []byte(in.String()), translate.DecodeOptions{Stream: true}, enc, one); err != nil {
		t.Fatal(err)
	}
	if err := grammar(enc.Bytes()); err != nil {
		t.Error(err)
	}
	var got translate.Collector
	if err := decode(anthropic.Codec{}, bytes.Clone(enc.Bytes()), translate.DecodeOptions{Stream: true}, &got, whole); err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, b := range got.Answer.Choices[0].Blocks {
		calls = append(calls, b.ID+b.Name+string(b.Text))
	}
	if s := strings.Join(calls, " "); s != `af{"x":1} bg{"y":2}` || got.Answer.Choices[0].Stop != translate.StopTools {
		t.Errorf("got %s", s)
	}
}

const openaiChunk = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" and so on \"quoted\""},"logprobs":null,"finish_reason":null}]}` + "\n\n"
const anthropicChunk = "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" and so on"}}` + "\n\n"
const anthropicBegin = "event: message_start\n" + `data: {"type":"message_start","message":{"id":"m","model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}` + "\n\n" +
	"event: content_block_start\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n"

const responsesBegin = "event: response.created\n" + `data: {"type":"response.created","sequence_number":0,"response":{"id":"r","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}` + "\n\n" +
	"event: response.output_item.added\n" + `data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"i","type":"message","role":"assistant","content":[]}}` + "\n\n"
const responsesChunk = "event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":2,"item_id":"i","output_index":0,"content_index":0,"delta":" and so on"}` + "\n\n"
const geminiChunk = `data: {"candidates":[{"content":{"parts":[{"text":" and so on"}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"r"}` + "\r\n\r\n"
const ollamaChunk = `{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":" and so on"},"done":false}` + "\n"

// A direction is one way that an event can go; without a target it is listened to.
type direction struct {
	from, to    translate.Codec
	begin, next string
}

// directions are all ways that an event can go, by their names.
var directions = func() map[string]direction {
	all := map[string]direction{}
	for _, from := range []direction{
		{openai.Codec{}, nil, openaiChunk, openaiChunk},
		{responses.Codec{}, nil, responsesBegin, responsesChunk},
		{anthropic.Codec{}, nil, anthropicBegin + anthropicChunk, anthropicChunk},
		{gemini.Codec{}, nil, geminiChunk, geminiChunk},
		{ollama.Codec{}, nil, ollamaChunk, ollamaChunk},
	} {
		all[string(from.from.Format())+" listened"] = from
		for _, to := range codecs {
			from.to = to
			all[string(from.from.Format()+"→"+to.Format())] = from
		}
	}
	return all
}()

type nowhere struct{}

func (nowhere) Event(*translate.Event) error { return nil }

// pump returns a function that takes one event through.
func pump(tb testing.TB, name string) func() {
	d := directions[name]
	var sink translate.Sink = nowhere{}
	var enc translate.Encoder
	if d.to != nil {
		enc = d.to.NewEncoder(translate.EncodeOptions{Stream: true})
		sink = enc
	}
	dec := d.from.NewDecoder(sink, translate.DecodeOptions{Stream: true, Listen: d.to == nil})
	if _, err := dec.Write([]byte(d.begin)); err != nil {
		tb.Fatal(err)
	}
	next := []byte(d.next)
	return func() {
		if _, err := dec.Write(next); err != nil {
			tb.Fatal(err)
		}
		if enc != nil {
			enc.Reset()
		}
	}
}

// What grows with the answer, such as the text that a response repeats at its end,
// is not counted: it grows in ever larger steps.
func TestEventsAllocateNothing(t *testing.T) {
	for name := range directions {
		step := pump(t, name)
		if n := testing.AllocsPerRun(1000, step); n > 0.1 {
			t.Errorf("%s: %v allocations for each event", name, n)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	for name, d := range directions {
		b.Run(name, func(b *testing.B) {
			step := pump(b, name)
			b.SetBytes(int64(len(d.next)))
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// BenchmarkRequest takes a request of 130 kB as coding agents send it, of each
// format, to each.
func BenchmarkRequest(b *testing.B) {
	source := &translate.Request{Format: "", Model: "m", MaxTokens: "100", Stream: true}
	for range 100 {
		source.Messages = append(source.Messages,
			translate.Message{Role: translate.RoleUser, Parts: []translate.Part{{Kind: translate.Text, Text: strings.Repeat("All work and no play makes a dull day.\n", 32)}}},
			translate.Message{Role: translate.RoleAssistant, Parts: []translate.Part{{Kind: translate.Text, Text: "ok"}}})
	}
	for i := range 30 {
		source.Tools = append(source.Tools, translate.Tool{Kind: translate.FunctionTool, Name: fmt.Sprint("f", i), Description: "does f", Schema: `{"type":"object","properties":{"a":{"type":"string"}}}`})
	}
	for _, from := range codecs {
		body, err := from.AppendRequest(nil, source, nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, to := range codecs {
			b.Run(string(from.Format()+"→"+to.Format()), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				var out []byte
				for b.Loop() {
					r, err := from.DecodeRequest(body, translate.RequestOptions{})
					if err != nil {
						b.Fatal(err)
					}
					if out, err = to.AppendRequest(out[:0], r, nil); err != nil {
						b.Fatal(err)
					}
					r.Release()
				}
			})
		}
	}
}

// translate stands on nothing of ours above it, and only the Caddy module knows
// Caddy.
func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	const ours = "github.com/nine-router/nine-router/"
	for pkg, forbidden := range map[string][]string{
		"translate/...":            {ours + "store", ours + "caddymodule", ours + "dashboard", "caddyserver", "net/http"},
		"store":                    {ours + "translate", ours + "caddymodule", ours + "dashboard", "caddyserver"},
		"dashboard":                {ours + "caddymodule", "caddyserver"},
		"caddymodule/gateway":      {ours + "dashboard", "caddyserver"},
		"caddymodule/provider/...": {ours + "dashboard", ours + "caddymodule/gateway", "caddyserver"},
	} {
		out, err := exec.Command("go", "list", "-deps", ours+pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for dep := range strings.Lines(string(out)) {
			for _, f := range forbidden {
				if dep = strings.TrimSpace(dep); dep == f || strings.HasPrefix(dep, f+"/") || f == "caddyserver" && strings.Contains(dep, "caddyserver/caddy") {
					t.Errorf("%s imports %s", pkg, dep)
				}
			}
		}
	}
}

// BenchmarkMemory tells what a translation that runs holds, in bytes: with 1,000
// events of an answer behind it, beside the text that a format repeats at its end.
func BenchmarkMemory(b *testing.B) {
	for name, d := range directions {
		if d.to == nil {
			continue
		}
		b.Run(name, func(b *testing.B) {
			const running = 200
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				keep := make([]any, 0, running)
				for range running {
					enc := d.to.NewEncoder(translate.EncodeOptions{Stream: true})
					dec := d.from.NewDecoder(enc, translate.DecodeOptions{Stream: true})
					dec.Write([]byte(d.begin))
					for range 1000 {
						dec.Write([]byte(d.next))
						enc.Reset()
					}
					keep = append(keep, enc, dec)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/running, "B/translation")
				runtime.KeepAlive(keep)
			}
		})
	}
}
