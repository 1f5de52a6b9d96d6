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
	hello   bool             // the probe that Claude Code sends before it works
	format  translate.Format // of the client
	methods []string
	model   string // of GET /v1/models/{id}
}

var (
	post = []string{http.MethodPost}
	read = []string{http.MethodGet, http.MethodHead}
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
		return endpoint(rest, r.Header)
	}
	for at := 0; ; at++ {
		i := strings.Index(path[at:], "/v1/")
		if i < 0 {
			break
		}
		at += i
		if c, ok := endpoint(path[at:], r.Header); ok {
			return c, true
		}
	}
	if strings.HasSuffix(path, helloPath) {
		return endpoint(helloPath, r.Header)
	}
	return call{}, false
}

const helloPath = "/api/hello"

func endpoint(path string, h http.Header) (call, bool) {
	if path == helloPath {
		return call{hello: true, format: translate.Anthropic, methods: read}, true
	}
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return call{}, false
	}
	// Clients whose base URL already has the version add it once more.
	rest = strings.TrimPrefix(rest, "v1/")
	switch rest {
	case "chat/completions":
		return call{op: provider.Chat, format: translate.OpenAI, methods: post}, true
	case "messages":
		return call{op: provider.Chat, format: translate.Anthropic, methods: post}, true
	case "messages/count_tokens":
		return call{op: provider.CountTokens, format: translate.Anthropic, methods: post}, true
	}
	if id, ok := strings.CutPrefix(rest, "models"); ok && (id == "" || len(id) > 1 && id[0] == '/') {
		c := call{op: provider.ListModels, format: translate.OpenAI, methods: read, model: strings.TrimPrefix(id, "/")}
		if h.Get("Anthropic-Version") != "" {
			c.format = translate.Anthropic
		}
		return c, true
	}
	return call{}, false
}
