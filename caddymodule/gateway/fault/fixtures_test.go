package fault

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What other projects recorded of real providers.
func TestRecordedErrors(t *testing.T) {
	t.Parallel()
	want := map[string]Fault{
		"openai-chat/error/azure-grok-4-1-fast-non-reasoning-context-too-long.json":         {Scope: Connection, Reason: RateLimited},
		"openai-chat/error/deepseek-chat-context-too-long.json":                             {Scope: Request, Reason: ContextLength},
		"openai-chat/error/groq-tool-regular-error.json":                                    {Scope: Model, Reason: ModelUnavailable},
		"openai-chat/error/mistral-small-latest-bad-key.json":                               {Scope: Connection, Reason: Unauthorized},
		"openai-chat/error/ollama-cloud-ollama-cloud-gpt-oss-120b-bad-key.json":             {Scope: Connection, Reason: Unauthorized},
		"openai-chat/error/openai-agents-and-tools-x2.json":                                 {Scope: Model, Reason: ModelUnavailable},
		"openai-chat/error/openai-web-search-tool-model-not-supported.json":                 {Scope: Request, Reason: Unsupported},
		"openai-chat/error/openrouter-claude-haiku-4-5-bad-key.json":                        {Scope: Connection, Reason: Unauthorized},
		"openai-chat/error/perplexity-sonar-context-too-long.json":                          {Scope: Request, Reason: ContextLength},
		"openai-responses/error/deepseek-responses-rejects-interleaved-function-calls.json": {Scope: Request, Reason: Rejected},
		"openai-responses/error/openai-gpt-5-nano-bad-key.json":                             {Scope: Connection, Reason: Unauthorized},
		"openai-responses/error/xai-grok-4-1-fast-non-reasoning-bad-key.json":               {Scope: Connection, Reason: Unauthorized},
		"anthropic-messages/error/anthropic-claude-haiku-4-5-bad-key.json":                  {Scope: Connection, Reason: Unauthorized},
		"anthropic-messages/error/anthropic-claude-haiku-4-5-context-too-long.json":         {Scope: Request, Reason: ContextLength},
		"anthropic-messages/error/anthropic-name-suggestion.json":                           {Scope: Model, Reason: ModelUnavailable},
		"gemini/error/gemini-2-5-flash-bad-key.json":                                        {Scope: Connection, Reason: Unauthorized},
		"gemini/error/gemini-2-5-flash-context-too-long.json":                               {Scope: Connection, Reason: RateLimited, After: 48 * time.Second},
		"gemini/error/gemini-name-suggestion-google.json":                                   {Scope: Model, Reason: ModelUnavailable},
		"gemini/error/vertex-fb-failure-http-error.json":                                    {Scope: Connection, Reason: Region},
		"gemini/error/vertex-fb-failure-iam-permission-denied.json":                         {Scope: Connection, Reason: Forbidden, ThisModel: true},
		"gemini/error/vertex-fb-failure-quota-exceeded.json":                                {Scope: Connection, Reason: RateLimited, ThisModel: true},
		"gemini/error/vertex-sees-multiple-images-google-x1.json":                           {Scope: Request, Reason: Unfetchable},
	}
	dir := os.Getenv("NINE_ROUTER_FIXTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "fixtures")
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Skipf("recordings of provider traffic are not here; set NINE_ROUTER_FIXTURES to their folder: %v", err)
	}
	var manifest struct {
		Files []struct {
			File, Format, Kind, Provider string
			HTTPStatus                   int `json:"http_status"`
		}
	}
	if err := json.Unmarshal(b, &manifest); err != nil {
		t.Fatal(err)
	}
	table := table(t)
	for _, f := range manifest.Files {
		if f.Kind != "error" {
			continue
		}
		body, err := os.ReadFile(filepath.Join(dir, f.File))
		if err != nil {
			t.Fatal(err)
		}
		got := table.Classify(answer(f.Format, f.Provider, f.HTTPStatus, string(body)), now)
		w, known := want[f.File]
		if !known {
			t.Errorf("%s: nobody has said whose fault it is; it is taken for %s %s", f.File, got.Scope, got.Reason)
			continue
		}
		delete(want, f.File)
		if got.Scope != w.Scope || got.Reason != w.Reason || got.After != w.After {
			t.Errorf("%s: got %s %s %v, want %s %s %v", f.File, got.Scope, got.Reason, got.After, w.Scope, w.Reason, w.After)
		}
	}
	for file := range want {
		t.Errorf("%s is not among the recordings", file)
	}
}
