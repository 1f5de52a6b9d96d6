package gemini

import (
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// DecodeError implements [translate.Codec], see
// https://cloud.google.com/apis/design/errors. The error of a stream that is a
// list comes in a list.
func (Codec) DecodeError(status int, body []byte) *translate.Error {
	e := &translate.Error{Status: status, Kind: translate.KindOfStatus(status)}
	v, err := fastjson.ParseBytes(body)
	if err != nil {
		e.Message = answer.PlainText(body, status)
		return e
	}
	if list := v.GetArray(); len(list) > 0 {
		v = list[0]
	}
	readError(v, e)
	if e.Message == "" {
		e.Message = answer.PlainText(nil, status)
	}
	return e
}

var kinds = map[string]translate.ErrorKind{
	"INVALID_ARGUMENT": translate.InvalidRequest, "FAILED_PRECONDITION": translate.InvalidRequest, "OUT_OF_RANGE": translate.InvalidRequest,
	"UNAUTHENTICATED": translate.Unauthenticated, "PERMISSION_DENIED": translate.Forbidden, "NOT_FOUND": translate.NotFound,
	"RESOURCE_EXHAUSTED": translate.RateLimited, "UNAVAILABLE": translate.Overloaded, "DEADLINE_EXCEEDED": translate.Timeout,
	"INTERNAL": translate.ServerError, "UNKNOWN": translate.ServerError, "CANCELLED": translate.ServerError, "ABORTED": translate.ServerError,
}

func readError(v *fastjson.Value, e *translate.Error) {
	inner := v.Get("error")
	if s, ok := tree.String(inner); ok {
		e.Message = answer.Bounded(s)
		return
	}
	if tree.IsNull(inner) || inner.Type() != fastjson.TypeObject {
		e.Message = answer.Bounded(tree.Text(v, "message"))
		return
	}
	e.Message, e.Type = answer.Bounded(tree.Text(inner, "message")), answer.Bounded(tree.Text(inner, "status"))
	if kind, ok := kinds[e.Type]; ok {
		e.Kind = kind
	}
	for _, d := range inner.GetArray("details") {
		if reason := tree.Text(d, "reason"); reason != "" {
			e.Code = answer.Bounded(reason)
			if strings.HasPrefix(reason, "API_KEY_") { // stated as an invalid argument
				e.Kind = translate.Unauthenticated
			}
			break
		}
	}
	if d := inner.Get("details"); d != nil && d.Type() == fastjson.TypeArray {
		if raw := rawjson.AppendValue(nil, d); len(raw) <= 16<<10 {
			e.Details = string(raw)
		}
	}
}

// words are Google's for the kinds of errors.
var words = map[translate.ErrorKind]string{
	translate.InvalidRequest: "INVALID_ARGUMENT", translate.TooLarge: "INVALID_ARGUMENT",
	translate.Unauthenticated: "UNAUTHENTICATED", translate.Forbidden: "PERMISSION_DENIED", translate.Billing: "FAILED_PRECONDITION",
	translate.NotFound: "NOT_FOUND", translate.RateLimited: "RESOURCE_EXHAUSTED", translate.Overloaded: "UNAVAILABLE",
	translate.Timeout: "DEADLINE_EXCEEDED",
}

// AppendError implements [translate.Codec].
func (Codec) AppendError(dst []byte, e *translate.Error) []byte {
	status := e.Status
	if status == 0 {
		status = e.Kind.Status()
	}
	word := words[e.Kind]
	if _, own := kinds[e.Type]; own {
		word = e.Type
	}
	if word == "" {
		word = "INTERNAL"
	}
	dst = append(dst, `{"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = rawjson.AppendMember(dst, "message", e.Message)
	dst = rawjson.AppendMember(dst, "status", word)
	if e.Details != "" || e.RequestID != "" || e.RetryAfter > 0 {
		dst = append(appendDetails(append(rawjson.AppendName(dst, "details"), '['), e), ']')
	}
	return append(dst, "}}"...)
}

// appendDetails appends the provider's details and ours, which replace those of the
// same type: https://cloud.google.com/apis/design/errors#error_details.
func appendDetails(dst []byte, e *translate.Error) []byte {
	if v, err := fastjson.Parse(e.Details); err == nil {
		for _, d := range v.GetArray() {
			if e.RetryAfter > 0 && tree.Text(d, "@type") == retryInfo {
				continue
			}
			dst = rawjson.AppendValue(rawjson.AppendComma(dst), d)
		}
	}
	if e.RetryAfter > 0 {
		seconds := int64((e.RetryAfter + time.Second - 1) / time.Second)
		dst = rawjson.AppendMember(append(rawjson.AppendComma(dst), '{'), "@type", retryInfo)
		dst = append(rawjson.AppendMember(dst, "retryDelay", strconv.FormatInt(seconds, 10)+"s"), '}')
	}
	if e.RequestID != "" {
		dst = rawjson.AppendMember(append(rawjson.AppendComma(dst), '{'), "@type", "type.googleapis.com/google.rpc.RequestInfo")
		dst = append(rawjson.AppendMember(dst, "requestId", e.RequestID), '}')
	}
	return dst
}

const retryInfo = "type.googleapis.com/google.rpc.RetryInfo"
