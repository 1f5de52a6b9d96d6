// Package scripted is for tests only: an upstream in a process of its own, on real
// sockets, that answers by script and can fail in every way a provider can. No
// other code imports it.
//
// The process is the test binary itself, started again:
//
//	func TestMain(m *testing.M) {
//		scripted.Main()
//		os.Exit(m.Run())
//	}
//
//	func TestX(t *testing.T) {
//		up := scripted.Start(t)
//		up.Script("first", scripted.Step{Status: 503}, scripted.Auto(translate.OpenAI, "Hello."))
//		// … a provider whose base URL is up.URL("first") + "/v1"
//		if up.Count("first") != 2 { … }
//	}
//
// A script is a list of steps. Each request takes the next one, and the last one
// holds for all that come after. HTTP is written by hand, so that a step says
// where in it the answer stops, and how.
package scripted

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// environment is the variable that makes a test binary the upstream's process.
const environment = "NINE_ROUTER_SCRIPTED_UPSTREAM"

// Main is the upstream's process, if this is it: it serves until its standard
// input ends and exits. Otherwise it does nothing. It is to be called first in
// TestMain.
func Main() {
	if os.Getenv(environment) == "" {
		return
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "scripted upstream:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// An Upstream is the running process, as its test sees it. Its methods are safe
// for concurrent use.
type Upstream struct {
	tb  testing.TB
	cmd *exec.Cmd

	mu  sync.Mutex // one command at a time
	in  io.WriteCloser
	out *bufio.Reader
}

// Start starts the process and ends it with the test. It ends on its own if the
// test's process is killed, because its standard input ends with that.
func Start(tb testing.TB) *Upstream {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatalf("finding the test binary: %v", err)
	}
	u := &Upstream{tb: tb, cmd: exec.Command(self)}
	// The race detector would wait for a second before the process ends.
	u.cmd.Env = append(os.Environ(), environment+"=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	var problems bytes.Buffer
	u.cmd.Stderr = &problems
	if u.in, err = u.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	out, err := u.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	u.out = bufio.NewReader(out)
	if err := u.cmd.Start(); err != nil {
		tb.Fatalf("starting the scripted upstream: %v", err)
	}
	tb.Cleanup(func() {
		u.in.Close()
		late := time.AfterFunc(5*time.Second, func() { u.cmd.Process.Kill() })
		defer late.Stop()
		if err := u.cmd.Wait(); err != nil || problems.Len() > 0 {
			tb.Errorf("the scripted upstream ended badly: %v\n%s", err, problems.Bytes())
		}
	})
	u.do(command{Op: opHello}) // or it is no process that calls Main
	return u
}

// Script sets what is answered under the name, from the next request on.
func (u *Upstream) Script(name string, steps ...Step) {
	u.tb.Helper()
	u.do(command{Op: opScript, Name: name, Steps: steps})
}

// URL is where the script is played, with no slash at its end. A script that
// begins before HTTP does (TLS, a refused connection, one that is reset when it is
// accepted) has a port of its own, so it is to be set first.
func (u *Upstream) URL(name string) string {
	u.tb.Helper()
	return u.do(command{Op: opURL, Name: name}).URL
}

// Requests lists what came for the script, the oldest first, and also those that
// are still being answered. It keeps the first 1,000.
func (u *Upstream) Requests(name string) []Request {
	u.tb.Helper()
	return u.do(command{Op: opRequests, Name: name}).Requests
}

// Count is how many steps of the script were played: requests, and connections
// that failed before there was one. What a refused port refused is not known.
func (u *Upstream) Count(name string) int {
	u.tb.Helper()
	return u.do(command{Op: opCount, Name: name}).Count
}

// Open is how many of the script's requests are being answered now.
func (u *Upstream) Open(name string) int {
	u.tb.Helper()
	return u.do(command{Op: opCount, Name: name}).Open
}

// Reset forgets what came for the script and begins it again.
func (u *Upstream) Reset(name string) {
	u.tb.Helper()
	u.do(command{Op: opReset, Name: name})
}

// A Request is what came from the gateway.
type Request struct {
	Method string // empty for a connection that failed before it had a request
	Path   string // with its query, without the script's name
	Header http.Header
	Body   []byte
	Came   time.Time

	Step    int       // which of the script's steps answered, from 0
	Written int64     // bytes that were written to the socket
	Done    time.Time // zero while it is being answered
	Left    time.Time // when the client was seen to hang up before the end; zero if it did not
	Problem string    // of a TLS handshake that failed
}

// The operations of the process.
const (
	opHello    = "hello"
	opScript   = "script"
	opURL      = "url"
	opRequests = "requests"
	opCount    = "count"
	opReset    = "reset"
)

// A command goes to the process as a line of JSON, and a reply comes back.
type command struct {
	Op    string
	Name  string `json:",omitempty"`
	Steps []Step `json:",omitempty"`
}

type reply struct {
	Err      string    `json:",omitempty"`
	URL      string    `json:",omitempty"`
	Requests []Request `json:",omitempty"`
	Count    int       `json:",omitempty"`
	Open     int       `json:",omitempty"`
}

func (u *Upstream) do(c command) (r reply) {
	u.tb.Helper()
	line, err := json.Marshal(c)
	if err != nil {
		u.tb.Fatalf("scripted upstream: %v", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, err = u.in.Write(append(line, '\n')); err == nil {
		if line, err = u.out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &r)
		}
	}
	if err != nil {
		u.tb.Fatalf("scripted upstream: %s %s: %v (does TestMain call scripted.Main?)", c.Op, c.Name, err)
	}
	if r.Err != "" {
		u.tb.Fatalf("scripted upstream: %s %s: %s", c.Op, c.Name, r.Err)
	}
	return r
}
