package scripted

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/nine-router/nine-router/translate"
)

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

// A verdict is whose fault a recorded error was, as people read it.
type verdict struct {
	scope, reason string
	retryable     bool
}

var (
	badKey       = verdict{"connection", "unauthorized", true}
	forbidden    = verdict{"connection", "forbidden", true}
	rateLimited  = verdict{"connection", "rate_limited", true}
	noModel      = verdict{"model", "model_unavailable", true}
	tooLongInput = verdict{"request", "context_length", true}
	notSupported = verdict{"request", "unsupported", true}
	rejected     = verdict{"request", "rejected", false}
)

// verdicts are those on the recorded errors, by path.
var verdicts = map[string]verdict{
	"anthropic-messages/error/anthropic-claude-haiku-4-5-bad-key.json":                  badKey,
	"anthropic-messages/error/anthropic-claude-haiku-4-5-context-too-long.json":         tooLongInput,
	"anthropic-messages/error/anthropic-name-suggestion.json":                           noModel,
	"gemini/error/gemini-2-5-flash-bad-key.json":                                        badKey,
	"gemini/error/gemini-2-5-flash-context-too-long.json":                               rateLimited, // tokens a minute; it names when to come again
	"gemini/error/gemini-name-suggestion-google.json":                                   noModel,
	"gemini/error/vertex-fb-failure-http-error.json":                                    {"connection", "region", true},
	"gemini/error/vertex-fb-failure-iam-permission-denied.json":                         forbidden,
	"gemini/error/vertex-fb-failure-quota-exceeded.json":                                rateLimited,
	"gemini/error/vertex-sees-multiple-images-google-x1.json":                           {"request", "unfetchable", true},
	"openai-chat/error/azure-grok-4-1-fast-non-reasoning-context-too-long.json":         rateLimited,
	"openai-chat/error/deepseek-chat-context-too-long.json":                             tooLongInput,
	"openai-chat/error/groq-tool-regular-error.json":                                    noModel,
	"openai-chat/error/mistral-small-latest-bad-key.json":                               badKey,
	"openai-chat/error/ollama-cloud-ollama-cloud-gpt-oss-120b-bad-key.json":             badKey,
	"openai-chat/error/openai-agents-and-tools-x2.json":                                 noModel,
	"openai-chat/error/openai-web-search-tool-model-not-supported.json":                 notSupported,
	"openai-chat/error/openrouter-claude-haiku-4-5-bad-key.json":                        badKey,
	"openai-chat/error/perplexity-sonar-context-too-long.json":                          tooLongInput,
	"openai-responses/error/deepseek-responses-rejects-interleaved-function-calls.json": rejected,
	"openai-responses/error/openai-gpt-5-nano-bad-key.json":                             badKey,
	"openai-responses/error/xai-grok-4-1-fast-non-reasoning-bad-key.json":               badKey,
}

// recordings are the recorded errors of a format on which there is a verdict.
func recordings(f translate.Format) (list []Failure) {
	for _, r := range RealErrors() {
		if v, ok := verdicts[r.Path]; ok && r.Format == f {
			list = append(list, Failure{Name: r.Path, Step: r.Step, Scope: v.scope, Reason: v.reason, Retryable: v.retryable, Status: r.Step.Status})
		}
	}
	return list
}
