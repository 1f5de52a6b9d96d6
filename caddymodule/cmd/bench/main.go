// Command bench measures the gateway beside plain Caddy reverse_proxy: the same
// load through both in the same run, and the ratio. It tells CPU time for several
// kinds of work, memory of slow streams, how much later the first content comes,
// and how a process starts. Upstream, proxies and load are processes of this binary
// on loopback. It reads /proc, so it runs on Linux only.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/nine-router/nine-router/caddymodule"
)

const key = "nr-key-of-the-benchmark-run"

func main() {
	seconds := flag.Float64("seconds", 3, "load for each row and proxy")
	run := flag.String("run", "", "only rows whose name contains this")
	profile := flag.String("profile", "", "file for a CPU profile of the gateway")
	role := flag.String("role", "", "used by the program itself")
	at := flag.String("address", "", "used by the program itself")
	flag.Parse()
	var err error
	switch *role {
	case "upstream":
		err = http.ListenAndServe(*at, http.HandlerFunc(upstream))
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

// A table is what a run prints, with the rows that were asked for.
type table struct{ only string }

func (t table) wants(name string) bool { return strings.Contains(name, t.only) }

func (t table) print(name string, plain, ours float64, unit, goal string) {
	fmt.Printf("%-46s %10.2f %10.2f %6.2f×  %-16s %s\n", name, plain, ours, ours/plain, unit, goal)
}

func compare(d time.Duration, only, profile string) error {
	dir, err := os.MkdirTemp("", "nine-router-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ps := &processes{dir: dir}
	defer ps.end()
	up := address()
	if _, err := ps.start("", "-role", "upstream", "-address", up); err != nil {
		return err
	}
	if err := await(up); err != nil {
		return err
	}
	plain, err := ps.proxy("", "reverse_proxy "+up)
	if err != nil {
		return err
	}
	gateway := "nine_router {\n key bench " + key + "\n provider up {\n base_url http://" + up + "/v1\n }\n}"
	ours, err := ps.proxy(gateway, "nine_router", "-profile", profile)
	if err != nil {
		return err
	}
	t := table{only}
	fmt.Printf("%-46s %10s %10s %7s  %-16s %s\n", "", "Caddy", "ours", "ratio", "unit", "goal")
	if err := t.atRest(plain, ours); err != nil {
		return err
	}
	for _, r := range rows() {
		if !t.wants(r.name) {
			continue
		}
		// In turns, so that what else the machine does weighs on both alike.
		var a, b sample
		for range turns {
			if err := a.load(plain, r, d/turns); err != nil {
				return err
			}
			if err := b.load(ours, r, d/turns); err != nil {
				return err
			}
		}
		t.print(r.name, a.each(), b.each(), "µs CPU/"+r.unit, fmt.Sprintf("≤ %.1f×", r.goal))
	}
	if err := t.latency("http://"+up, plain, ours, d); err != nil {
		return err
	}
	// Last, in processes that have done nothing else: memory once taken is not
	// given back at once.
	return t.streams(ps, "reverse_proxy "+up, gateway)
}

// turns is how often the load changes from one proxy to the other and back.
const turns = 5

// atRest tells how the processes came up, and what they take with nothing to do.
func (t table) atRest(plain, ours proxy) error {
	if name := "start-up to the first answer"; t.wants(name) {
		t.print(name, plain.ready.Seconds()*1000, ours.ready.Seconds()*1000, "ms", "≤ 100 ms")
	}
	if name := "memory with nothing to do"; t.wants(name) {
		a, err := plain.memory()
		if err != nil {
			return err
		}
		b, err := ours.memory()
		if err != nil {
			return err
		}
		t.print(name, float64(a)/1024, float64(b)/1024, "MiB", "≤ 70 MiB")
	}
	return nil
}

func (t table) latency(direct string, plain, ours proxy, d time.Duration) error {
	name := "first content of a stream, added"
	if !t.wants(name) {
		return nil
	}
	var took [3]float64
	for i, url := range []string{direct, plain.url, ours.url} {
		var err error
		if took[i], err = untilContent(url, d); err != nil {
			return err
		}
	}
	t.print(name, took[1]-took[0], took[2]-took[0], "ms", "≤ 0.4 ms")
	return nil
}

func (t table) streams(ps *processes, plainSite, gateway string) error {
	name := fmt.Sprintf("%d slow streams", openStreams)
	if !t.wants(name) {
		return nil
	}
	var kib [2]float64
	for i, config := range [][2]string{{"", plainSite}, {gateway, "nine_router"}} {
		p, err := ps.proxy(config[0], config[1])
		if err != nil {
			return err
		}
		if kib[i], err = perStream(p); err != nil {
			return err
		}
	}
	t.print(name, kib[0], kib[1], "KiB/stream", "≤ 96 KiB")
	return nil
}
