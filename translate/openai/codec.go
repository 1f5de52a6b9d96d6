// Package openai is the wire format of OpenAI's Chat Completions
// (https://platform.openai.com/docs/api-reference/chat), with the dialects that
// other providers have made of it: reasoning in three places, usage in two, tool
// calls without ids, streams without an end mark.
package openai

import "github.com/nine-router/nine-router/translate"

// Codec implements [translate.Codec].
type Codec struct{}

// Format implements [translate.Codec].
func (Codec) Format() translate.Format { return translate.OpenAI }

var _ translate.Codec = Codec{}

// ToolRules implements [translate.Codec]. See function.name in
// https://platform.openai.com/docs/api-reference/chat/create. Tools with free text are
// for OpenAI's own models: few others who speak the format know them.
func (Codec) ToolRules(model string) translate.ToolRules {
	return translate.ToolRules{Own: translate.OpenAI, Custom: ownModel(model), MaxName: 64, NameByte: translate.WordByte}
}
