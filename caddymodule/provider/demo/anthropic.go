package demo

import (
	"encoding/json"
	"errors"
	"strings"
)

// anthropicWire speaks Messages: https://platform.claude.com/docs/en/api/messages.
type anthropicWire struct{}

func (anthropicWire) parse(body []byte) (request, error) {
	var in struct {
		Model    string
		Stream   bool
		Messages []struct {
			Role    string
			Content any
		}
		Tools []struct {
			Name        string
			InputSchema any `json:"input_schema"`
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return request{}, errors.New("it is not a messages request")
	}
	r := request{model: in.Model, stream: in.Stream, input: tokens(len(body))}
	for i, m := range in.Messages {
		if m.Role != "user" {
			continue
		}
		if text := texts(m.Content); text != "" {
			r.prompt = text
		}
		blocks, _ := m.Content.([]any)
		for _, b := range blocks {
			if b, ok := b.(object); ok && b["type"] == "tool_result" && i == len(in.Messages)-1 {
				r.result = texts(b["content"])
			}
		}
	}
	for _, t := range in.Tools {
		if t.InputSchema != nil {
			r.tools = append(r.tools, tool{t.Name, t.InputSchema})
		}
	}
	return r, nil
}

func (anthropicWire) failure(status int, message string) any {
	kinds := map[int]string{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
		404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
	kind := kinds[status]
	if kind == "" {
		kind = "api_error"
	}
	return object{"type": "error", "error": object{"type": kind, "message": message}, "request_id": "req_demo"}
}

func (anthropicWire) usage(input, output int) object {
	return object{"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": output}
}

// demoSignature marks the demo's reasoning as such. No provider takes it for its
// own.
const demoSignature = "ZGVtbw=="

func (w anthropicWire) whole(r request, p plan) any {
	content := []object{}
	stop := "end_turn"
	if p.reasoning != "" {
		content = append(content, object{"type": "thinking", "thinking": p.reasoning, "signature": demoSignature})
	}
	if len(p.words) > 0 {
		content = append(content, object{"type": "text", "text": strings.Join(p.words, "")})
	}
	if p.call != nil {
		content = append(content, object{"type": "tool_use", "id": "toolu_demo_1", "name": p.call.name, "input": json.RawMessage(p.call.arguments)})
		stop = "tool_use"
	}
	m := w.message(r, w.usage(r.input, p.output))
	m["content"], m["stop_reason"] = content, stop
	return m
}

func (anthropicWire) message(r request, usage object) object {
	return object{"id": "msg_demo", "type": "message", "role": "assistant", "model": Name + "/" + r.model,
		"content": []object{}, "stop_reason": nil, "stop_sequence": nil, "usage": usage}
}

func (w anthropicWire) streamed(r request, p plan) [][]byte {
	var pieces [][]byte
	put := func(kind string, rest object) {
		rest["type"] = kind
		b, _ := json.Marshal(rest)
		pieces = append(pieces, []byte("event: "+kind+"\ndata: "+string(b)+"\n\n"))
	}
	index := -1
	block := func(start object, deltas []object) {
		index++
		put("content_block_start", object{"index": index, "content_block": start})
		for _, d := range deltas {
			put("content_block_delta", object{"index": index, "delta": d})
		}
		put("content_block_stop", object{"index": index})
	}
	put("message_start", object{"message": w.message(r, w.usage(r.input, 1))})
	put("ping", object{})
	stop := "end_turn"
	if p.reasoning != "" {
		deltas := pieced("thinking_delta", "thinking", split(p.reasoning))
		block(object{"type": "thinking", "thinking": "", "signature": ""}, append(deltas, object{"type": "signature_delta", "signature": demoSignature}))
	}
	if len(p.words) > 0 {
		block(object{"type": "text", "text": ""}, pieced("text_delta", "text", p.words))
	}
	if p.call != nil {
		stop = "tool_use"
		block(object{"type": "tool_use", "id": "toolu_demo_1", "name": p.call.name, "input": object{}}, pieced("input_json_delta", "partial_json", split(p.call.arguments)))
	}
	put("message_delta", object{"delta": object{"stop_reason": stop, "stop_sequence": nil}, "usage": w.usage(r.input, p.output)})
	put("message_stop", object{})
	return pieces
}

func pieced(kind, member string, texts []string) []object {
	var deltas []object
	for _, t := range texts {
		deltas = append(deltas, object{"type": kind, member: t})
	}
	return deltas
}

func (anthropicWire) streamFailure() []byte {
	return []byte("event: error\n" + `data: {"type":"error","error":{"type":"api_error","message":"The demo was asked to fail within the stream."}}` + "\n\n")
}
