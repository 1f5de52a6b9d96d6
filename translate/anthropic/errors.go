package anthropic

import (
	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// kinds are the types of https://platform.claude.com/docs/en/api/errors.
var kinds = map[string]translate.ErrorKind{
	"invalid_request_error": translate.InvalidRequest,
	"authentication_error":  translate.Unauthenticated,
	"billing_error":         translate.Billing,
	"permission_error":      translate.Forbidden,
	"not_found_error":       translate.NotFound,
	"request_too_large":     translate.TooLarge,
	"rate_limit_error":      translate.RateLimited,
	"api_error":             translate.ServerError,
	"timeout_error":         translate.Timeout,
	"overloaded_error":      translate.Overloaded,
}

// maxDetails bounds what an error tells programs, in bytes.
const maxDetails = 4 << 10

// DecodeError implements [translate.Codec].
func (Codec) DecodeError(status int, body []byte) *translate.Error {
	e := &translate.Error{Status: status, Kind: translate.KindOfStatus(status)}
	if v, err := fastjson.ParseBytes(body); err == nil {
		readError(v, e)
		body = nil
	}
	if e.Message == "" {
		e.Message = answer.PlainText(body, status)
	}
	return e
}

// readError reads an error body, or the data of an error event. Servers that
// imitate the format may have the error as text, or at the top.
func readError(v *fastjson.Value, e *translate.Error) {
	in := v.Get("error")
	if tree.IsNull(in) {
		in = v
	}
	if s, ok := tree.String(in); ok {
		e.Message = answer.Bounded(s)
		return
	}
	e.Type = answer.Bounded(tree.Text(in, "type"))
	e.Code = answer.Bounded(tree.Text(in, "code"))
	e.Param = answer.Bounded(tree.Text(in, "param"))
	if d := in.Get("details"); d != nil && d.Type() == fastjson.TypeObject {
		if raw := rawjson.AppendValue(nil, d); len(raw) <= maxDetails {
			e.Details = string(raw)
		}
	}
	for _, name := range [...]string{"message", "detail"} {
		if e.Message == "" {
			e.Message = answer.Bounded(tree.Text(in, name))
		}
	}
	if kind, ok := kinds[e.Type]; ok {
		e.Kind = kind
	}
}

// AppendError implements [translate.Codec].
func (Codec) AppendError(dst []byte, e *translate.Error) []byte {
	dst = append(dst, `{"type":"error","error":{"type":"`...)
	dst = append(append(dst, errorType(e)...), `","message":`...)
	dst = rawjson.AppendString(dst, e.Message)
	if e.Details != "" {
		dst = rawjson.AppendRaw(dst, "details", e.Details)
	}
	dst = append(dst, '}')
	if e.RequestID != "" {
		dst = rawjson.AppendMember(dst, "request_id", e.RequestID)
	}
	return append(dst, '}')
}

func errorType(e *translate.Error) string {
	switch e.Kind {
	case translate.Unauthenticated:
		return "authentication_error"
	case translate.Billing:
		return "billing_error"
	case translate.Forbidden:
		return "permission_error"
	case translate.NotFound:
		return "not_found_error"
	case translate.TooLarge:
		return "request_too_large"
	case translate.RateLimited:
		return "rate_limit_error"
	case translate.Overloaded:
		return "overloaded_error"
	case translate.Timeout:
		return "timeout_error"
	case translate.ServerError:
		return "api_error"
	}
	return "invalid_request_error"
}
