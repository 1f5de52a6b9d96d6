package ollama

import (
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate/rawjson"
)

// Names of the member that holds what is not an object: the free text of a
// custom tool, and arguments that are no valid JSON object.
const (
	freeText  = "input"
	malformed = "malformed_arguments"
)

// appendArguments appends a call's arguments, which are an object here, without
// line ends: they may stand in a line of a stream. It says whether they are what
// they were.
func appendArguments[S ~string | ~[]byte](b []byte, arguments S, custom bool) (_ []byte, exact bool) {
	if custom {
		return append(rawjson.AppendMember(append(b, '{'), freeText, arguments), '}'), true
	}
	text := string(arguments)
	if strings.TrimSpace(text) == "" {
		return append(b, "{}"...), true
	}
	if rawjson.Object([]byte(text), nil) == nil {
		if v, err := fastjson.Parse(text); err == nil {
			return rawjson.AppendValue(b, v), true
		}
	}
	// Cut arguments, for one, must not make the whole conversation invalid.
	return append(rawjson.AppendMember(append(b, '{'), malformed, text), '}'), false
}
