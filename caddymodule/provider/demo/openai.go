package demo

import (
	"encoding/json"
	"errors"
	"strings"
)

// openaiWire speaks Chat Completions:
// https://platform.openai.com/docs/api-reference/chat.
type openaiWire struct{}

func (openaiWire) parse(body []byte) (request, error) {
	var in struct {
		Model         string
		Stream        bool
		StreamOptions struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
		Messages []struct {
			Role    string
			Content any
		}
		Tools []struct {
			Function struct {
				Name       string
				Parameters any
			}
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return request{}, errors.New("it is not a chat completion request")
	}
	r := request{model: in.Model, stream: in.Stream, usage: in.StreamOptions.IncludeUsage, input: tokens(len(body))}
	for i, m := range in.Messages {
		switch text := texts(m.Content); {
		case m.Role == "user" && text != "":
			r.prompt = text
		case m.Role == "tool" && i == len(in.Messages)-1:
			r.result = text
		}
	}
	for _, t := range in.Tools {
		if t.Function.Name != "" {
			r.tools = append(r.tools, tool{t.Function.Name, t.Function.Parameters})
		}
	}
	return r, nil
}

// texts joins the text of a content, which is a string or a list of parts.
func texts(content any) string {
	switch c := content.(type) {
	case string:
		return c
	case []any:
		var all []string
		for _, part := range c {
			if p, ok := part.(object); ok {
				if text, ok := p["text"].(string); ok {
					all = append(all, text)
				}
			}
		}
		return strings.Join(all, "\n")
	}
	return ""
}

func (openaiWire) failure(status int, message string) any {
	kind, code := "server_error", any(nil)
	switch status {
	case 400:
		kind = "invalid_request_error"
	case 401:
		kind, code = "invalid_request_error", "invalid_api_key"
	case 403:
		kind = "permission_error"
	case 404:
		kind, code = "invalid_request_error", "model_not_found"
	case 429:
		kind, code = "requests", "rate_limit_exceeded"
	}
	return object{"error": object{"message": message, "type": kind, "code": code, "param": nil}}
}

func (w openaiWire) usage(r request, p plan) object {
	return object{"prompt_tokens": r.input, "completion_tokens": p.output, "total_tokens": r.input + p.output,
		"prompt_tokens_details":     object{"cached_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": len(p.reasoning) / 4}}
}

func (w openaiWire) whole(r request, p plan) any {
	message := object{"role": "assistant", "content": strings.Join(p.words, "")}
	finish := "stop"
	if p.reasoning != "" {
		message["reasoning_content"] = p.reasoning
	}
	if p.call != nil {
		message["content"] = nil
		message["tool_calls"] = []object{{"id": "call_demo_1", "type": "function", "function": object{"name": p.call.name, "arguments": p.call.arguments}}}
		finish = "tool_calls"
	}
	return object{"id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": Name + "/" + r.model, "system_fingerprint": "demo",
		"choices": []object{{"index": 0, "message": message, "finish_reason": finish}}, "usage": w.usage(r, p)}
}

func (w openaiWire) streamed(r request, p plan) [][]byte {
	var pieces [][]byte
	put := func(choices []object, usage any) {
		chunk := object{"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0, "model": Name + "/" + r.model, "system_fingerprint": "demo", "choices": choices}
		if usage != nil {
			chunk["usage"] = usage
		}
		b, _ := json.Marshal(chunk)
		pieces = append(pieces, []byte("data: "+string(b)+"\n\n"))
	}
	delta := func(d object, finish any) {
		put([]object{{"index": 0, "delta": d, "finish_reason": finish}}, nil)
	}
	delta(object{"role": "assistant", "content": ""}, nil)
	if p.reasoning != "" {
		for _, word := range split(p.reasoning) {
			delta(object{"reasoning_content": word}, nil)
		}
	}
	for _, word := range p.words {
		delta(object{"content": word}, nil)
	}
	finish := "stop"
	if p.call != nil {
		finish = "tool_calls"
		delta(object{"tool_calls": []object{{"index": 0, "id": "call_demo_1", "type": "function", "function": object{"name": p.call.name, "arguments": ""}}}}, nil)
		for _, part := range split(p.call.arguments) {
			delta(object{"tool_calls": []object{{"index": 0, "function": object{"arguments": part}}}}, nil)
		}
	}
	delta(object{}, finish)
	if r.usage {
		put([]object{}, w.usage(r, p))
	}
	return append(pieces, []byte("data: [DONE]\n\n"))
}

func (openaiWire) streamFailure() []byte {
	return []byte(`data: {"error":{"message":"The demo was asked to fail within the stream.","type":"server_error","code":null,"param":null}}` + "\n\n")
}
