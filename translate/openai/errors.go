package openai

import (
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// DecodeError implements [translate.Codec]. Providers of this format agree on
// little here: the error is an object, a string, a list of either, or the whole
// body.
func (Codec) DecodeError(status int, body []byte) *translate.Error {
	e := &translate.Error{Status: status, Kind: translate.KindOfStatus(status)}
	v, err := fastjson.ParseBytes(body)
	if err != nil {
		e.Message = answer.PlainText(body, status)
		return e
	}
	ReadError(v, e)
	if e.Message == "" {
		e.Message = answer.PlainText(nil, status)
	}
	return e
}

// ReadError reads an error from a body, from an event, or from wherever a
// provider has put it.
func ReadError(v *fastjson.Value, e *translate.Error) {
	for range 4 { // lists and wrappers within each other
		switch {
		case v.Type() == fastjson.TypeArray && len(v.GetArray()) > 0:
			v = v.GetArray()[0]
		case v.Get("error") != nil && (v.Get("error").Type() == fastjson.TypeObject || v.Get("error").Type() == fastjson.TypeArray):
			v = v.Get("error")
		}
	}
	if v.Type() == fastjson.TypeString {
		e.Message = answer.Bounded(string(v.GetStringBytes()))
		return
	}
	for _, name := range [...]string{"message", "error", "detail", "error_description", "msg"} {
		m := v.Get(name)
		if m == nil {
			continue
		}
		if m.Type() == fastjson.TypeString {
			e.Message = string(m.GetStringBytes())
		} else if m.Type() == fastjson.TypeObject || m.Type() == fastjson.TypeArray {
			e.Message = string(rawjson.AppendValue(nil, m))
		}
		if e.Message != "" {
			break
		}
	}
	// Some providers put another error body, as text, into the message.
	if strings.HasPrefix(e.Message, "{") {
		if inner, err := fastjson.Parse(e.Message); err == nil && inner.Type() == fastjson.TypeObject {
			nested := &translate.Error{}
			ReadError(inner, nested)
			if nested.Message != "" && !strings.HasPrefix(nested.Message, "{") {
				e.Message = nested.Message
			}
		}
	}
	e.Message = answer.Bounded(e.Message)
	e.Type, e.Param = answer.Bounded(word(v.Get("type"))), answer.Bounded(word(v.Get("param")))
	e.Code = answer.Bounded(word(v.Get("code")))
	if e.Type == "" {
		e.Type = answer.Bounded(word(v.Get("status")))
	}
}

// word returns a string or a number as text.
func word(v *fastjson.Value) string {
	if v == nil {
		return ""
	}
	switch v.Type() {
	case fastjson.TypeString:
		return string(v.GetStringBytes())
	case fastjson.TypeNumber:
		return string(v.MarshalTo(nil))
	}
	return ""
}

// AppendError implements [translate.Codec]. The error is always an object:
// clients fail on anything else.
func (Codec) AppendError(dst []byte, e *translate.Error) []byte {
	dst = append(dst, `{"error":`...)
	dst = appendError(dst, e)
	return append(dst, '}')
}

func appendError(dst []byte, e *translate.Error) []byte {
	dst = append(dst, '{')
	dst = rawjson.AppendMember(dst, "message", e.Message)
	dst = rawjson.AppendMember(dst, "type", errorType(e))
	dst = appendOrNull(dst, "param", e.Param)
	dst = appendOrNull(dst, "code", errorCode(e))
	if e.RequestID != "" {
		dst = rawjson.AppendMember(dst, "request_id", e.RequestID)
	}
	return append(dst, '}')
}

func appendOrNull(dst []byte, name, value string) []byte {
	if value == "" {
		return rawjson.AppendRaw(dst, name, "null")
	}
	return rawjson.AppendMember(dst, name, value)
}

// errorType returns OpenAI's word for the kind of error.
func errorType(e *translate.Error) string {
	switch e.Kind {
	case translate.Unauthenticated:
		return "authentication_error"
	case translate.Forbidden:
		return "permission_error"
	case translate.NotFound:
		return "not_found_error"
	case translate.RateLimited:
		return "rate_limit_error"
	case translate.Billing:
		return "insufficient_quota"
	case translate.Overloaded, translate.Timeout, translate.ServerError:
		return "server_error"
	}
	return "invalid_request_error"
}

func errorCode(e *translate.Error) string {
	if e.Code != "" {
		return e.Code
	}
	switch e.Kind {
	case translate.Billing:
		return "insufficient_quota"
	case translate.RateLimited:
		return "rate_limit_exceeded"
	case translate.Overloaded:
		return "overloaded"
	}
	return ""
}
