package demo

import (
	"encoding/json"
	"strconv"
	"strings"
)

// maxWords bounds what the model "long" says.
const maxWords = 20_000

// decide makes the plan for a request. It returns false for a model that the
// demo does not have.
func decide(r request) (plan, bool) {
	var p plan
	switch r.model {
	case "echo":
		p.words = split("Demo echo: " + r.prompt)
	case "tools":
		switch {
		case r.result != "":
			p.words = split("Demo: the tool gave back: " + r.result)
		case len(r.tools) == 0:
			p.words = split("Demo: the request offers no tool, so there is none to call.")
		default:
			t := r.tools[0]
			args, _ := json.Marshal(example(t.schema, 0))
			if string(args) == "null" {
				args = []byte("{}")
			}
			p.call = &call{name: t.name, arguments: string(args)}
		}
	case "reason":
		p.reasoning = "This is the demo. It pretends to think about what was asked, and then it answers."
		p.words = split("Demo: I have reasoned, and this is my answer.")
	case "slow", "cut", "stream-error":
		p.words = split("Demo: this answer takes its time, so that you can see how words arrive one after the other, and what happens when the server is reloaded or the client leaves while they do.")
	case "long":
		n := number(r.prompt, 500)
		for i := range n {
			p.words = append(p.words, "word"+strconv.Itoa(i+1)+" ")
		}
	case "empty":
	default:
		return p, false
	}
	for _, w := range p.words {
		p.output += tokens(len(w))
	}
	if p.call != nil {
		p.output += tokens(len(p.call.arguments))
	}
	p.output += len(p.reasoning) / 4
	return p, true
}

// split cuts a text into words that keep their spaces, so that they join to the
// same text.
func split(text string) []string { return strings.SplitAfter(text, " ") }

// number finds the first number in a text.
func number(text string, otherwise int) int {
	i := strings.IndexAny(text, "0123456789")
	if i < 0 {
		return otherwise
	}
	j := i
	for j < len(text) && '0' <= text[j] && text[j] <= '9' {
		j++
	}
	n, err := strconv.Atoi(text[i:j])
	if err != nil || n > maxWords {
		return maxWords
	}
	return n
}

// example makes a value that fits a JSON schema, as far as the usual keywords go:
// the required members of objects, the first of what is enumerated, the least of
// what is bounded.
func example(schema any, depth int) any {
	s, ok := schema.(object)
	if !ok || depth > 8 {
		return nil
	}
	if v, ok := s["const"]; ok {
		return v
	}
	if v, ok := s["default"]; ok {
		return v
	}
	if list, ok := s["enum"].([]any); ok && len(list) > 0 {
		return list[0]
	}
	for _, union := range [...]string{"anyOf", "oneOf", "allOf"} {
		if list, ok := s[union].([]any); ok && len(list) > 0 && s["type"] == nil {
			return example(list[0], depth+1)
		}
	}
	kind := s["type"]
	if list, ok := kind.([]any); ok && len(list) > 0 {
		kind = list[0]
	}
	if kind == nil && s["properties"] != nil {
		kind = "object"
	}
	switch kind {
	case "object":
		v := object{}
		properties, _ := s["properties"].(object)
		required, _ := s["required"].([]any)
		for _, name := range required {
			if name, ok := name.(string); ok {
				v[name] = example(properties[name], depth+1)
			}
		}
		return v
	case "array":
		list := []any{}
		if n, _ := s["minItems"].(float64); n >= 1 {
			for range min(int(n), 10) {
				list = append(list, example(s["items"], depth+1))
			}
		}
		return list
	case "integer", "number":
		for _, bound := range [...]string{"minimum", "exclusiveMinimum"} {
			if n, ok := s[bound].(float64); ok {
				if bound == "exclusiveMinimum" {
					n++
				}
				return n
			}
		}
		return 1
	case "boolean":
		return true
	case "null":
		return nil
	}
	text := "demo"
	if n, _ := s["minLength"].(float64); int(n) > len(text) {
		text += strings.Repeat("o", min(int(n), 1000)-len(text))
	}
	return text
}
