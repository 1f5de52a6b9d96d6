package scripted

import (
	"fmt"

	"github.com/nine-router/nine-router/translate"
)

// Error is the body of an error as a provider of the format writes it.
//
//   - https://platform.openai.com/docs/guides/error-codes
//   - https://platform.claude.com/docs/en/api/errors
//   - https://google.aip.dev/193
//   - https://docs.ollama.com/api/errors
//   - https://docs.cohere.com/reference/errors
func Error(f translate.Format, status int, kind, message string) string {
	switch f {
	case translate.Anthropic:
		return `{"type":"error","error":{"type":` + quote(kind) + `,"message":` + quote(message) + `},"request_id":"req_1"}`
	case translate.Gemini:
		return fmt.Sprintf(`{"error":{"code":%d,"message":%s,"status":%s}}`, status, quote(message), quote(kind))
	case translate.Ollama:
		return `{"error":` + quote(message) + `}`
	case Cohere:
		return `{"id":"co-error","message":` + quote(message) + `}`
	}
	return `{"error":{"message":` + quote(message) + `,"type":` + quote(kind) + `,"param":null,"code":` + quote(kind) + `}}`
}

// Refuse is an answer with an error status.
func Refuse(f translate.Format, status int, kind, message string) Step {
	return Step{Status: status, Body: Error(f, status, kind, message)}
}

// ErrorIn is a 200 whose stream opens with an error. For Cohere, which has no such
// event, it is a stream that ends with one.
func ErrorIn(f translate.Format, kind, message string) Step {
	return Step{Events: []string{errorEvent(f, kind, message)}}
}

// errorEvent is an error within a stream.
func errorEvent(f translate.Format, kind, message string) string {
	switch f {
	case translate.Anthropic:
		return named("error", `{"type":"error","error":{"type":`+quote(kind)+`,"message":`+quote(message)+`},"request_id":"req_1"}`)
	case translate.Responses:
		return named("response.failed", `{"type":"response.failed","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"failed","error":{"code":`+quote(kind)+`,"message":`+quote(message)+`},"incomplete_details":null,"model":"m","output":[],"usage":null}}`)
	case translate.Gemini:
		return data(Error(f, 503, kind, message))
	case translate.Ollama:
		return Error(f, 0, kind, message) + "\n"
	case Cohere:
		return named("message-end", `{"type":"message-end","delta":{"finish_reason":"ERROR","error":`+quote(message)+`}}`)
	}
	return data(Error(f, 0, kind, message))
}

// Lifecycle is a stream that begins and says that it is alive, and then what comes
// is the caller's: its events can be added to.
func Lifecycle(f translate.Format) Step {
	events := opening(f)
	switch f {
	case translate.Gemini:
		events = []string{data(`{"candidates":[{"content":{"role":"model","parts":[]},"index":0}],"modelVersion":"m","responseId":"r1"}`)}
	case translate.Ollama:
		events = []string{delta(f, "")}
	case translate.Anthropic:
		events = append(events, named("ping", `{"type":"ping"}`))
	default:
		events = append(events, ": still there\n\n")
	}
	return Step{Events: events}
}

// Empty is a 200 that ends as an answer does and has nothing in it, with no
// reason for that.
func Empty(f translate.Format, stream bool) Step { return empty(f, stream, end) }

// LegalEmpty is an answer with nothing in it that the provider gives a reason for:
// the limit of its length was reached, as by reasoning that is not shown.
func LegalEmpty(f translate.Format, stream bool) Step { return empty(f, stream, limit) }

// Withheld is an answer with nothing in it because a filter kept it back. Ollama
// has no such reason; there it is as Empty.
func Withheld(f translate.Format, stream bool) Step { return empty(f, stream, filter) }

func empty(f translate.Format, stream bool, why stop) Step {
	a := Answer{Format: f, Input: 11}
	if !stream {
		return Step{Body: document(a, why)}
	}
	var events []string
	switch f {
	case translate.Responses:
		all := closing(a, why)
		events = append(opening(f)[:2], all[len(all)-1])
	case translate.Anthropic:
		events = append(opening(f)[:1], closing(a, why)[1:]...)
	case Cohere:
		events = append(opening(f)[:1], closing(a, why)[1:]...)
	default:
		events = append(opening(f), closing(a, why)...)
	}
	return Step{Events: events}
}
