// Package responses is the wire format of OpenAI's Responses
// (https://platform.openai.com/docs/api-reference/responses). A conversation is a
// flat list of items here, and so is an answer: messages, reasoning, calls,
// results, and what the provider's own tools did. Items that only this format
// knows go through as they stood where both sides speak it.
package responses

import "github.com/nine-router/nine-router/translate"

// Codec implements [translate.Codec].
type Codec struct{}

// Format implements [translate.Codec].
func (Codec) Format() translate.Format { return translate.Responses }

// ToolRules implements [translate.Codec]. See tools in
// https://platform.openai.com/docs/api-reference/responses/create.
func (Codec) ToolRules(string) translate.ToolRules {
	return translate.ToolRules{Own: translate.Responses, Custom: true, Namespaces: true, MaxName: 64, NameByte: translate.WordByte}
}

var _ translate.Codec = Codec{}
