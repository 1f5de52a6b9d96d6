// Package answer has what the decoders and encoders of answers share: the
// collecting of a body that is one document, the errors of answers that break
// their format, and the end of a tool call's arguments.
package answer

import (
	"github.com/nine-router/nine-router/translate"
)

// Broken is the error for an answer that breaks its format.
func Broken(how string) *translate.Error {
	return &translate.Error{Kind: translate.ServerError, Code: "upstream_broken", Message: "The provider's answer " + how + "."}
}

// A Balance follows JSON text piece by piece and tells when one value is
// complete. It sees only brackets and strings, which is enough for arguments:
// they are objects.
type Balance struct {
	depth       int
	begun       bool
	str, escape bool
}

// Add takes the next piece of the text.
func (b *Balance) Add(text string) {
	for i := range len(text) {
		c := text[i]
		switch {
		case b.escape:
			b.escape = false
		case b.str:
			b.escape, b.str = c == '\\', c != '"'
		case c == '"':
			b.str = true
		case c == '{' || c == '[':
			b.depth++
			b.begun = true
		case c == '}' || c == ']':
			b.depth--
		}
	}
}

// Complete says that a whole value has come.
func (b *Balance) Complete() bool { return b.begun && b.depth <= 0 }
