package responses

import (
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/openai"
)

// Errors have the same form in both of OpenAI's formats.

// DecodeError implements [translate.Codec].
func (Codec) DecodeError(status int, body []byte) *translate.Error {
	return openai.Codec{}.DecodeError(status, body)
}

// AppendError implements [translate.Codec].
func (Codec) AppendError(dst []byte, e *translate.Error) []byte {
	return openai.Codec{}.AppendError(dst, e)
}
