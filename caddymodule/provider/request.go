package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/nine-router/nine-router/caddymodule/provider/egress"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// ErrUnsupported says that a format has no such operation.
var ErrUnsupported = errors.New("operation is not supported by the format")

// compiled is an endpoint made ready for the requests of every exchange.
type compiled struct {
	base    *url.URL
	urls    map[Operation]*url.URL // of operations whose path is the same for all models
	headers http.Header            // the operator's
}

// paths are the paths of the operations, behind the base URL. A format that has
// the model in the path has "{model}" there.
var paths = map[translate.Format]map[Operation]string{
	translate.OpenAI:    {Chat: "/chat/completions", Embed: "/embeddings", ListModels: "/models"},
	translate.Responses: {Chat: "/responses", CountTokens: "/responses/input_tokens", Compact: "/responses/compact", Embed: "/embeddings", ListModels: "/models"},
	translate.Anthropic: {Chat: "/messages", CountTokens: "/messages/count_tokens", ListModels: "/models"},
	translate.Gemini: {
		Chat: "/models/{model}:generateContent", streamChat: "/models/{model}:streamGenerateContent", CountTokens: "/models/{model}:countTokens",
		Embed: "/models/{model}:batchEmbedContents", ListModels: "/models",
	},
	translate.Ollama: {Chat: "/api/chat", Generate: "/api/generate", Embed: "/api/embed", ListModels: "/api/tags"},
	Cohere:           {Chat: "/chat", ListModels: "/models"},
}

// streamChat is a chat whose answer is streamed, where that is another path.
const streamChat Operation = "chat_stream"

// Formats lists the wire formats that a provider may speak.
func Formats() []string {
	var names []string
	for f := range paths {
		names = append(names, string(f))
	}
	slices.Sort(names)
	return names
}

func (e *Endpoint) compile() error {
	base, err := egress.ParseBase(e.BaseURL)
	if err != nil {
		return err
	}
	c := &compiled{base: base, urls: map[Operation]*url.URL{}}
	for op, path := range paths[e.Format] {
		if strings.Contains(path, "{model}") {
			continue
		}
		c.urls[op] = under(base, path, path)
	}
	if c.headers, err = Headers(e.Headers); err != nil {
		return err
	}
	e.ready = c
	return nil
}

// Headers checks headers that an operator wants to be sent.
func Headers(list map[string]string) (http.Header, error) {
	h := make(http.Header, len(list))
	for name, value := range list {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("its header %q is not valid", name)
		}
		if framing[http.CanonicalHeaderKey(name)] {
			return nil, fmt.Errorf("its header %q frames the message and cannot be set", name)
		}
		h.Set(name, value)
	}
	return h, nil
}

// framing are the headers that only the transport may set.
var framing = map[string]bool{
	"Connection": true, "Content-Length": true, "Host": true, "Keep-Alive": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Proxy-Connection": true, "Expect": true, "Accept-Encoding": true,
}

// What is the same for every request.
var (
	jsonType  = []string{"application/json"}
	userAgent = []string{"nine-router"}
	// Naming an encoding keeps the transport from asking for gzip on its own:
	// a stream that is compressed on the way is one that arrives in lumps.
	identity = []string{"identity"}
	version  = []string{"2023-06-01"}
)

// A Call says what is asked of a provider.
type Call struct {
	Operation  Operation
	Model      string // the provider's own name
	Stream     bool
	Body       Body
	Credential store.Secret

	// Client is the header of the client's request: of it only what the format
	// defines for its own users goes on, and only if bytes pass through.
	Client      http.Header
	PassThrough bool
}

// Can says that the endpoint's format has the operation.
func (e *Endpoint) Can(op Operation) bool { return paths[e.Format][op] != "" }

// url returns where a call goes.
func (e *Endpoint) url(call *Call) (*url.URL, error) {
	op := call.Operation
	if call.Stream && e.Format == translate.Gemini && op == Chat {
		op = streamChat
	}
	if u := e.ready.urls[op]; u != nil {
		return u, nil
	}
	path := paths[e.Format][op]
	if path == "" {
		return nil, fmt.Errorf("%s on %s: %w", op, e.Format, ErrUnsupported)
	}
	// The model's name is the client's text: it must not lead anywhere else.
	model := strings.TrimPrefix(call.Model, "models/")
	if !nameable(model) {
		return nil, fmt.Errorf("a model's name that cannot stand in a path: %w", ErrUnsupported)
	}
	segment := strings.ReplaceAll(url.PathEscape(model), ":", "%3A")
	u := under(e.ready.base, strings.Replace(path, "{model}", model, 1), strings.Replace(path, "{model}", segment, 1))
	if op == streamChat {
		u.RawQuery = "alt=sse"
	}
	return u, nil
}

// under returns the URL of a path below base. What is escaped stays as it is.
func under(base *url.URL, path, escaped string) *url.URL {
	u := *base
	u.Path, u.RawPath = base.Path+path, base.EscapedPath()+escaped
	return &u
}

// nameable says that a model's name can be one segment of a path. Escaped, a slash
// does not end it; but a server that unescapes too early would walk up by dots.
func nameable(model string) bool {
	if model == "" || len(model) > 512 {
		return false
	}
	for i := range len(model) {
		if model[i] < ' ' || model[i] == 0x7f {
			return false
		}
	}
	for part := range strings.FieldsFuncSeq(model, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == "." || part == ".." {
			return false
		}
	}
	return true
}

// NewRequest builds the request for a call.
func (e *Endpoint) NewRequest(ctx context.Context, call *Call) (*http.Request, error) {
	if e.ready == nil {
		return nil, errors.New("endpoint was not made by a catalogue")
	}
	u, err := e.url(call)
	if err != nil {
		return nil, err
	}
	h := make(http.Header, 8)
	h["Accept-Encoding"], h["User-Agent"] = identity, userAgent
	req := (&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h}).WithContext(ctx)
	if body := call.Body; call.Operation != ListModels {
		h["Content-Type"] = jsonType
		req.Method = http.MethodPost
		req.ContentLength = body.Len()
		req.Body = body.open()
		req.GetBody = func() (io.ReadCloser, error) { return body.open(), nil }
	}
	if e.Format == translate.Anthropic {
		h["Anthropic-Version"] = version
	}
	if call.PassThrough {
		e.passHeaders(h, call.Client)
	}
	e.authorize(h, call.Credential)
	for name, values := range e.ready.headers {
		h[name] = values
	}
	return req, nil
}

// passHeaders takes over what a format's own clients say about the request, see
// https://platform.claude.com/docs/en/api/versioning and
// https://platform.claude.com/docs/en/api/beta-headers.
func (e *Endpoint) passHeaders(h, client http.Header) {
	pass := func(name string, limit int) {
		var kept []string
		for _, v := range client[name] {
			for _, token := range strings.Split(v, ",") {
				if token = strings.TrimSpace(token); token != "" && len(token) <= 128 && wordly(token) && len(kept) < limit && !slices.Contains(kept, token) {
					kept = append(kept, token)
				}
			}
		}
		if len(kept) > 0 {
			h[name] = []string{strings.Join(kept, ",")}
		}
	}
	switch e.Format {
	case translate.Anthropic:
		pass("Anthropic-Version", 1)
		pass("Anthropic-Beta", 64)
	case translate.OpenAI, translate.Responses:
		pass("Openai-Beta", 16)
	}
	pass("Idempotency-Key", 1)
}

func wordly(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' {
			return false
		}
	}
	return true
}

func (e *Endpoint) authorize(h http.Header, credential store.Secret) {
	if !credential.IsSet() {
		return
	}
	auth := e.Auth
	if auth == "" {
		auth = Bearer
		switch e.Format {
		case translate.Anthropic:
			auth = XAPIKey
		case translate.Gemini:
			auth = XGoogAPIKey
		}
	}
	switch auth {
	case XAPIKey:
		h["X-Api-Key"] = []string{credential.Reveal()}
	case XGoogAPIKey:
		h["X-Goog-Api-Key"] = []string{credential.Reveal()}
	case APIKey:
		h["Api-Key"] = []string{credential.Reveal()}
	default:
		h["Authorization"] = []string{"Bearer " + credential.Reveal()}
	}
}

// ResponseHeaders copies what a client may see of a provider's header: limits of
// rate, and the provider's own id of the request under another name.
func ResponseHeaders(dst, src http.Header) {
	for name, values := range src {
		switch {
		case strings.HasPrefix(name, "X-Ratelimit-"), strings.HasPrefix(name, "Anthropic-Ratelimit-"), name == "Openai-Processing-Ms":
			dst[name] = values
		case name == "X-Request-Id", name == "Request-Id":
			dst["X-Upstream-Request-Id"] = values[:1]
		}
	}
}
