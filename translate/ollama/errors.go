package ollama

import (
	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// DecodeError implements [translate.Codec]. Ollama says what is wrong in one
// string (https://docs.ollama.com/api/errors); what stands before it may answer
// in a way of its own.
func (Codec) DecodeError(status int, body []byte) *translate.Error {
	e := &translate.Error{Status: status, Kind: translate.KindOfStatus(status)}
	v, err := fastjson.ParseBytes(body)
	if err != nil {
		e.Message = answer.PlainText(body, status)
		return e
	}
	readError(v, e)
	if e.Message == "" {
		e.Message = answer.PlainText(nil, status)
	}
	return e
}

func readError(v *fastjson.Value, e *translate.Error) {
	for _, path := range [...][]string{{"error"}, {"error", "message"}, {"message"}, {"detail"}} {
		if s, ok := tree.String(v.Get(path...)); ok && s != "" {
			e.Message = answer.Bounded(s)
			break
		}
	}
	e.Type = answer.Bounded(tree.Text(v, "type"))
	if inner := v.Get("error"); inner != nil && inner.Type() == fastjson.TypeObject {
		e.Type, e.Code = answer.Bounded(tree.Text(inner, "type")), answer.Bounded(tree.Text(inner, "code"))
	}
}

// AppendError implements [translate.Codec].
func (Codec) AppendError(dst []byte, e *translate.Error) []byte {
	return append(rawjson.AppendMember(append(dst, '{'), "error", e.Message), '}')
}
