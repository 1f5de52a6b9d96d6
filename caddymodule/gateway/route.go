package gateway

import (
	"net/http"
	"strings"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/translate"
)

// A call is what a request's method and path ask for.
type call struct {
	op      provider.Operation
	format  translate.Format // of the client
	methods []string
	answer  answerKind

	// model is the model of a list's entry, or of an operation whose format has
	// it in the path; id that of a kept response.
	model, id string
	// stream says that the path asks for a stream, and array that the stream is
	// to come as a list of documents; for embeddings, that one is asked for.
	stream, array bool

	session *session // of a request over a socket
}

// An answerKind says who answers a call.
type answerKind uint8

const (
	byProvider answerKind = iota // an exchange
	byHello                      // the probe that Claude Code sends before it works
	byVersion                    // Ollama's version
	byModels                     // the list of models, or an entry of it
	byShow                       // Ollama's entry of a model, asked for in the body
	byKept                       // a response that is kept here
)

var (
	post      = []string{http.MethodPost}
	read      = []string{http.MethodGet, http.MethodHead}
	readOrEnd = []string{http.MethodGet, http.MethodDelete}
)

// Claims says that a request's path is one of the API's: right after the prefix,
// or, if that is empty, after anything.
func Claims(r *http.Request, prefix string) bool {
	_, ok := route(r, prefix)
	return ok
}

func route(r *http.Request, prefix string) (call, bool) {
	path := r.URL.Path
	if prefix != "" {
		rest, ok := strings.CutPrefix(path, prefix)
		if !ok {
			return call{}, false
		}
		return endpoint(rest, r)
	}
	for _, start := range [...]string{"/v1/", "/v1beta/", "/codex/"} {
		for at := 0; ; at++ {
			i := strings.Index(path[at:], start)
			if i < 0 {
				break
			}
			at += i
			if c, ok := endpoint(path[at:], r); ok {
				return c, true
			}
		}
	}
	if strings.HasSuffix(path, helloPath) {
		return endpoint(helloPath, r)
	}
	// Ollama's paths are common names, so they count only where nothing stands
	// before them.
	return ollamaEndpoint(path)
}

const helloPath = "/api/hello"

func endpoint(path string, r *http.Request) (call, bool) {
	if path == helloPath {
		return call{answer: byHello, format: translate.Anthropic, methods: read}, true
	}
	if rest, ok := strings.CutPrefix(path, "/codex/"); ok {
		c, ok := openaiEndpoint(strings.TrimPrefix(rest, "v1/"), r)
		return c, ok && c.format == translate.Responses
	}
	if rest, ok := strings.CutPrefix(path, "/v1beta/models"); ok {
		return geminiEndpoint(rest, r)
	}
	// Some clients leave out "models/" before a name that has a slash.
	if rest, ok := strings.CutPrefix(path, "/v1beta/"); ok && strings.Contains(rest, ":") {
		c, ok := geminiEndpoint(rest, r)
		return c, ok && c.answer == byProvider
	}
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return ollamaEndpoint(path)
	}
	// Clients whose base URL already has the version add it once more.
	rest = strings.TrimPrefix(rest, "v1/")
	if models, ok := strings.CutPrefix(rest, "models"); ok {
		return modelsEndpoint(models, r)
	}
	return openaiEndpoint(rest, r)
}

func openaiEndpoint(path string, r *http.Request) (call, bool) {
	switch path {
	case "chat/completions":
		return call{op: provider.Chat, format: translate.OpenAI, methods: post}, true
	case "embeddings":
		return call{op: provider.Embed, format: translate.OpenAI, methods: post}, true
	case "messages":
		return call{op: provider.Chat, format: translate.Anthropic, methods: post}, true
	case "messages/count_tokens":
		return call{op: provider.CountTokens, format: translate.Anthropic, methods: post}, true
	case "responses":
		return call{op: provider.Chat, format: translate.Responses, methods: post}, true
	case "responses/compact":
		return call{op: provider.Compact, format: translate.Responses, methods: post}, true
	case "responses/input_tokens":
		return call{op: provider.CountTokens, format: translate.Responses, methods: post}, true
	}
	if id, ok := strings.CutPrefix(path, "responses/"); ok && id != "" && !strings.Contains(id, "/") {
		return call{answer: byKept, format: translate.Responses, methods: readOrEnd, id: id}, true
	}
	return call{}, false
}

// modelsEndpoint serves three formats under one path; their clients tell
// themselves apart by their headers.
func modelsEndpoint(path string, r *http.Request) (call, bool) {
	if strings.Contains(path, ":") {
		if c, ok := geminiEndpoint(path, r); ok {
			return c, ok
		}
	}
	c, ok := modelList(path, translate.OpenAI)
	switch {
	case r.Header.Get("Anthropic-Version") != "":
		c.format = translate.Anthropic
	case r.Header.Get("X-Goog-Api-Key") != "", r.Header.Get("X-Goog-Api-Client") != "":
		c.format = translate.Gemini
	}
	return c, ok
}

func modelList(path string, f translate.Format) (call, bool) {
	if path != "" && (len(path) < 2 || path[0] != '/') {
		return call{}, false
	}
	return call{answer: byModels, format: f, methods: read, model: strings.TrimPrefix(path, "/")}, true
}

// geminiEndpoint reads what stands behind "models", such as
// "/gemini-3-pro:streamGenerateContent". A model's name may have slashes and
// colons of its own.
func geminiEndpoint(path string, r *http.Request) (call, bool) {
	model, verb, ok := cutLast(strings.TrimPrefix(path, "/"), ':')
	if !ok {
		return modelList(path, translate.Gemini)
	}
	c := call{format: translate.Gemini, methods: post, model: model}
	switch verb {
	case "generateContent":
		c.op = provider.Chat
	case "streamGenerateContent":
		c.op, c.stream = provider.Chat, true
		c.array = r.URL.Query().Get("alt") != "sse"
	case "countTokens":
		c.op = provider.CountTokens
	case "batchEmbedContents":
		c.op = provider.Embed
	case "embedContent":
		c.op, c.array = provider.Embed, true
	default:
		return modelList(path, translate.Gemini)
	}
	return c, model != ""
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func ollamaEndpoint(path string) (call, bool) {
	switch path {
	case "/api/chat":
		return call{op: provider.Chat, format: translate.Ollama, methods: post}, true
	case "/api/generate":
		return call{op: provider.Chat, format: translate.Ollama, methods: post}, true
	case "/api/tags":
		return call{answer: byModels, format: translate.Ollama, methods: read}, true
	case "/api/show":
		return call{answer: byShow, format: translate.Ollama, methods: post}, true
	case "/api/version":
		return call{answer: byVersion, format: translate.Ollama, methods: read}, true
	}
	return call{}, false
}
