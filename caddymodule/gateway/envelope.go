package gateway

import (
	"bytes"
	"errors"
	"strings"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// An envelope is what the gateway has to know of a body that it may pass on
// untouched.
type envelope struct {
	body     []byte
	model    string
	from, to int // the place of the model's value in body
	stream   bool
}

// control are the members on which the gateway, or a limit, decides something.
// JSON parsers differ in what they make of a name that comes twice or in other
// letters, so such a body could mean one thing here and another upstream.
var control = [...]string{"model", "stream", "messages", "tools", "max_tokens", "max_completion_tokens", "n", "user", "metadata"}

// open reads the envelope of a body and checks that it is JSON.
func open(body []byte) (*envelope, *translate.Error) {
	e := &envelope{body: body}
	var seen [len(control)]bool
	err := rawjson.Object(body, func(name []byte, start, end int) error {
		for i, c := range control {
			if len(name) < len(c) || len(name) > len(c)+8 || !strings.EqualFold(string(name), c) {
				continue
			}
			if string(name) != c {
				return translate.Invalid(c, "The member %q is spelt in other letters than %q.", name, c)
			}
			if seen[i] {
				return translate.Invalid(c, "The member %q comes twice.", c)
			}
			seen[i] = true
			return e.take(c, start, end)
		}
		return nil
	})
	if err != nil {
		var invalid *translate.Error
		if errors.As(err, &invalid) {
			return nil, invalid
		}
		return nil, translate.Invalid("", "The body is not valid JSON: %v.", err)
	}
	if e.model == "" {
		return nil, translate.Invalid("model", "The request names no model.")
	}
	if !seen[2] {
		return nil, translate.Invalid("messages", "The request has no messages.")
	}
	return e, nil
}

func (e *envelope) take(name string, start, end int) error {
	value := e.body[start:end]
	switch name {
	case "model":
		if value[0] != '"' {
			return translate.Invalid(name, "model must be a string.")
		}
		e.model, e.from, e.to = string(rawjson.Unquote(value)), start, end
		if len(e.model) > maxModel {
			return translate.Invalid(name, "The model's name is longer than %d bytes.", maxModel)
		}
	case "stream":
		switch string(value) {
		case "true":
			e.stream = true
		case "false", "null":
		default:
			return translate.Invalid(name, "stream must be true or false.")
		}
	case "messages":
		if value[0] != '[' {
			return translate.Invalid(name, "messages must be an array.")
		}
		if len(bytes.TrimSpace(value[1:len(value)-1])) == 0 {
			return translate.Invalid(name, "messages must not be empty.")
		}
	case "max_tokens", "max_completion_tokens", "n":
		if c := value[0]; c != 'n' && c != '-' && (c < '0' || c > '9') {
			return translate.Invalid(name, "%s must be a number.", name)
		}
	case "tools":
		if value[0] != '[' && value[0] != 'n' {
			return translate.Invalid(name, "tools must be an array.")
		}
	}
	return nil
}

// maxModel bounds a model's name, in bytes.
const maxModel = 512

// withModel returns the body with another model name and not a byte else
// changed, without a copy of the rest.
func (e *envelope) withModel(model string) provider.Body {
	if model == e.model {
		return provider.Body{e.body}
	}
	return provider.Body{e.body[:e.from], rawjson.AppendString(nil, model), e.body[e.to:]}
}
