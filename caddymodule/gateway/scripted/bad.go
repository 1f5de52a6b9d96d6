package scripted

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

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

// RealError is a recorded error of a provider: a path under the folder of
// fixtures, such as "gemini/error/gemini-2-5-flash-bad-key.json". It is false if
// there are no fixtures here.
func RealError(path string) (Step, bool) {
	for _, f := range RealErrors() {
		if f.Path == path {
			return f.Step, true
		}
	}
	return Step{}, false
}

// A Recording is an error that a provider once gave.
type Recording struct {
	Path   string
	Format translate.Format
	Step   Step
}

// recorded are the fixtures' words for the formats.
var recorded = map[string]translate.Format{
	"openai-chat": translate.OpenAI, "openai-responses": translate.Responses, "anthropic-messages": translate.Anthropic,
	"gemini": translate.Gemini, "ollama": translate.Ollama, "cohere": Cohere,
}

// RealErrors lists the recorded errors whose status is known. The folder is that
// in NINE_ROUTER_FIXTURES, or shared/fixtures beside the repository; if it is not
// there the list is empty.
func RealErrors() (list []Recording) {
	dir := os.Getenv("NINE_ROUTER_FIXTURES")
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "..", "shared", "fixtures")
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return nil
	}
	var manifest struct {
		Files []struct {
			File   string
			Format string
			Kind   string
			Status int `json:"http_status"`
		}
	}
	if err := json.Unmarshal(b, &manifest); err != nil {
		panic(fmt.Errorf("reading the manifest of the fixtures: %w", err))
	}
	for _, f := range manifest.Files {
		if f.Kind != "error" || f.Status < 400 {
			continue
		}
		body, err := os.ReadFile(filepath.Join(dir, f.File))
		if err != nil {
			panic(fmt.Errorf("reading a recorded error: %w", err))
		}
		list = append(list, Recording{f.File, recorded[f.Format], Step{Status: f.Status, Body: string(body)}})
	}
	return list
}
