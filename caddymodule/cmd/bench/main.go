// Command bench measures the gateway beside plain Caddy reverse_proxy: the same
// load through both in the same run, CPU time of each process, and the ratio.
// Upstream, proxies and load are processes of this binary on loopback. It reads
// CPU time from /proc, so it runs on Linux only.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/nine-router/nine-router/caddymodule"
)

const (
	key     = "nr-key-of-the-benchmark-run"
	chunks  = 200 // of a stream
	clients = 16
)

func main() {
	seconds := flag.Float64("seconds", 3, "load for each row and proxy")
	run := flag.String("run", "", "rows whose name contains this")
	profile := flag.String("profile", "", "file for a CPU profile of the gateway")
	role := flag.String("role", "", "used by the program itself")
	address := flag.String("address", "", "used by the program itself")
	flag.Parse()
	var err error
	switch *role {
	case "upstream":
		err = http.ListenAndServe(*address, http.HandlerFunc(upstream))
	case "caddy":
		err = serve(*profile)
	default:
		err = compare(time.Duration(*seconds*float64(time.Second)), *run, *profile)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// serve runs the Caddyfile that comes on standard input until it is interrupted.
func serve(profile string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
	return nil
}

// upstream answers as an OpenAI provider does: a document of 1 KB, or a stream.
func upstream(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if !bytes.Contains(body[max(0, len(body)-64):], []byte(`"stream":true`)) && !bytes.Contains(body[:min(len(body), 256)], []byte(`"stream":true`)) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(document)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	for range chunks {
		w.Write(chunk)
		rc.Flush()
	}
	w.Write(last)
}

var (
	document = []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("All work. ", 75) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}}`)
	chunk = []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" and so on"},"logprobs":null,"finish_reason":null}]}` + "\n\n")
	last  = []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}}` + "\n\ndata: [DONE]\n\n")
)

// A row is one kind of work.
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
		{"stream of 200 chunks, same format", "/v1/chat/completions", chat("up/m", "x", 1, `,"stream":true`), chunks, "chunk", 1.5},
		{"stream of 200 chunks, Anthropic → OpenAI", "/v1/messages", chat("up/m", "x", 1, `,"max_tokens":9,"stream":true`), chunks, "chunk", 2},
		{"512 KB in 100 messages, same format", "/v1/chat/completions", `{"model":"up/m","messages":[` + strings.Join(many, ",") + `]}`, 1, "request", 1.7},
	}
}

// A proxy is a process under load.
type proxy struct {
	url string
	pid int
}

func compare(d time.Duration, run, profile string) error {
	dir, err := os.MkdirTemp("", "nine-router-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var started []*exec.Cmd
	defer func() {
		for _, c := range started {
			c.Process.Signal(os.Interrupt)
			c.Wait()
		}
	}()
	start := func(in string, args ...string) (*exec.Cmd, error) {
		c := exec.Command(os.Args[0], args...)
		c.Stdin, c.Stderr = strings.NewReader(in), io.Discard
		c.Env = append(os.Environ(), "DATA_DIR="+dir+"/data", "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		err := c.Start()
		if err == nil {
			started = append(started, c)
		}
		return c, err
	}
	address := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ""
		}
		defer l.Close()
		return l.Addr().String()
	}
	up := address()
	if _, err := start("", "-role", "upstream", "-address", up); err != nil {
		return err
	}
	make := func(global, site string, args ...string) (proxy, error) {
		at := address()
		c, err := start(fmt.Sprintf("{\n admin off\n auto_https off\n%s\n}\nhttp://%s {\n%s\n}\n", global, at, site), append(args, "-role", "caddy")...)
		if err != nil {
			return proxy{}, err
		}
		return proxy{"http://" + at, c.Process.Pid}, await(at)
	}
	plain, err := make("", "reverse_proxy "+up)
	if err != nil {
		return err
	}
	ours, err := make("nine_router {\n key bench "+key+"\n provider up {\n base_url http://"+up+"/v1\n }\n}", "nine_router", "-profile", profile)
	if err != nil {
		return err
	}
	fmt.Printf("%-44s %14s %14s %7s  %s\n", "work", "plain Caddy", "Nine Router", "ratio", "goal")
	for _, r := range rows() {
		if !strings.Contains(r.name, run) {
			continue
		}
		a, err := load(plain, r, d)
		if err != nil {
			return err
		}
		b, err := load(ours, r, d)
		if err != nil {
			return err
		}
		fmt.Printf("%-44s %11.2f µs %11.2f µs %6.2f×  ≤ %.1f× per %s\n", r.name, a, b, b/a, r.goal, r.unit)
	}
	return nil
}

func await(address string) error {
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	return fmt.Errorf("nobody listens at %s", address)
}

// load sends the row's requests for a while, and returns the CPU time that the
// proxy took for a unit, in microseconds.
func load(p proxy, r row, d time.Duration) (float64, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
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
		return 0, err
	}
	n.Store(0)
	before, err := cpu(p.pid)
	if err != nil {
		return 0, err
	}
	if err := run(d); err != nil {
		return 0, err
	}
	after, err := cpu(p.pid)
	if err != nil {
		return 0, err
	}
	return float64((after - before).Microseconds()) / float64(n.Load()) / float64(r.units), nil
}

func send(client *http.Client, url string, r row) error {
	req, err := http.NewRequest(http.MethodPost, url+r.path, strings.NewReader(r.body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
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

// tick is the unit of CPU time in /proc, see proc_pid_stat(5).
const tick = 10 * time.Millisecond

func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading CPU time: %w", err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading CPU time: unexpected form")
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, nil
}
