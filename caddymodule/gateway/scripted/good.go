package scripted

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
)

// Cohere is the format that only providers speak.
const Cohere translate.Format = "cohere"

// Formats lists the formats in which an upstream can answer.
func Formats() []translate.Format {
	return []translate.Format{translate.OpenAI, translate.Responses, translate.Anthropic, translate.Gemini, translate.Ollama, Cohere}
}

// An Answer is a good answer, written as a provider of the format writes it, by
// hand: nothing of it comes from the code that is tested with it.
type Answer struct {
	Format        translate.Format
	Text          string // streamed word by word
	Input, Output int    // tokens
}

// Good is a good answer of 11 tokens of input and 7 of output.
func Good(f translate.Format, stream bool, text string) Step {
	a := Answer{f, text, 11, 7}
	if stream {
		return a.Stream()
	}
	return a.Document()
}

// Auto is Good, streamed if the request asks for that.
func Auto(f translate.Format, text string) Step { return Answer{f, text, 11, 7}.Auto() }

// Auto is the answer, streamed if the request asks for that.
func (a Answer) Auto() Step { return either(a.Stream(), a.Document()) }

func either(stream, document Step) Step { return Step{Stream: &stream, Document: &document} }

// Document is the answer as one JSON document.
func (a Answer) Document() Step { return Step{Body: document(a, end)} }

// Stream is the answer as a stream.
func (a Answer) Stream() Step {
	events := opening(a.Format)
	for _, word := range strings.SplitAfter(a.Text, " ") {
		if word != "" {
			events = append(events, delta(a.Format, word))
		}
	}
	return Step{Events: append(events, closing(a, end)...)}
}

// A stop is why an answer ends, in no format's word.
type stop int

const (
	end stop = iota
	limit
	filter
)

// stops are the formats' words for stops.
var stops = map[translate.Format][3]string{
	translate.OpenAI:    {"stop", "length", "content_filter"},
	translate.Responses: {"completed", "max_output_tokens", "content_filter"},
	translate.Anthropic: {"end_turn", "max_tokens", "refusal"},
	translate.Gemini:    {"STOP", "MAX_TOKENS", "SAFETY"},
	translate.Ollama:    {"stop", "length", "stop"}, // it has no filter
	Cohere:              {"COMPLETE", "MAX_TOKENS", "ERROR_TOXIC"},
}

// opening is what a stream begins with, before there is any content.
func opening(f translate.Format) []string {
	switch f {
	case translate.OpenAI:
		return []string{data(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`)}
	case translate.Responses:
		return []string{
			named("response.created", `{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}`),
			named("response.in_progress", `{"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}`),
			named("response.output_item.added", `{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","status":"in_progress","content":[]}}`),
			named("response.content_part.added", `{"type":"response.content_part.added","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}`),
		}
	case translate.Anthropic:
		return []string{
			named("message_start", `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":1}}}`),
			named("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`),
			named("ping", `{"type":"ping"}`),
		}
	case Cohere:
		return []string{
			named("message-start", `{"type":"message-start","id":"co1","delta":{"message":{"role":"assistant"}}}`),
			named("content-start", `{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}`),
		}
	}
	return nil // Gemini and Ollama begin with content
}

// delta is an event with a piece of text.
func delta(f translate.Format, text string) string {
	switch f {
	case translate.OpenAI:
		return data(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":` + quote(text) + `},"finish_reason":null}]}`)
	case translate.Responses:
		return named("response.output_text.delta", `{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":`+quote(text)+`}`)
	case translate.Anthropic:
		return named("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":`+quote(text)+`}}`)
	case translate.Gemini:
		return data(`{"candidates":[{"content":{"role":"model","parts":[{"text":` + quote(text) + `}]},"index":0}],"modelVersion":"m","responseId":"r1"}`)
	case translate.Ollama:
		return `{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":` + quote(text) + `},"done":false}` + "\n"
	case Cohere:
		return named("content-delta", `{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":`+quote(text)+`}}}}`)
	}
	panic("no format " + f)
}

// closing is what a stream ends with.
func closing(a Answer, why stop) []string {
	word := stops[a.Format][why]
	switch a.Format {
	case translate.OpenAI:
		return []string{
			data(fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":%q}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`, word, a.Input, a.Output, a.Input+a.Output)),
			data("[DONE]"),
		}
	case translate.Responses:
		last := "response.completed"
		if why != end {
			last = "response.incomplete"
		}
		return []string{
			named("response.output_text.done", `{"type":"response.output_text.done","sequence_number":5,"item_id":"msg_1","output_index":0,"content_index":0,"text":`+quote(a.Text)+`}`),
			named("response.content_part.done", `{"type":"response.content_part.done","sequence_number":6,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":`+quote(a.Text)+`,"annotations":[]}}`),
			named("response.output_item.done", `{"type":"response.output_item.done","sequence_number":7,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":`+quote(a.Text)+`,"annotations":[]}]}}`),
			named(last, `{"type":"`+last+`","sequence_number":8,"response":`+document(a, why)+`}`),
		}
	case translate.Anthropic:
		return []string{
			named("content_block_stop", `{"type":"content_block_stop","index":0}`),
			named("message_delta", fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":%q,"stop_sequence":null},"usage":{"input_tokens":%d,"output_tokens":%d}}`, word, a.Input, a.Output)),
			named("message_stop", `{"type":"message_stop"}`),
		}
	case translate.Gemini:
		a.Text = ""
		return []string{data(document(a, why))}
	case translate.Ollama:
		a.Text = ""
		return []string{document(a, why) + "\n"}
	case Cohere:
		return []string{
			named("content-end", `{"type":"content-end","index":0}`),
			named("message-end", fmt.Sprintf(`{"type":"message-end","delta":{"finish_reason":%q,"usage":{"tokens":{"input_tokens":%d,"output_tokens":%d}}}}`, word, a.Input, a.Output)),
		}
	}
	panic("no format " + a.Format)
}

// document is an answer that is not streamed. Without a text it has none in it.
func document(a Answer, why stop) string {
	word, text := stops[a.Format][why], quote(a.Text)
	part := func(s string) string {
		if a.Text == "" {
			return ""
		}
		return s
	}
	switch a.Format {
	case translate.OpenAI:
		return fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%s,"refusal":null},"logprobs":null,"finish_reason":%q}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`,
			text, word, a.Input, a.Output, a.Input+a.Output)
	case translate.Responses:
		status, details := "completed", "null"
		if why != end {
			status, details = "incomplete", `{"reason":"`+word+`"}`
		}
		return fmt.Sprintf(`{"id":"resp_1","object":"response","created_at":1,"status":%q,"error":null,"incomplete_details":%s,"model":"m","output":[%s],"usage":{"input_tokens":%d,"input_tokens_details":{"cached_tokens":0},"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d}}`,
			status, details, part(`{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":`+text+`,"annotations":[]}]}`), a.Input, a.Output, a.Input+a.Output)
	case translate.Anthropic:
		return fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[%s],"stop_reason":%q,"stop_sequence":null,"usage":{"input_tokens":%d,"output_tokens":%d}}`,
			part(`{"type":"text","text":`+text+`}`), word, a.Input, a.Output)
	case translate.Gemini:
		return fmt.Sprintf(`{"candidates":[{"content":{"role":"model","parts":[%s]},"finishReason":%q,"index":0}],"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d},"modelVersion":"m","responseId":"r1"}`,
			part(`{"text":`+text+`}`), word, a.Input, a.Output, a.Input+a.Output)
	case translate.Ollama:
		return fmt.Sprintf(`{"model":"m","created_at":"2026-11-01T00:00:00Z","message":{"role":"assistant","content":%s},"done":true,"done_reason":%q,"total_duration":5000000,"prompt_eval_count":%d,"eval_count":%d}`,
			text, word, a.Input, a.Output)
	case Cohere:
		return fmt.Sprintf(`{"id":"co1","finish_reason":%q,"message":{"role":"assistant","content":[%s]},"usage":{"tokens":{"input_tokens":%d,"output_tokens":%d}}}`,
			word, part(`{"type":"text","text":`+text+`}`), a.Input, a.Output)
	}
	panic("no format " + a.Format)
}

func data(s string) string        { return "data: " + s + "\n\n" }
func named(name, s string) string { return "event: " + name + "\n" + data(s) }

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // not for a string
	}
	return string(b)
}
