package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const clients = 16

// A row is one kind of work, of which the CPU time is told.
type row struct {
	name       string
	path, body string // to the gateway
	units      int    // that a request counts for
	unit       string
	goal       float64
}

func rows() []row {
	chat := func(model, text string, n int, tail string) string {
		message := `{"role":"user","content":"` + strings.Repeat(text, n) + `"}`
		return `{"model":"` + model + `","messages":[` + message + `]` + tail + `}`
	}
	kb := chat("up/m", "All work. ", 90, "")
	var many []string
	for range 100 {
		many = append(many, `{"role":"user","content":"`+strings.Repeat("All work and no play. ", 238)+`"}`)
	}
	return []row{
		{"plain chat, 1 KB", "/v1/chat/completions", kb, 1, "request", 1.5},
		{"stream of 200 chunks, same format", "/v1/chat/completions", chat("up/m", "x", 1, `,"stream":true`), chunks, "chunk", 1.2},
		{"stream of 200 chunks, Anthropic → OpenAI", "/v1/messages", chat("up/m", "x", 1, `,"max_tokens":9,"stream":true`), chunks, "chunk", 1.7},
		{"512 KB in 100 messages, same format", "/v1/chat/completions", `{"model":"up/m","messages":[` + strings.Join(many, ",") + `]}`, 1, "request", 1.5},
		{"agent's turn, 128 KB and 30 tools, translated", "/v1/messages", turn(), 1, "request", 2.5},
	}
}

// turn is what a coding agent sends in the middle of its work: instructions, 30
// tools, and a conversation of calls and what they gave, with code in it.
func turn() string {
	var tools, messages []string
	for i := range 30 {
		tools = append(tools, fmt.Sprintf(`{"name":"tool_%d","description":"%s","input_schema":{"type":"object","properties":{`+
			`"path":{"type":"string","description":"Where it is"},"limit":{"type":"integer","minimum":1},"mode":{"type":"string","enum":["read","write"]}},"required":["path"]}}`,
			i, strings.Repeat("It does one thing well. ", 30)))
	}
	const code = `func main() {\n\tfmt.Println(\"hello\")\n}\n\n// A comment says why it is so.\n`
	messages = append(messages, `{"role":"user","content":[{"type":"text","text":"Mend the test."}]}`)
	for i := range 20 {
		messages = append(messages,
			fmt.Sprintf(`{"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"toolu_%d","name":"tool_1","input":{"path":"main.go","limit":%d}}]}`, i, i+1),
			fmt.Sprintf(`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_%d","content":[{"type":"text","text":"%s"}]}]}`, i, strings.Repeat(code, 48)))
	}
	return `{"model":"up/m","max_tokens":1024,"system":[{"type":"text","text":"` + strings.Repeat("You write code with care. ", 600) + `"}],` +
		`"tools":[` + strings.Join(tools, ",") + `],"messages":[` + strings.Join(messages, ",") + `],"stream":true}`
}

// A sample is what a proxy took for a row.
type sample struct {
	cpu   time.Duration
	units int64
}

// each is the CPU time for a unit, in microseconds.
func (s *sample) each() float64 { return float64(s.cpu.Microseconds()) / float64(s.units) }

// load sends the row's requests for a while.
func (s *sample) load(p proxy, r row, d time.Duration) error {
	client := newClient(clients)
	defer client.CloseIdleConnections()
	var n atomic.Int64
	run := func(d time.Duration) error {
		var wg sync.WaitGroup
		errs := make(chan error, clients)
		end := time.Now().Add(d)
		for range clients {
			wg.Go(func() {
				for time.Now().Before(end) {
					if err := send(client, p.url, r); err != nil {
						errs <- err
						return
					}
					n.Add(1)
				}
			})
		}
		wg.Wait()
		select {
		case err := <-errs:
			return err
		default:
			return nil
		}
	}
	if err := run(d / 5); err != nil { // until it is warm
		return err
	}
	n.Store(0)
	before, err := p.cpu()
	if err != nil {
		return err
	}
	if err := run(d); err != nil {
		return err
	}
	after, err := p.cpu()
	if err != nil {
		return err
	}
	s.cpu += after - before
	s.units += n.Load() * int64(r.units)
	return nil
}

func newClient(n int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n, DisableCompression: true}}
}

func post(client *http.Client, url string, r row) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, url+r.path, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	return client.Do(req)
}

func send(client *http.Client, url string, r row) error {
	resp, err := post(client, url, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || len(b) < 500) {
		err = fmt.Errorf("%s answered %d: %.200s", r.name, resp.StatusCode, b)
	}
	if err == nil && resp.Header.Get("Content-Type") == "application/json" && !json.Valid(b) {
		err = fmt.Errorf("%s answered what is not JSON", r.name)
	}
	return err
}
