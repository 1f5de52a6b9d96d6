package translate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate/sse"
)

// events calls f for each event of a stream.
func events(stream []byte, f func(name string, data []byte) error) error {
	r := sse.Reader{Emit: func(name, data []byte) error { return f(string(name), data) }}
	if _, err := r.Write(stream); err != nil {
		return err
	}
	return r.Close()
}

// openaiGrammar is of https://platform.openai.com/docs/api-reference/chat-streaming:
// the role in each choice's first chunk and in no other, one reason to finish and
// nothing behind it, an end mark that is the last.
func openaiGrammar(stream []byte) error {
	begun, finished, calls := map[int]bool{}, map[int]bool{}, map[[2]int]string{}
	over, usage := false, false
	err := events(stream, func(name string, data []byte) error {
		switch {
		case over:
			return fmt.Errorf("%s after the end", data)
		case string(data) == "[DONE]":
			over = true
			return nil
		case name != "":
			return fmt.Errorf("an event has the name %s", name)
		}
		var v struct {
			ID, Object, Model string
			Choices           []struct {
				Index int
				Delta struct {
					Role      string
					Content   *string
					ToolCalls []struct {
						Index    *int
						ID, Type string
						Function *struct{ Name, Arguments string }
						Custom   *struct{ Name, Input string }
					} `json:"tool_calls"`
				}
				FinishReason *string `json:"finish_reason"`
			}
			Usage *struct{}
		}
		if err := json.Unmarshal(data, &v); err != nil {
			return err
		}
		if v.ID == "" || v.Object != "chat.completion.chunk" || v.Choices == nil || usage {
			return fmt.Errorf("%s is no chunk", data)
		}
		usage = v.Usage != nil && len(v.Choices) == 0
		for _, c := range v.Choices {
			if (c.Delta.Role == "assistant") == begun[c.Index] || finished[c.Index] {
				return fmt.Errorf("%s: a role that is missing or twice, or a delta behind the finish", data)
			}
			begun[c.Index] = true
			finished[c.Index] = c.FinishReason != nil
			for _, call := range c.Delta.ToolCalls {
				if call.Index == nil {
					return fmt.Errorf("%s: a call without a number", data)
				}
				key := [2]int{c.Index, *call.Index}
				if (call.ID != "") == (calls[key] != "") || *call.Index > len(calls) {
					return fmt.Errorf("%s: an id that is missing or twice", data)
				}
				if call.ID != "" {
					calls[key] = call.ID
				}
			}
		}
		return nil
	})
	if err == nil && !over {
		err = fmt.Errorf("no [DONE]")
	}
	for c := range begun {
		if !finished[c] && err == nil {
			err = fmt.Errorf("choice %d has no finish", c)
		}
	}
	return err
}

// responsesGrammar is of https://platform.openai.com/docs/api-reference/responses-streaming:
// numbers that count up, items that are added, filled and done in this order, and
// one terminal event that has what was streamed.
func responsesGrammar(stream []byte) error {
	seq, state := 0, "begin"
	added, done := map[int]string{}, map[int]bool{}
	texts := map[int]string{}
	return orEnd(&state, events(stream, func(name string, data []byte) error {
		var v struct {
			Type        string
			Sequence    *int   `json:"sequence_number"`
			OutputIndex *int   `json:"output_index"`
			ItemID      string `json:"item_id"`
			Delta       string
			Text        *string
			Item        *struct {
				ID, Type  string
				CallID    string `json:"call_id"`
				Arguments any
			}
			Response *struct {
				ID, Status, Model string
				Output            []struct{ ID, Type string }
				Usage             *struct {
					TotalTokens int `json:"total_tokens"`
				}
			}
		}
		if err := json.Unmarshal(data, &v); err != nil {
			return err
		}
		bad := func(why string) error { return fmt.Errorf("%.300s: %s, in state %s", data, why, state) }
		if v.Type != name || v.Sequence == nil || *v.Sequence != seq {
			return bad("name or number")
		}
		seq++
		switch name {
		case "response.created":
			if state != "begin" || v.Response.ID == "" {
				return bad("order")
			}
			state = "created"
			return nil
		case "response.in_progress":
			if state != "created" {
				return bad("order")
			}
			state = "items"
			return nil
		case "response.completed", "response.incomplete":
			if state != "items" || len(added) != len(done) || len(v.Response.Output) != len(added) || v.Response.Usage == nil {
				return bad("an end with open or missing items")
			}
			for i, item := range v.Response.Output {
				if added[i] != item.ID {
					return bad("another item at the end")
				}
			}
			state = "end"
			return nil
		}
		if state != "items" || v.OutputIndex == nil {
			return bad("order")
		}
		i := *v.OutputIndex
		switch {
		case name == "response.output_item.added":
			if added[i] != "" || i != len(added) || v.Item.ID == "" {
				return bad("an item twice or out of order")
			}
			added[i] = v.Item.ID
		case name == "response.output_item.done":
			if done[i] || added[i] != v.Item.ID {
				return bad("the end of another item")
			}
			if v.Item.Type == "function_call" && texts[i] != "" && v.Item.Arguments != texts[i] {
				return bad("other arguments than were streamed")
			}
			done[i] = true
		case added[i] == "" || done[i] || v.ItemID != added[i]:
			return bad("an event of an item that is not open")
		case strings.HasSuffix(name, ".delta"):
			texts[i] += v.Delta
		case name == "response.output_text.done":
			if v.Text == nil || *v.Text != texts[i] {
				return bad("another text than was streamed")
			}
		}
		return nil
	}))
}

func orEnd(state *string, err error) error {
	if err == nil && *state != "end" {
		err = fmt.Errorf("ends in state %s", *state)
	}
	return err
}

// geminiGrammar is of https://ai.google.dev/api/generate-content: parts of one
// kind each, and reasons to finish and usage in the last piece.
func geminiGrammar(stream []byte) error {
	state := "pieces"
	return orEnd(&state, events(stream, func(name string, data []byte) error {
		var v struct {
			Candidates []struct {
				Content struct {
					Role  string
					Parts []map[string]json.RawMessage
				}
				FinishReason string
				Index        int
			}
			UsageMetadata *struct{}
			ModelVersion  string
			ResponseID    string
		}
		d := json.NewDecoder(bytes.NewReader(data))
		if err := d.Decode(&v); err != nil {
			return err
		}
		if state == "end" || name != "" || v.ModelVersion == "" || v.ResponseID == "" {
			return fmt.Errorf("%.300s in state %s", data, state)
		}
		for _, c := range v.Candidates {
			if c.Content.Role != "model" || len(c.Content.Parts) == 0 {
				return fmt.Errorf("%.300s: a candidate without content", data)
			}
			for _, p := range c.Content.Parts {
				delete(p, "thought")
				delete(p, "thoughtSignature")
				if len(p) != 1 {
					return fmt.Errorf("%.300s: a part of %d kinds", data, len(p))
				}
			}
			if (c.FinishReason != "") != (v.UsageMetadata != nil) {
				return fmt.Errorf("%.300s: a finish amid the stream", data)
			}
		}
		if v.UsageMetadata != nil {
			state = "end"
		}
		return nil
	}))
}

// ollamaGrammar is of https://docs.ollama.com/api/streaming: lines, of which the
// last is done.
func ollamaGrammar(stream []byte) error {
	state := "lines"
	for line := range bytes.Lines(stream) {
		var v struct {
			Model     string
			CreatedAt string `json:"created_at"`
			Message   *struct{ Role string }
			Done      *bool
		}
		if err := json.Unmarshal(line, &v); err != nil {
			return fmt.Errorf("%.300s: %w", line, err)
		}
		if v.Model == "" || v.CreatedAt == "" || v.Message == nil || v.Message.Role != "assistant" || v.Done == nil || state == "end" {
			return fmt.Errorf("%.300s in state %s", line, state)
		}
		if *v.Done {
			state = "end"
		}
	}
	return orEnd(&state, nil)
}
