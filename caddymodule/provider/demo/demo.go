// Package demo is a provider that answers within the process, without any
// account: in the OpenAI and the Anthropic wire format, streamed or not, with
// text, reasoning, tool calls, usage and every kind of failure. A person can see
// the whole path of the gateway work with it and check a client's set-up. It
// shares no code with the translation, so that it is an independent check of it,
// and it never passes for a real model: its answers name themselves as the
// demo's.
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// Name is the provider's name, and so the prefix of its models.
const Name = "demo"

// The host is never dialled; the top-level domain is reserved for that
// (https://www.rfc-editor.org/rfc/rfc6761#section-6.4).
const baseURL = "http://demo.invalid/v1"

// Models lists what the provider offers.
//
//	echo          says the user's last text
//	tools         calls the first tool that the client offers, and sums up the result
//	reason        reasons before it says something
//	slow          takes several seconds over an answer, word by word
//	long          says as many words as the first number of the prompt, 500 without one
//	empty         answers with nothing
//	cut           breaks off in the middle of a stream
//	stream-error  fails in the middle of a stream
//	error-N       answers with the HTTP status N
func Models() []string {
	return []string{"echo", "tools", "reason", "slow", "long", "empty", "cut", "stream-error",
		"error-400", "error-401", "error-403", "error-404", "error-429", "error-500", "error-529"}
}

// Provider returns the entry for the catalogue.
func Provider() *provider.Provider {
	return &provider.Provider{
		Name: Name, Title: "Demo: answers without an account", Keyless: true, Rehearsal: true, Models: Models(),
		Endpoints: []provider.Endpoint{
			{Format: translate.OpenAI, BaseURL: baseURL},
			{Format: translate.Anthropic, BaseURL: baseURL},
		},
		Default:   &provider.Model{Price: &store.Price{}},
		Transport: Transport{Pace: 150 * time.Millisecond},
	}
}

// Transport answers requests instead of the network. It is safe for concurrent
// use.
type Transport struct {
	// Pace is the time between two words of the model "slow".
	Pace time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	switch path := strings.TrimPrefix(r.URL.Path, "/v1"); path {
	case "/models":
		return document(http.StatusOK, modelList()), nil
	case "/chat/completions":
		return t.answer(r.Context(), openaiWire{}, body)
	case "/messages":
		return t.answer(r.Context(), anthropicWire{}, body)
	case "/messages/count_tokens":
		return document(http.StatusOK, object{"input_tokens": tokens(len(body))}), nil
	}
	return document(http.StatusNotFound, object{"error": object{"message": "no such path"}}), nil
}

type object = map[string]any

// document is a response that is not streamed.
func document(status int, v any) *http.Response {
	b, _ := json.Marshal(v)
	return response(status, "application/json", io.NopCloser(bytes.NewReader(b)))
}

func response(status int, contentType string, body io.ReadCloser) *http.Response {
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {contentType}}, Body: body, ContentLength: -1,
	}
}

func modelList() object {
	var data []object
	for _, m := range Models() {
		data = append(data, object{"id": m, "object": "model", "type": "model", "created": 0, "owned_by": "demo", "display_name": m, "created_at": "1970-01-01T00:00:00Z"})
	}
	return object{"object": "list", "data": data, "has_more": false}
}

// tokens estimates tokens from bytes. It is the demo's own count and nobody's
// bill.
func tokens(bytes int) int { return bytes/4 + 1 }

// A request is what the demo reads of either format.
type request struct {
	model  string
	stream bool
	usage  bool // a stream shall tell its usage
	prompt string
	tools  []tool
	result string // of a tool, if the conversation ends with one
	input  int    // tokens
}

type tool struct {
	name   string
	schema any
}

// A wire is one of the two formats.
type wire interface {
	parse(body []byte) (request, error)
	failure(status int, message string) any
	whole(r request, p plan) any
	// streamed returns the pieces of a stream, each of whole events.
	streamed(r request, p plan) [][]byte
	streamFailure() []byte
}

// A plan is what the demo is going to answer.
type plan struct {
	reasoning string
	words     []string
	call      *call
	output    int // tokens
}

type call struct{ name, arguments string }

func (t Transport) answer(ctx context.Context, w wire, body []byte) (*http.Response, error) {
	r, err := w.parse(body)
	if err != nil {
		return document(http.StatusBadRequest, w.failure(http.StatusBadRequest, "The demo cannot read the request: "+err.Error())), nil
	}
	if n, ok := strings.CutPrefix(r.model, "error-"); ok {
		status, _ := strconv.Atoi(n)
		if status < 400 || status > 599 {
			status = http.StatusNotFound
		}
		resp := document(status, w.failure(status, fmt.Sprintf("The demo was asked to fail with status %d.", status)))
		if status == http.StatusTooManyRequests {
			resp.Header.Set("Retry-After", "2")
		}
		return resp, nil
	}
	p, ok := decide(r)
	if !ok {
		return document(http.StatusNotFound, w.failure(http.StatusNotFound, "The demo has no such model.")), nil
	}
	broken := r.model == "cut" || r.model == "stream-error"
	if !r.stream && !broken {
		if r.model == "slow" {
			if err := wait(ctx, t.Pace*time.Duration(len(p.words))); err != nil {
				return nil, err
			}
		}
		return document(http.StatusOK, w.whole(r, p)), nil
	}
	if !r.stream {
		return document(http.StatusInternalServerError, w.failure(http.StatusInternalServerError, "The demo was asked to break off.")), nil
	}
	pieces := w.streamed(r, p)
	if broken {
		pieces = pieces[:len(pieces)/2]
	}
	if r.model == "stream-error" {
		pieces = append(pieces, w.streamFailure())
	}
	s := &stream{ctx: ctx, pieces: pieces}
	if r.model == "slow" {
		s.pace = t.Pace
	}
	return response(http.StatusOK, "text/event-stream", s), nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// A stream is a body that gives its pieces at a pace. It has no goroutine: who
// reads it waits.
type stream struct {
	ctx    context.Context
	pieces [][]byte
	pace   time.Duration
	rest   []byte
	begun  bool
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if len(s.rest) == 0 {
		if len(s.pieces) == 0 {
			return 0, io.EOF
		}
		if s.pace > 0 && s.begun {
			if err := wait(s.ctx, s.pace); err != nil {
				return 0, err
			}
		}
		s.begun = true
		s.rest, s.pieces = s.pieces[0], s.pieces[1:]
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.pieces, s.rest = nil, nil
	return nil
}
