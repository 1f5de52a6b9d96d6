package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// An agent is a coding agent from npm, and how it is pointed at a gateway.
type agent struct {
	name string
	// tool is the one that writes a file, and arguments are for it.
	tool      string
	arguments func(path, content string) map[string]any
	// set writes its settings into home and returns the command and what it
	// needs in its environment.
	set func(t *testing.T, home, gateway string) (command, env []string)
}

const agentPrompt = "Write the two files, then tell me that you are done."

var agents = []agent{
	{"claude", "Write", func(path, content string) map[string]any {
		return map[string]any{"file_path": path, "content": content}
	},
		func(t *testing.T, home, url string) ([]string, []string) {
			return []string{"claude", "-p", agentPrompt, "--dangerously-skip-permissions", "--output-format", "text"},
				[]string{"ANTHROPIC_BASE_URL=" + url, "ANTHROPIC_AUTH_TOKEN=" + clientKey, "ANTHROPIC_MODEL=agent", "ANTHROPIC_SMALL_FAST_MODEL=agent",
					"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1", "DISABLE_AUTOUPDATER=1", "IS_SANDBOX=1", "CLAUDE_CODE_MAX_RETRIES=1"}
		}},
	{"codex", "exec_command", func(path, content string) map[string]any {
		return map[string]any{"cmd": "printf %s '" + content + "' > " + path}
	},
		func(t *testing.T, home, url string) ([]string, []string) {
			write(t, filepath.Join(home, ".codex", "config.toml"), codexConfig("agent", url))
			return []string{"codex", "exec", "--skip-git-repo-check", "--json", agentPrompt}, []string{"GW_KEY=" + clientKey}
		}},
	// With a model that it knows its one tool is in a namespace and takes a program.
	{"codex code", "functions/exec", func(path, content string) map[string]any {
		return map[string]any{"input": "const r = await tools.exec_command({cmd: \"printf %s '" + content + "' > " + path + "\"}); text(JSON.stringify(r));"}
	},
		func(t *testing.T, home, url string) ([]string, []string) {
			write(t, filepath.Join(home, ".codex", "config.toml"), codexConfig("gpt-6.1-sol", url))
			return []string{"codex", "exec", "--skip-git-repo-check", "--json", agentPrompt}, []string{"GW_KEY=" + clientKey}
		}},
	// Its built-in provider, which speaks over a socket where it can.
	{"codex socket", "exec_command", func(path, content string) map[string]any {
		return map[string]any{"cmd": "printf %s '" + content + "' > " + path}
	},
		func(t *testing.T, home, url string) ([]string, []string) {
			write(t, filepath.Join(home, ".codex", "config.toml"), `model = "agent"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[analytics]
enabled = false
`)
			return []string{"codex", "exec", "--skip-git-repo-check", "--json", "-c", "openai_base_url=" + url + "/v1", agentPrompt}, []string{"CODEX_API_KEY=" + clientKey}
		}},
	{"gemini", "write_file", func(path, content string) map[string]any {
		return map[string]any{"file_path": path, "content": content}
	},
		func(t *testing.T, home, url string) ([]string, []string) {
			write(t, filepath.Join(home, ".gemini", "settings.json"), `{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false},"telemetry":{"enabled":false},"general":{"enableAutoUpdate":false}}`)
			return []string{"gemini", "--yolo", "--skip-trust", "-m", "agent", "-p", agentPrompt}, []string{"GOOGLE_GEMINI_BASE_URL=" + url, "GEMINI_API_KEY=" + clientKey}
		}},
	{"qwen", "write_file", func(path, content string) map[string]any {
		return map[string]any{"file_path": path, "content": content}
	},
		func(t *testing.T, home, url string) ([]string, []string) {
			write(t, filepath.Join(home, ".qwen", "settings.json"), `{"security":{"auth":{"selectedType":"openai"}},"privacy":{"usageStatisticsEnabled":false}}`)
			return []string{"qwen", "--yolo", "-p", agentPrompt}, []string{"OPENAI_BASE_URL=" + url + "/v1", "OPENAI_API_KEY=" + clientKey, "OPENAI_MODEL=agent"}
		}},
	opencode("openai-compatible"), opencode("anthropic"), opencode("openai"),
}

func codexConfig(model, url string) string {
	return `model = "` + model + `"
model_provider = "gw"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.gw]
name = "gw"
base_url = "` + url + `/v1"
env_key = "GW_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
[analytics]
enabled = false
`
}

func opencode(sdk string) agent {
	return agent{"opencode " + sdk, "write", func(path, content string) map[string]any { return map[string]any{"filePath": path, "content": content} },
		func(t *testing.T, home, url string) ([]string, []string) {
			write(t, filepath.Join(home, "work", "opencode.json"), `{"provider":{"gw":{"npm":"@ai-sdk/`+sdk+`","options":{"baseURL":"`+url+`/v1","apiKey":"`+clientKey+`"},"models":{"agent":{"tool_call":true,"reasoning":true,"limit":{"context":100000,"output":8000}}}}},`+
				`"model":"gw/agent","small_model":"gw/agent","enabled_providers":["gw"],"permission":{"bash":"allow","edit":"allow"},"autoupdate":false}`)
			return []string{"opencode", "run", "-m", "gw/agent", agentPrompt},
				[]string{"OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_DEFAULT_PLUGINS=1", "OPENCODE_DISABLE_LSP_DOWNLOAD=1"}
		}}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A taskmaster is a provider whose model has an agent write two files, one call
// after the other, and is content then.
type taskmaster struct {
	format translate.Format
	agent  *agent
	dir    string

	mu     sync.Mutex
	broken []string
}

func (s *taskmaster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	codec := scripts[s.format].codec
	req, err := codec.DecodeRequest(body, translate.RequestOptions{})
	if err != nil {
		s.mu.Lock()
		s.broken = append(s.broken, err.Error())
		s.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		w.Write(codec.AppendError(nil, &translate.Error{Status: 400, Kind: translate.InvalidRequest, Message: err.Error()}))
		return
	}
	stream := req.Stream || strings.Contains(r.URL.Path, ":stream")
	results, tool := 0, false
	namespace, name, nested := strings.Cut(s.agent.tool, "/")
	if !nested {
		namespace, name = "", namespace
	}
	custom := nested && s.format == translate.Responses // elsewhere it is a function
	if nested && !custom {
		namespace, name = "", namespace+"__"+name
	}
	for _, m := range req.Messages {
		for _, p := range m.Parts {
			if p.Kind == translate.ToolResult {
				results++
			}
		}
	}
	for _, t := range req.Tools {
		tool = tool || t.Name == name && t.Namespace == namespace
	}
	enc := codec.NewEncoder(translate.EncodeOptions{Stream: stream, IncludeUsage: true, Model: "m", ID: fmt.Sprint("a", time.Now().UnixNano()), Created: 1})
	send := func(e translate.Event) { enc.Event(&e) }
	send(translate.Event{Kind: translate.AnswerStart, Name: "m"})
	stop := translate.StopEnd
	if tool && results < 2 {
		stop = translate.StopTools
		members := s.agent.arguments(filepath.Join(s.dir, fmt.Sprintf("file%d.txt", results+1)), fmt.Sprint("content ", results+1))
		arguments, _ := json.Marshal(members)
		if custom {
			arguments = []byte(members["input"].(string))
		}
		send(translate.Event{Kind: translate.BlockStart, Part: translate.ToolCall, ID: fmt.Sprintf("call_%d", results+1), Namespace: namespace, Name: name, Custom: custom})
		for _, piece := range []string{string(arguments[:7]), string(arguments[7:])} {
			send(translate.Event{Kind: translate.Delta, Part: translate.ToolCall, Text: piece, Custom: custom})
		}
		send(translate.Event{Kind: translate.BlockStop, Part: translate.ToolCall})
	} else {
		text := "Both files are written."
		if !tool { // titles, and questions about how hard the task is
			text = `{"title":"Files","complexity_reasoning":"simple","complexity_score":1}`
		}
		send(translate.Event{Kind: translate.BlockStart, Part: translate.Text})
		send(translate.Event{Kind: translate.Delta, Part: translate.Text, Text: text})
		send(translate.Event{Kind: translate.BlockStop, Part: translate.Text})
	}
	send(translate.Event{Kind: translate.UsageUpdate, Usage: &translate.Usage{Input: 100, Output: 10, HasInput: true, HasOutput: true}})
	send(translate.Event{Kind: translate.Finish, Stop: stop})
	send(translate.Event{Kind: translate.AnswerEnd})
	kind := "application/json"
	if stream && s.format == translate.Ollama {
		kind = "application/x-ndjson"
	} else if stream {
		kind = "text/event-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Write(enc.Bytes())
}

// The agents that people use do a task of several turns with tools through the
// gateway, whatever the provider speaks. They are installed by .ci/clients, which
// sets NINE_ROUTER_CLIENTS to where their commands are.
func TestAgentsDoTheirWork(t *testing.T) {
	bin := os.Getenv("NINE_ROUTER_CLIENTS")
	if bin == "" {
		t.Skip("the agents are not installed: run .ci/clients")
	}
	for i := range agents {
		a := &agents[i]
		for format := range clients {
			t.Run(fmt.Sprintf("%s→%s", a.name, format), func(t *testing.T) {
				home := t.TempDir()
				work := filepath.Join(home, "work")
				if err := os.MkdirAll(work, 0o755); err != nil {
					t.Fatal(err)
				}
				up := &taskmaster{format: format, agent: a, dir: work}
				r := start(t, func(o *gateway.Options) {
					o.Declared.Aliases = append(o.Declared.Aliases, store.Alias{Name: "agent", Model: "up1/m"},
						store.Alias{Name: "gemini-3.5-flash-lite", Model: "up1/m"}, store.Alias{Name: "gpt-6.1-sol", Model: "up1/m"})
				}, upstream{string(format), up.ServeHTTP})
				command, env := a.set(t, home, r.URL)
				ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
				defer cancel()
				cmd := exec.CommandContext(ctx, filepath.Join(bin, command[0]), command[1:]...)
				cmd.Dir, cmd.WaitDelay = work, 5*time.Second
				cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TERM=dumb", "NO_COLOR=1", "CI=1"}, env...)
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), "Both files are written.") {
					t.Errorf("%v\n%.3000s", err, out)
				}
				for n := 1; n <= 2; n++ {
					if b, _ := os.ReadFile(filepath.Join(work, fmt.Sprintf("file%d.txt", n))); strings.TrimSpace(string(b)) != fmt.Sprint("content ", n) {
						t.Errorf("file %d holds %q", n, b)
					}
				}
				if len(up.broken) > 0 {
					t.Errorf("the provider could not read: %q", up.broken)
				}
				if t.Failed() {
					for _, e := range r.logs.All() {
						if e.Message != "translated" {
							t.Log(e.Message, e.ContextMap())
						}
					}
				}
			})
		}
	}
}
