package gateway

import (
	"bytes"
	"errors"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// An envelope is what the gateway has to know of a body that it may pass on
// untouched.
type envelope struct {
	body     []byte
	model    string
	from, to int  // the place of the model's value in body, 0 if it is not there
	unnamed  bool // neither the body nor the path names a model
	stream   bool

	previous string // Responses' previous_response_id
	thread   string // Anthropic's thread, as it stood
	store    string // Responses' store, as it stood
	prompt   bool   // Ollama's generate

	// What tells conversations apart, each as it stood; nil where it is not there.
	said         []byte // what the client calls the conversation, or whom it is for
	instructions []byte
	turns        []byte

	maxOutput int64  // tokens of output that are asked for at most, 0 if that is not said
	config    []byte // Gemini's and Ollama's options, in which it may stand too
}

// control are the members on which the gateway, or a limit, decides something.
// JSON parsers differ in what they make of a name that comes twice or in other
// letters, so such a body could mean one thing here and another upstream.
var control = [...]string{
	"model", "stream", "messages", "tools", "max_tokens", "max_completion_tokens", "n", "user", "metadata",
	"input", "contents", "prompt", "max_output_tokens", "previous_response_id", "thread", "store",
}

// open reads the envelope of a body and checks that it is JSON. A request that
// names no model asks for the default one, if there is one.
func open(body []byte, c *call, defaultModel string) (*envelope, *translate.Error) {
	e := &envelope{body: body, stream: c.stream || c.format == translate.Ollama}
	var seen [len(control)]bool
	err := rawjson.Object(body, func(name []byte, start, end int) error {
		for i, known := range control {
			if len(name) < len(known) || len(name) > len(known)+8 || !strings.EqualFold(string(name), known) {
				continue
			}
			if string(name) != known {
				return translate.Invalid(known, "The member %q is spelt in other letters than %q.", name, known)
			}
			if seen[i] {
				return translate.Invalid(known, "The member %q comes twice.", known)
			}
			seen[i] = true
			return e.take(known, start, end, c)
		}
		e.listen(name, start, end, c)
		return nil
	})
	if err != nil {
		var invalid *translate.Error
		if errors.As(err, &invalid) {
			return nil, invalid
		}
		return nil, translate.Invalid("", "The body is not valid JSON: %v.", err)
	}
	if c.model != "" { // the path names it
		e.model, e.from, e.to = strings.TrimPrefix(c.model, "models/"), 0, 0
	}
	if e.model == "" {
		e.model = defaultModel
		e.unnamed = !seen[0] && c.model == ""
	}
	if e.model == "" {
		return nil, translate.Invalid("model", "The request names no model.")
	}
	has := func(name string) bool {
		for i, known := range control {
			if known == name {
				return seen[i]
			}
		}
		return false
	}
	switch {
	case c.op == provider.Embed, c.op == provider.Compact:
	case (c.format == translate.OpenAI || c.format == translate.Anthropic) && !has("messages"):
		return nil, translate.Invalid("messages", "The request has no messages.")
	case c.format == translate.Responses && !has("input") && e.previous == "" && !has("prompt"):
		return nil, translate.Invalid("input", "The request has no input.")
	case c.format == translate.Gemini && c.op == provider.Chat && !has("contents"):
		return nil, translate.Invalid("contents", "The request has no contents.")
	case c.format == translate.Ollama && !has("messages") && !has("prompt"):
		return nil, translate.Invalid("messages", "The request has no messages.")
	}
	return e, nil
}

func (e *envelope) take(name string, start, end int, c *call) error {
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
		case "false":
			e.stream = false
		case "null":
		default:
			return translate.Invalid(name, "stream must be true or false.")
		}
	case "messages", "contents":
		if value[0] != '[' {
			return translate.Invalid(name, "%s must be an array.", name)
		}
		// Ollama loads a model for a request without messages.
		if len(bytes.TrimSpace(value[1:len(value)-1])) == 0 && c.format != translate.Ollama {
			return translate.Invalid(name, "%s must not be empty.", name)
		}
		e.turn(name, value, c)
	case "prompt":
		if e.prompt = c.format == translate.Ollama; e.prompt {
			e.turns = value
		}
	case "input":
		e.turn(name, value, c)
	case "metadata":
		if c.format == translate.Anthropic && e.said == nil {
			e.said = userID(value)
		}
	case "max_tokens", "max_completion_tokens", "max_output_tokens", "n":
		if c := value[0]; c != 'n' && c != '-' && (c < '0' || c > '9') {
			return translate.Invalid(name, "%s must be a number.", name)
		}
		if name != "n" {
			e.maxOutput = translate.Number(value).Int()
		}
	case "tools":
		if value[0] != '[' && value[0] != 'n' && c.format != translate.Gemini {
			return translate.Invalid(name, "tools must be an array.")
		}
	case "previous_response_id":
		if value[0] == '"' && c.format == translate.Responses {
			e.previous = string(rawjson.Unquote(value))
		}
	case "thread":
		if value[0] == '{' && c.format == translate.Anthropic {
			e.thread = string(value)
		}
	case "store":
		e.store = string(value)
	}
	return nil
}

// turn takes the member that holds the conversation.
func (e *envelope) turn(name string, value []byte, c *call) {
	if name == turnsMember(c.format) {
		e.turns = value
	}
}

// listen takes what is of use but decides nothing about the request.
func (e *envelope) listen(name []byte, start, end int, c *call) {
	value := e.body[start:end]
	switch string(name) {
	case "prompt_cache_key", "session_id", "sessionId":
		if value[0] == '"' && len(value) > 2 {
			e.said = value
		}
	case "system", "instructions", "systemInstruction", "system_instruction":
		e.instructions = value
	case "generationConfig", "generation_config", "options":
		e.config = value
	}
}

// outputLimit is how many tokens of output are asked for at most, 0 if that is not
// said.
func (e *envelope) outputLimit() int64 {
	if e.maxOutput > 0 || e.config == nil {
		return max(e.maxOutput, 0)
	}
	v, err := fastjson.ParseBytes(e.config)
	if err != nil {
		return 0
	}
	for _, name := range [...]string{"maxOutputTokens", "max_output_tokens", "num_predict"} {
		if n := v.GetInt64(name); n > 0 {
			return n
		}
	}
	return 0
}

// maxModel bounds a model's name, in bytes.
const maxModel = 512

// withModel returns the body with another model name and not a byte else
// changed, without a copy of the rest.
func (e *envelope) withModel(model string) provider.Body {
	if e.unnamed {
		// There is a brace, and a member behind it: messages, at least.
		brace := bytes.IndexByte(e.body, '{') + 1
		return provider.Body{e.body[:brace], append(rawjson.AppendString([]byte(`"model":`), model), ','), e.body[brace:]}
	}
	if e.to == 0 || model == e.model && string(rawjson.Unquote(e.body[e.from:e.to])) == model {
		return provider.Body{e.body}
	}
	return provider.Body{e.body[:e.from], rawjson.AppendString(nil, model), e.body[e.to:]}
}
