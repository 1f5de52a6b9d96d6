package provider

import (
	"bytes"
	"slices"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// Needs finds the abilities that a request of a client's format asks of a model,
// in the order of [Abilities], without decoding it: requests that pass through
// untouched never are. The body has to be valid JSON; of one that is not, some
// needs may be missed, and so they are where a name is written with escapes.
// What only looks like a need, in a text or in the arguments of a tool, is none.
//
// First it looks for the few words that media cannot do without. Only where one
// is found, the conversation is walked.
func Needs(f translate.Format, body []byte) []Ability {
	w, ok := walks[f]
	if !ok {
		return nil
	}
	n := &needs{words: w.words}
	media := n.suspected(body)
	members(body, func(name, value []byte) {
		if media || string(name) != w.conversation {
			w.member(n, name, value)
		}
	})
	return slices.DeleteFunc(Abilities(), func(a Ability) bool { return !slices.Contains(n.found, a) })
}

// needs collects what is found.
type needs struct {
	words [][]byte // see walk
	found []Ability
}

func (n *needs) add(a Ability) {
	if !slices.Contains(n.found, a) {
		n.found = append(n.found, a)
	}
}

// suspected says that one of the words is a string of the JSON text, a name or a
// value. It goes from quote to quote, which is faster than a search for each word:
// quotes are rare in what people say, and in media.
func (n *needs) suspected(text []byte) bool {
	for {
		start := bytes.IndexByte(text, '"') + 1
		if start == 0 {
			return false
		}
		text = text[start:]
		end := stringEnd(text)
		if end < 0 {
			return false
		}
		for _, word := range n.words {
			if bytes.Equal(text[:end], word) {
				return true
			}
		}
		text = text[end+1:]
	}
}

// stringEnd is the place of the quote that ends the string whose inside text
// begins with, -1 if there is none.
func stringEnd(text []byte) int {
	for i := 0; ; i++ {
		next := bytes.IndexByte(text[i:], '"')
		if next < 0 {
			return -1
		}
		i += next
		escapes := i
		for escapes > 0 && text[escapes-1] == '\\' {
			escapes--
		}
		if (i-escapes)%2 == 0 {
			return i
		}
	}
}

// turns visits the turns of a conversation that may have media.
func (n *needs) turns(list []byte, visit func(turn []byte)) {
	elements(list, func(turn []byte) {
		if n.suspected(turn) {
			visit(turn)
		}
	})
}

// A walk is where a format has what tells a need.
type walk struct {
	words        [][]byte // one of which every conversation with media has
	conversation string   // the member of the body that holds it
	member       func(n *needs, name, value []byte)
}

var walks = map[translate.Format]walk{
	translate.OpenAI:    {words("image_url", "input_audio", "file", "video_url"), "messages", openAIMember},
	translate.Responses: {words("input_image", "input_file", "input_audio", "computer_screenshot", "additional_tools"), "input", responsesMember},
	translate.Anthropic: {words("image", "document"), "messages", anthropicMember},
	translate.Gemini:    {words("inlineData", "inline_data", "fileData", "file_data"), "contents", geminiMember},
	translate.Ollama:    {words("images"), "messages", ollamaMember},
}

func words(list ...string) (words [][]byte) {
	for _, w := range list {
		words = append(words, []byte(w))
	}
	return words
}

// openAIMember reads a member of a Chat Completions request:
// https://platform.openai.com/docs/api-reference/chat/create.
func openAIMember(n *needs, name, value []byte) {
	switch string(name) {
	case "tools", "functions":
		n.tools(value)
	case "response_format":
		n.schema(value)
	case "messages":
		n.turns(value, func(message []byte) {
			elements(get(message, "content"), func(part []byte) {
				switch string(text(part, "type")) {
				case "image_url", "video_url":
					n.add(Vision)
				case "input_audio":
					n.add(Audio)
				case "file":
					n.add(Files)
				}
			})
		})
	}
}

// responsesMember reads a member of a Responses request:
// https://platform.openai.com/docs/api-reference/responses/create. The results
// of tools may have media as well, and tools may come among the input.
func responsesMember(n *needs, name, value []byte) {
	switch string(name) {
	case "tools":
		n.tools(value)
	case "text":
		n.schema(get(value, "format"))
	case "input":
		n.turns(value, func(item []byte) {
			members(item, func(name, value []byte) {
				switch string(name) {
				case "content", "output":
					elements(value, n.responsesPart)
					n.responsesPart(value) // a screenshot stands alone
				case "tools":
					if string(text(item, "type")) == "additional_tools" {
						n.tools(value)
					}
				}
			})
		})
	}
}

func (n *needs) responsesPart(part []byte) {
	switch string(text(part, "type")) {
	case "input_image", "computer_screenshot":
		n.add(Vision)
	case "input_audio":
		n.add(Audio)
	case "input_file":
		n.add(Files)
	}
}

// anthropicMember reads a member of a Messages request:
// https://platform.claude.com/docs/en/api/messages.
func anthropicMember(n *needs, name, value []byte) {
	switch string(name) {
	case "tools":
		n.tools(value)
	case "output_config":
		n.schema(get(value, "format"))
	case "output_format": // of the beta
		n.schema(value)
	case "messages":
		n.turns(value, func(message []byte) {
			elements(get(message, "content"), n.anthropicBlock)
		})
	}
}

func (n *needs) anthropicBlock(block []byte) {
	switch string(text(block, "type")) {
	case "image":
		n.add(Vision)
	case "document":
		// A document of plain text is text that any model reads.
		if kind := string(text(get(block, "source"), "type")); kind != "text" && kind != "content" {
			n.add(Files)
		}
	case "tool_result":
		elements(get(block, "content"), n.anthropicBlock)
	}
}

// geminiMember reads a member of a generateContent request, in camel or snake
// case: https://ai.google.dev/api/generate-content.
func geminiMember(n *needs, name, value []byte) {
	switch string(name) {
	case "tools":
		n.tools(value)
	case "generationConfig", "generation_config":
		members(value, func(name, value []byte) {
			switch string(name) {
			case "responseSchema", "response_schema", "responseJsonSchema", "response_json_schema", "_responseJsonSchema":
				if first(value) == '{' {
					n.add(Structured)
				}
			}
		})
	case "contents":
		content := func(content []byte) { elements(get(content, "parts"), n.geminiPart) }
		n.turns(value, content)
		content(value) // a single one needs no list
	}
}

func (n *needs) geminiPart(part []byte) {
	members(part, func(name, value []byte) {
		switch string(name) {
		case "inlineData", "inline_data", "fileData", "file_data":
			mime := text(value, "mimeType")
			if mime == nil {
				mime = text(value, "mime_type")
			}
			kind, _, _ := bytes.Cut(mime, []byte("/"))
			switch string(kind) {
			case "image", "video":
				n.add(Vision)
			case "audio":
				n.add(Audio)
			case "text", "":
			default:
				n.add(Files)
			}
		case "functionResponse", "function_response":
			elements(get(value, "parts"), n.geminiPart)
		}
	})
}

// ollamaMember reads a member of a request to /api/chat or /api/generate:
// https://github.com/ollama/ollama/blob/main/docs/api.md.
func ollamaMember(n *needs, name, value []byte) {
	switch string(name) {
	case "tools":
		n.tools(value)
	case "format":
		if first(value) == '{' {
			n.add(Structured)
		}
	case "images":
		elements(value, func([]byte) { n.add(Vision) })
	case "messages":
		n.turns(value, func(message []byte) {
			elements(get(message, "images"), func([]byte) { n.add(Vision) })
		})
	}
}

// tools counts a list that has any.
func (n *needs) tools(list []byte) { elements(list, func([]byte) { n.add(Tools) }) }

// schema counts a form of the answer that has to follow a schema.
func (n *needs) schema(form []byte) {
	if string(text(form, "type")) == "json_schema" {
		n.add(Structured)
	}
}

// The following pass over what is not of the kind that they look into.

func members(object []byte, visit func(name, value []byte)) {
	if first(object) == '{' {
		rawjson.Object(object, func(name []byte, start, end int) error {
			visit(name, object[start:end])
			return nil
		})
	}
}

func elements(array []byte, visit func(element []byte)) {
	if first(array) == '[' {
		rawjson.Array(array, func(start, end int) error {
			visit(array[start:end])
			return nil
		})
	}
}

func get(object []byte, member string) (found []byte) {
	members(object, func(name, value []byte) {
		if string(name) == member {
			found = value
		}
	})
	return found
}

// text is the value of a member that is a string.
func text(object []byte, member string) []byte {
	if v := get(object, member); first(v) == '"' {
		return rawjson.Unquote(v)
	}
	return nil
}

// first is the byte that a value begins with, 0 if there is none.
func first(value []byte) byte {
	if value = bytes.TrimLeft(value, " \t\r\n"); len(value) > 0 {
		return value[0]
	}
	return 0
}
