// Package anthropic is the wire format of Anthropic's Messages
// (https://platform.claude.com/docs/en/api/messages), in both current versions
// of the API. Blocks that only Anthropic knows, such as what its own tools did,
// go through as they stood where both sides speak the format.
package anthropic

import "github.com/nine-router/nine-router/translate"

// Codec implements [translate.Codec].
type Codec struct{}

// Format implements [translate.Codec].
func (Codec) Format() translate.Format { return translate.Anthropic }

var _ translate.Codec = Codec{}

// ToolRules implements [translate.Codec]. See tools.name in
// https://platform.claude.com/docs/en/api/messages.
func (Codec) ToolRules(string) translate.ToolRules {
	return translate.ToolRules{Own: translate.Anthropic, References: true, MaxName: 128, NameByte: translate.WordByte}
}
