package answer

import (
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate/rawjson"
)

// FreeText is the member that holds the text of a custom tool where arguments
// are an object.
const FreeText = "input"

// malformed is the member that holds arguments that are no valid JSON object.
const malformed = "malformed_arguments"

// AppendArguments appends a call's arguments for a format where they are an
// object, on one line. It says whether they are what they were: a model's
// arguments may be cut, and that must not make a whole conversation invalid.
func AppendArguments[S ~string | ~[]byte](b []byte, arguments S, custom bool) (_ []byte, exact bool) {
	if custom {
		return append(rawjson.AppendMember(append(b, '{'), FreeText, arguments), '}'), true
	}
	text := string(arguments)
	if strings.TrimSpace(text) == "" {
		return append(b, "{}"...), true
	}
	if rawjson.Object([]byte(text), nil) == nil {
		if !strings.ContainsAny(text, "\r\n") {
			return append(b, text...), true
		}
		if v, err := fastjson.Parse(text); err == nil {
			return rawjson.AppendValue(b, v), true
		}
	}
	return append(rawjson.AppendMember(append(b, '{'), malformed, text), '}'), false
}
