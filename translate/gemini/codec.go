// Package gemini is the wire format of Google's generateContent and
// streamGenerateContent (https://ai.google.dev/api/generate-content), as the
// Gemini API and Vertex AI speak it. A stream comes as an event stream or as the
// pieces of one JSON list; members may be in camel or snake case; the model and
// whether to stream stand in the path, not in the body.
//
// Google's opaque state of reasoning, the thought signature, lies on whatever part
// follows the thinking. In the model of this module it belongs to a reasoning part
// in front of that one, so that clients of other formats keep it where they keep
// such things; it returns to the part that follows.
package gemini

import "github.com/nine-router/nine-router/translate"

// Codec implements [translate.Codec].
type Codec struct{}

var _ translate.Codec = Codec{}

// Format implements [translate.Codec].
func (Codec) Format() translate.Format { return translate.Gemini }

// ToolRules implements [translate.Codec], see
// https://ai.google.dev/api/caching#FunctionDeclaration.
func (Codec) ToolRules(string) translate.ToolRules {
	return translate.ToolRules{Own: translate.Gemini, MaxName: 64, NameByte: nameByte}
}

func nameByte(c byte, first bool) bool {
	if first {
		return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	return translate.WordByte(c, false) || c == '.' || c == ':'
}
