// Package cohere is the wire format of Cohere's Chat
// (https://docs.cohere.com/v2/reference/chat), for providers only: clients of
// the gateway speak one of the other formats.
package cohere

import (
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/openai"
)

// Format is the name of the format.
const Format translate.Format = "cohere"

// Codec implements [translate.Codec].
type Codec struct{}

// Format implements [translate.Codec].
func (Codec) Format() translate.Format { return Format }

var _ translate.Codec = Codec{}

// ToolRules implements [translate.Codec]. Cohere documents letters, digits and
// underscores, the first no digit: see tools.name in
// https://docs.cohere.com/v1/reference/chat.
func (Codec) ToolRules(string) translate.ToolRules {
	return translate.ToolRules{MaxName: 64, NameByte: func(c byte, first bool) bool {
		return c != '-' && translate.WordByte(c, first) && !(first && '0' <= c && c <= '9')
	}}
}

// DecodeRequest implements [translate.Codec]. It always fails.
func (Codec) DecodeRequest([]byte, translate.RequestOptions) (*translate.Request, error) {
	return nil, translate.Invalid("", "Cohere's format is spoken to providers only; send the request in another one.")
}

// NewEncoder implements [translate.Codec]. No client asks for this format, so an
// answer is written as Chat Completions.
func (Codec) NewEncoder(o translate.EncodeOptions) translate.Encoder {
	return openai.Codec{}.NewEncoder(o)
}

// DecodeError implements [translate.Codec]. Cohere's errors are a message alone
// (https://docs.cohere.com/v2/reference/errors), which is one of the forms that
// are known there.
func (Codec) DecodeError(status int, body []byte) *translate.Error {
	return openai.Codec{}.DecodeError(status, body)
}

// AppendError implements [translate.Codec]: see NewEncoder.
func (Codec) AppendError(dst []byte, e *translate.Error) []byte {
	return openai.Codec{}.AppendError(dst, e)
}
