package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
	"github.com/nine-router/nine-router/translate/cohere"
	"github.com/nine-router/nine-router/translate/gemini"
	"github.com/nine-router/nine-router/translate/ollama"
	"github.com/nine-router/nine-router/translate/openai"
	"github.com/nine-router/nine-router/translate/responses"
)

// clients are the formats of clients, with where they send a request.
var clients = map[translate.Format]struct {
	codec translate.Codec
	path  func(model string, stream bool) string
}{
	translate.OpenAI:    {openai.Codec{}, func(string, bool) string { return "/v1/chat/completions" }},
	translate.Responses: {responses.Codec{}, func(string, bool) string { return "/v1/responses" }},
	translate.Anthropic: {anthropic.Codec{}, func(string, bool) string { return "/v1/messages" }},
	translate.Ollama:    {ollama.Codec{}, func(string, bool) string { return "/api/chat" }},
	translate.Gemini: {gemini.Codec{}, func(model string, stream bool) string {
		if stream {
			return "/v1beta/models/" + model + ":streamGenerateContent?alt=sse"
		}
		return "/v1beta/models/" + model + ":generateContent"
	}},
}

// scripts are what providers of each format say: first they think and call a tool,
// then, with its result, they answer. The lines of a stream are events; a document
// says the same.
var scripts = map[translate.Format]struct {
	codec            translate.Codec
	call, done       string // documents
	callStream       string
	doneStream       string
	signature, where string // of the thinking, and a path that requests go to
}{
	translate.OpenAI: {codec: openai.Codec{}, where: "/chat/completions",
		call: `{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"reasoning_content":"hmm","tool_calls":[{"id":"call_1","type":"function","function":{"name":"sum","arguments":"{\"a\":40}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}`,
		done: `{"id":"c2","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"It is 42."},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}`,
		callStream: `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"hmm"}}]}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"sum","arguments":"{\"a\""}}]}}]}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":40}"}}]}}]}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}

data: [DONE]

`,
		doneStream: `data: {"id":"c2","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"It is "}}]}

data: {"id":"c2","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"42."},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}

data: [DONE]

`},
	translate.Anthropic: {codec: anthropic.Codec{}, where: "/messages", signature: "c2lnLWFudGhyb3BpYw==",
		call: `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"hmm","signature":"c2lnLWFudGhyb3BpYw=="},{"type":"tool_use","id":"toolu_1","name":"sum","input":{"a":40}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}}`,
		done: `{"id":"msg_2","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"It is 42."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}}`,
		callStream: named(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":11,"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hmm"}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2lnLWFudGhyb3BpYw=="}}`,
			`{"type":"content_block_stop","index":0}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"sum","input":{}}}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":40}"}}`,
			`{"type":"content_block_stop","index":1}`,
			`{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":7}}`,
			`{"type":"message_stop"}`),
		doneStream: named(`{"type":"message_start","message":{"id":"msg_2","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":11,"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"It is 42."}}`,
			`{"type":"content_block_stop","index":0}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}}`,
			`{"type":"message_stop"}`)},
	translate.Responses: {codec: responses.Codec{}, where: "/responses", signature: "opaque-openai",
		call: `{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"hmm"}],"encrypted_content":"opaque-openai"},{"id":"fc_1","type":"function_call","call_id":"call_1","name":"sum","arguments":"{\"a\":40}","status":"completed"}],"usage":{"input_tokens":11,"output_tokens":7,"total_tokens":18}}`,
		done: `{"id":"resp_2","object":"response","created_at":1,"status":"completed","model":"m","output":[{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"It is 42.","annotations":[]}]}],"usage":{"input_tokens":11,"output_tokens":7,"total_tokens":18}}`,
		callStream: named(`{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}`,
			`{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}`,
			`{"type":"response.reasoning_summary_part.added","sequence_number":1,"item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}`,
			`{"type":"response.reasoning_summary_text.delta","sequence_number":2,"item_id":"rs_1","output_index":0,"summary_index":0,"delta":"hmm"}`,
			`{"type":"response.output_item.done","sequence_number":3,"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"hmm"}],"encrypted_content":"opaque-openai"}}`,
			`{"type":"response.output_item.added","sequence_number":4,"output_index":1,"item":{"id":"fc_1","type":"function_call","call_id":"call_1","name":"sum","arguments":""}}`,
			`{"type":"response.function_call_arguments.delta","sequence_number":5,"item_id":"fc_1","output_index":1,"delta":"{\"a\":40}"}`,
			`{"type":"response.output_item.done","sequence_number":6,"output_index":1,"item":{"id":"fc_1","type":"function_call","call_id":"call_1","name":"sum","arguments":"{\"a\":40}","status":"completed"}}`,
			`{"type":"response.completed","sequence_number":7,"response":{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"hmm"}],"encrypted_content":"opaque-openai"},{"id":"fc_1","type":"function_call","call_id":"call_1","name":"sum","arguments":"{\"a\":40}","status":"completed"}],"usage":{"input_tokens":11,"output_tokens":7,"total_tokens":18}}}`),
		doneStream: named(`{"type":"response.created","sequence_number":0,"response":{"id":"resp_2","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}`,
			`{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}}`,
			`{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}`,
			`{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"It is 42."}`,
			`{"type":"response.output_item.done","sequence_number":4,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"It is 42.","annotations":[]}]}}`,
			`{"type":"response.completed","sequence_number":5,"response":{"id":"resp_2","object":"response","created_at":1,"status":"completed","model":"m","output":[{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"It is 42.","annotations":[]}]}],"usage":{"input_tokens":11,"output_tokens":7,"total_tokens":18}}}`)},
	translate.Gemini: {codec: gemini.Codec{}, where: "enerateContent", signature: "c2lnLWdlbWluaQ==",
		call: `{"candidates":[{"content":{"role":"model","parts":[{"text":"hmm","thought":true},{"functionCall":{"id":"g1","name":"sum","args":{"a":40}},"thoughtSignature":"c2lnLWdlbWluaQ=="}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":7,"totalTokenCount":18},"modelVersion":"m","responseId":"r1"}`,
		done: `{"candidates":[{"content":{"role":"model","parts":[{"text":"It is 42."}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":7,"totalTokenCount":18},"modelVersion":"m","responseId":"r2"}`,
		callStream: `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"hmm","thought":true}]},"index":0}],"modelVersion":"m","responseId":"r1"}

data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"id":"g1","name":"sum","args":{"a":40}},"thoughtSignature":"c2lnLWdlbWluaQ=="}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":7,"totalTokenCount":18},"modelVersion":"m","responseId":"r1"}

`,
		doneStream: `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"It is "}]},"index":0}],"modelVersion":"m","responseId":"r2"}

data: {"candidates":[{"content":{"role":"model","parts":[{"text":"42."}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":7,"totalTokenCount":18},"modelVersion":"m","responseId":"r2"}

`},
	translate.Ollama: {codec: ollama.Codec{}, where: "/api/chat",
		call: `{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"hmm","tool_calls":[{"id":"call_1","function":{"name":"sum","arguments":{"a":40}}}]},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":7}`,
		done: `{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":"It is 42."},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":7}`,
		callStream: `{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"hmm"},"done":false}
{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_1","function":{"name":"sum","arguments":{"a":40}}}]},"done":false}
{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":7}
`,
		doneStream: `{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":"It is 42."},"done":false}
{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":7}
`},
	provider.Cohere: {codec: cohere.Codec{}, where: "/chat",
		call: `{"id":"co1","finish_reason":"TOOL_CALL","message":{"role":"assistant","tool_plan":"hmm","tool_calls":[{"id":"call_1","type":"function","function":{"name":"sum","arguments":"{\"a\":40}"}}]},"usage":{"tokens":{"input_tokens":11,"output_tokens":7}}}`,
		done: `{"id":"co2","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"It is 42."}]},"usage":{"tokens":{"input_tokens":11,"output_tokens":7}}}`,
		callStream: named(`{"type":"message-start","id":"co1","delta":{"message":{"role":"assistant"}}}`,
			`{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"call_1","type":"function","function":{"name":"sum","arguments":""}}}}}`,
			`{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"a\":40}"}}}}}`,
			`{"type":"tool-call-end","index":0}`,
			`{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"tokens":{"input_tokens":11,"output_tokens":7}}}}`),
		doneStream: named(`{"type":"message-start","id":"co2","delta":{"message":{"role":"assistant"}}}`,
			`{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}`,
			`{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"It is 42."}}}}`,
			`{"type":"content-end","index":0}`,
			`{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":11,"output_tokens":7}}}}`)},
}

// named is an event stream whose events have the names of their types.
func named(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		var v struct{ Type string }
		if json.Unmarshal([]byte(d), &v) != nil {
			panic(d)
		}
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", v.Type, d)
	}
	return b.String()
}

// A scripted provider answers the first turn with a call and the turn with its
// result with a text, and keeps what it was asked.
type scripted struct {
	format translate.Format
	stream bool // whatever was asked for

	mu       sync.Mutex
	requests []*translate.Request
	paths    []string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	script := scripts[s.format]
	body, _ := io.ReadAll(r.Body)
	result := false
	if s.format == provider.Cohere { // which only the gateway speaks
		result = strings.Contains(string(body), `"role":"tool"`)
	} else {
		req, err := script.codec.DecodeRequest(body, translate.RequestOptions{})
		if err != nil {
			http.Error(w, err.Error()+"\n"+string(body), http.StatusBadRequest)
			return
		}
		for _, m := range req.Messages {
			for _, p := range m.Parts {
				result = result || p.Kind == translate.ToolResult
			}
		}
		s.mu.Lock()
		s.requests = append(s.requests, req)
		s.paths = append(s.paths, r.URL.Path)
		s.mu.Unlock()
	}
	answer := script.call
	switch {
	case s.stream && result:
		answer = script.doneStream
	case s.stream:
		answer = script.callStream
	case result:
		answer = script.done
	}
	switch {
	case s.stream && s.format == translate.Ollama:
		w.Header().Set("Content-Type", "application/x-ndjson")
	case s.stream:
		w.Header().Set("Content-Type", "text/event-stream")
	default:
		w.Header().Set("Content-Type", "application/json")
	}
	io.WriteString(w, answer)
}

// history is the conversation as a client sends it after an answer.
func history(f translate.Format, model string, stream bool, a *translate.Answer) *translate.Request {
	r := &translate.Request{Format: f, Model: model, Stream: stream, MaxTokens: "1000",
		Messages: []translate.Message{{Role: translate.RoleUser, Parts: []translate.Part{{Kind: translate.Text, Text: "What is 40 plus 2?"}}}},
		Tools:    []translate.Tool{{Kind: translate.FunctionTool, Name: "sum", Description: "adds 2", Schema: `{"type":"object","properties":{"a":{"type":"integer"}}}`}},
	}
	if f == translate.OpenAI {
		r.IncludeUsage = stream
	}
	if f == translate.Anthropic || f == translate.Gemini || f == translate.Responses {
		r.Reasoning.Effort = "high"
		if f == translate.Anthropic {
			r.Reasoning.Effort, r.Reasoning.Mode = "", translate.ReasoningAdaptive
		}
	}
	if a == nil {
		return r
	}
	m := translate.Message{Role: translate.RoleAssistant}
	result := translate.Message{Role: translate.RoleTool}
	for _, b := range a.Choices[0].Blocks {
		switch b.Part {
		case translate.Reasoning:
			signature := string(b.Signature)
			if b.SignedBy != f && signature != "" { // as it came over the wire
				signature = translate.SealBase64(b.SignedBy, signature)
			}
			m.Parts = append(m.Parts, translate.Part{Kind: translate.Reasoning, Text: string(b.Text), Signature: signature, SignedBy: f})
		case translate.Text:
			m.Parts = append(m.Parts, translate.Part{Kind: translate.Text, Text: string(b.Text)})
		case translate.ToolCall:
			m.Parts = append(m.Parts, translate.Part{Kind: translate.ToolCall, Call: &translate.Call{ID: b.ID, Name: b.Name, Arguments: string(b.Text)}})
			result.Parts = append(result.Parts, translate.Part{Kind: translate.ToolResult, Result: &translate.Result{CallID: b.ID, Plain: true, Parts: []translate.Part{{Kind: translate.Text, Text: "42"}}}})
		}
	}
	if f == translate.Responses { // an item for each
		r.Messages = append(r.Messages, split(m)...)
		r.Messages = append(r.Messages, split(result)...)
	} else {
		r.Messages = append(r.Messages, m, result)
	}
	return r
}

func split(m translate.Message) (list []translate.Message) {
	for _, p := range m.Parts {
		list = append(list, translate.Message{Role: m.Role, Parts: []translate.Part{p}})
	}
	return list
}

// turn sends a conversation as a client of a format and reads the answer as one.
func (r *rig) turn(t *testing.T, f translate.Format, model string, stream bool, a *translate.Answer, header ...string) *translate.Answer {
	t.Helper()
	c := clients[f]
	body, err := c.codec.AppendRequest(nil, history(f, model, stream, a), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, text := r.send(t, c.path(model, stream), string(body), header...)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s\nfor %s", resp.StatusCode, text, body)
	}
	var got translate.Collector
	d := c.codec.NewDecoder(&got, translate.DecodeOptions{Stream: stream})
	d.Write([]byte(text))
	if err := d.Close(); err != nil || got.Answer.Err != nil {
		t.Fatalf("%v %v\n%s", err, got.Answer.Err, text)
	}
	return &got.Answer
}

// texts joins the blocks of a kind.
func texts(a *translate.Answer, part translate.PartKind) string {
	var b strings.Builder
	for _, block := range a.Choices[0].Blocks {
		if block.Part == part {
			b.WriteString(block.Name)
			b.Write(block.Text)
		}
	}
	return b.String()
}

// Every client reaches every provider, whichever of them streams, over two turns
// with a tool between; what the provider signed returns to it as it was.
func TestEveryClientReachesEveryProvider(t *testing.T) {
	t.Parallel()
	for from := range clients {
		for to, script := range scripts {
			for _, stream := range []bool{false, true} {
				for _, answers := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s→%s/stream=%v,%v", from, to, stream, answers), func(t *testing.T) {
						t.Parallel()
						up := &scripted{format: to, stream: answers}
						r := start(t, nil, upstream{string(to), up.ServeHTTP})
						first := r.turn(t, from, "up1/m", stream, nil)
						if got := texts(first, translate.ToolCall); got != `sum{"a":40}` || first.Choices[0].Stop != translate.StopTools {
							t.Errorf("the call is %s, the stop %d", got, first.Choices[0].Stop)
						}
						if got := texts(first, translate.Reasoning); got != "hmm" && to != provider.Cohere {
							t.Errorf("the reasoning is %q", got)
						}
						if first.Usage.Input != 11 || first.Usage.Billed() != 7 {
							t.Errorf("usage %+v", first.Usage)
						}
						second := r.turn(t, from, "up1/m", stream, first)
						if got := texts(second, translate.Text); got != "It is 42." || second.Choices[0].Stop != translate.StopEnd {
							t.Errorf("the answer is %q, the stop %d", got, second.Choices[0].Stop)
						}
						if to == provider.Cohere {
							return
						}
						up.check(t, script.signature)
					})
				}
			}
		}
	}
}

// check looks at what the provider was asked the second time.
func (s *scripted) check(t *testing.T, signature string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) != 2 || !strings.HasSuffix(s.paths[1], scripts[s.format].where) {
		t.Fatalf("%d requests, %v", len(s.requests), s.paths)
	}
	id, result, signed := "", "", ""
	for _, m := range s.requests[1].Messages {
		for _, p := range m.Parts {
			switch p.Kind {
			case translate.ToolCall:
				id = p.Call.ID
			case translate.Reasoning:
				signed += p.Signature
			case translate.ToolResult:
				if p.Result.CallID == id && len(p.Result.Parts) == 1 {
					result = p.Result.Parts[0].Text
				}
			}
		}
	}
	if id == "" || result != "42" {
		t.Errorf("the result of %q is %q", id, result)
	}
	if signed != signature {
		t.Errorf("the signature is %q, want %q", signed, signature)
	}
}
