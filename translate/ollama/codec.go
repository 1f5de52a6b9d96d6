// Package ollama is the wire format of Ollama's own API
// (https://docs.ollama.com/api): /api/chat, and for clients that still complete
// a prompt /api/generate. Streams are lines of JSON, calls come whole and with
// their arguments as objects, and a body streams unless it says otherwise.
package ollama

import "github.com/nine-router/nine-router/translate"

// Codec implements [translate.Codec].
type Codec struct{}

// Format implements [translate.Codec].
func (Codec) Format() translate.Format { return translate.Ollama }

var _ translate.Codec = Codec{}

// ToolRules implements [translate.Codec]. Ollama itself takes any name; the
// models behind it were trained on names of this kind.
func (Codec) ToolRules(string) translate.ToolRules {
	return translate.ToolRules{MaxName: 64, NameByte: translate.WordByte}
}
