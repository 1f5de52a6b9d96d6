package scripted_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nine-router/nine-router/caddymodule/gateway/scripted"
	"github.com/nine-router/nine-router/translate"
)

func TestMain(m *testing.M) {
	scripted.Main()
	goleak.VerifyTestMain(m)
}

// client asks without a connection that is kept, unless keep.
func client(t *testing.T, keep bool) *http.Client {
	tr := &http.Transport{DisableKeepAlives: !keep, DisableCompression: true,
		TLSHandshakeTimeout: 1500 * time.Millisecond} // which outlives the request
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

const asked = `{"model":"m","stream":true}`

func ask(t *testing.T, url string) (*http.Response, []byte, error) {
	t.Helper()
	resp, err := client(t, false).Post(url+"/v1/chat/completions", "application/json", strings.NewReader(asked))
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

// raw asks over a bare socket and returns every byte until the end.
func raw(t *testing.T, base string) (string, error) {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "POST %s/v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", u.Path)
	b, err := io.ReadAll(conn)
	return string(b), err
}

func TestEachRequestTakesTheNextStepAndTheLastOneHolds(t *testing.T) {
	t.Parallel()
	up := scripted.Start(t)
	up.Script("a/b", scripted.Step{Status: 503, Header: http.Header{"Retry-After": {"7"}}}, scripted.Step{Body: "{}"})
	for i, want := range []int{503, 200, 200} {
		resp, _, err := ask(t, up.URL("a/b"))
		if err != nil || resp.StatusCode != want || (resp.Header.Get("Retry-After") == "7") != (i == 0) {
			t.Errorf("request %d: %v %v", i, resp, err)
		}
	}
	got := up.Requests("a/b")
	if up.Count("a/b") != 3 || len(got) != 3 || up.Open("a/b") != 0 {
		t.Fatalf("%d counted, %d kept, %d open", up.Count("a/b"), len(got), up.Open("a/b"))
	}
	q := got[2]
	if q.Method != "POST" || q.Path != "/v1/chat/completions" || q.Header.Get("Content-Type") != "application/json" || string(q.Body) != asked || q.Step != 1 || q.Written == 0 || q.Done.IsZero() || !q.Left.IsZero() {
		t.Errorf("%+v", q)
	}
	up.Reset("a/b")
	if resp, _, _ := ask(t, up.URL("a/b")); up.Count("a/b") != 1 || resp.StatusCode != 503 {
		t.Error("it did not begin again")
	}
}

// A connection is kept, as it is with real providers, also after a stream and
// after an answer for which the client's leaving was watched.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	up := scripted.Start(t)
	slow := scripted.Good(translate.OpenAI, true, "slow")
	slow.Every = time.Millisecond
	up.Script("x", scripted.Auto(translate.OpenAI, "hi"), slow, scripted.Good(translate.OpenAI, false, "hi"), scripted.Step{Body: "{}", KeepAliveOff: true})
	c := client(t, true)
	var from []string
	for range 5 {
		resp, err := c.Post(up.URL("x")+"/v1", "", strings.NewReader(asked))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		from = append(from, fmt.Sprint(resp.Close))
	}
	if got := fmt.Sprint(from); got != "[false false false true true]" {
		t.Errorf("closed: %s", got)
	}
}

// What arrives, to the byte, and how it ends.
func TestEveryStageIsWhereItSays(t *testing.T) {
	t.Parallel()
	up := scripted.Start(t)
	const (
		status = "HTTP/1.1 200 OK\r\n"
		stream = status + "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
		one    = "5\r\none\n\n\r\n"
		two    = "5\r\ntwo\n\n\r\n"
		last   = "0\r\n\r\n"
	)
	events := func(change func(*scripted.Step)) scripted.Step {
		s := scripted.Step{Events: []string{"one\n\n", "two\n\n"}}
		change(&s)
		return s
	}
	type how func(*scripted.Step, scripted.Point)
	reset := func(s *scripted.Step, p scripted.Point) { s.Reset = p }
	hangUp := func(s *scripted.Step, p scripted.Point) { s.HangUp = p }
	for name, c := range map[string]struct {
		at   scripted.Point
		want string
	}{
		"request read": {scripted.At(scripted.RequestRead), ""},
		"status":       {scripted.At(scripted.StatusSent), status},
		"headers":      {scripted.At(scripted.HeadersSent), stream},
		"one event":    {scripted.AfterEvent(1), stream + one},
		"mid event":    {scripted.InEvent(2), stream + one + "2\r\ntw\r\n"},
		"all events":   {scripted.AfterEvent(2), stream + one + two},
	} {
		for end, do := range map[string]how{"reset": reset, "hang-up": hangUp} {
			name := name + " " + end
			up.Script(name, events(func(s *scripted.Step) { do(s, c.at) }))
			got, err := raw(t, up.URL(name))
			if got != c.want || errors.Is(err, syscall.ECONNRESET) != (end == "reset") {
				t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
			}
		}
	}
	for name, c := range map[string]struct {
		step scripted.Step
		want string
	}{
		"whole":          {events(func(s *scripted.Step) { s.KeepAliveOff = true }), strings.Replace(stream, "Transfer", "Connection: close\r\nTransfer", 1) + one + two + last},
		"cut":            {events(func(s *scripted.Step) { s.CutAfterBytes = 7 }), stream + one + "2\r\ntw\r\n"},
		"no end":         {events(func(s *scripted.Step) { s.NoEnd = true }), stream + one + two},
		"wrong length":   {scripted.Step{Body: "{}", WrongLength: 3}, status + "Content-Type: application/json\r\nContent-Length: 5\r\n\r\n{}"},
		"trailing":       {scripted.Step{Body: "{}", Trailing: "more", KeepAliveOff: true}, status + "Content-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}more"},
		"not HTTP":       {scripted.Step{NotHTTP: "220 mail\r\n"}, "220 mail\r\n"},
		"NDJSON":         {scripted.Step{Events: []string{"{}\n"}, KeepAliveOff: true}, status + "Content-Type: application/x-ndjson\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n" + last},
		"a line of 5 MB": {scripted.Step{LongLine: 5 << 20, ContentType: "x", CutAfterBytes: 20}, status + "Content-Type: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + `{"filler":"xxxxxxxxx` + "\r\n"},
	} {
		up.Script(name, c.step)
		if got, err := raw(t, up.URL(name)); got != c.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	for name, s := range map[string]scripted.Step{"accept": {Reset: scripted.At(scripted.Accept)}, "headers read": {Reset: scripted.At(scripted.HeadersRead)}} {
		up.Script(name, s, scripted.Step{Body: "{}"})
		if _, _, err := ask(t, up.URL(name)); err == nil {
			t.Errorf("reset at %s: no error", name)
		}
		got := up.Requests(name)
		if len(got) != 1 || len(got[0].Body) != 0 || (got[0].Method == "POST") != (name == "headers read") || got[0].Written != 0 {
			t.Errorf("reset at %s: %+v", name, got)
		}
		if _, body, err := ask(t, up.URL(name)); string(body) != "{}" || err != nil {
			t.Errorf("after a reset at %s: %q %v", name, body, err)
		}
	}
}

func TestConnectionsFailAsTheyShould(t *testing.T) {
	t.Parallel()
	up := scripted.Start(t)
	fails := func(name string, s scripted.Step, is func(error) bool, count int) {
		t.Helper()
		up.Script(name, s)
		_, _, err := ask(t, up.URL(name))
		if err == nil || !is(err) {
			t.Errorf("%s: %v", name, err)
		}
		if n := up.Count(name); n != count {
			t.Errorf("%s: counted %d", name, n)
		}
	}
	says := func(s string) func(error) bool {
		return func(err error) bool { return strings.Contains(err.Error(), s) }
	}
	fails("refused", scripted.Step{Refused: true}, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }, 0)
	fails("unknown authority", scripted.Step{TLS: scripted.TLSUntrusted}, says("certificate signed by unknown authority"), 1)
	fails("garbage", scripted.Step{TLS: scripted.TLSGarbage}, says("does not look like a TLS handshake"), 1)
	fails("hang-up", scripted.Step{TLS: scripted.TLSHangUp}, says("EOF"), 1)
	fails("endless headers", scripted.Step{EndlessHeaders: true}, says("exceeded"), 1)
	fails("damaged", scripted.Step{Body: "x", WrongLength: 1}, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }, 1)

	// Who trusts the certificate gets an answer.
	up.Script("secure", scripted.Step{TLS: scripted.TLSUntrusted, Body: "{}"})
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr}).Get(up.URL("secure") + "/v1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "{}" || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

func TestAStallHoldsUntilTheClientLeaves(t *testing.T) {
	t.Parallel()
	up := scripted.Start(t)
	ev := []string{"one\n\n", "two\n\n"}
	for name, s := range map[string]scripted.Step{
		"TLS":          {TLS: scripted.TLSStall},
		"accept":       {Stall: scripted.At(scripted.Accept)},
		"headers read": {Stall: scripted.At(scripted.HeadersRead)},
		"request read": {Stall: scripted.At(scripted.RequestRead)},
		"delay":        {Delay: time.Hour},
		"status":       {Stall: scripted.At(scripted.StatusSent)},
		"headers":      {Stall: scripted.At(scripted.HeadersSent), Events: ev},
		"event":        {Stall: scripted.AfterEvent(1), Events: ev},
		"mid event":    {Stall: scripted.InEvent(2), Events: ev},
		"between":      {Every: time.Hour, Events: ev},
		"drip":         {Drip: scripted.Drip{Bytes: 1, Every: time.Hour}, Body: "{}"},
		"endless line": {EndlessLine: true},
	} {
		up.Script(name, s)
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Millisecond)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, up.URL(name)+"/v1", strings.NewReader(asked))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client(t, false).Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		for deadline := time.Now().Add(5 * time.Second); up.Open(name) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: it does not see that the client left", name)
			}
		}
		if q := up.Requests(name)[0]; name != "TLS" && q.Left.IsZero() || q.Done.IsZero() {
			t.Errorf("%s: %+v", name, q)
		}
	}
	s := scripted.Step{Stall: scripted.AfterEvent(1), StallFor: 30 * time.Millisecond, Events: ev}
	up.Script("for a while", s)
	began := time.Now()
	if _, b, err := ask(t, up.URL("for a while")); string(b) != "one\n\ntwo\n\n" || err != nil || time.Since(began) < s.StallFor {
		t.Errorf("%q %v after %v", b, err, time.Since(began))
	}
}

func TestACompressedAnswerIsOne(t *testing.T) {
	t.Parallel()
	up := scripted.Start(t)
	up.Script("x", scripted.Step{Events: []string{"one\n\n", "two\n\n"}, Gzip: true})
	resp, b, err := ask(t, up.URL("x"))
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v %v", resp, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); string(plain) != "one\n\ntwo\n\n" || err != nil {
		t.Errorf("%q %v", plain, err)
	}
}

// The stream or the document is chosen as each format asks for it.
func TestAutoAnswersAsItWasAsked(t *testing.T) {
	t.Parallel()
	up := scripted.Start(t)
	up.Script("x", scripted.Step{Stream: &scripted.Step{Body: "stream"}, Document: &scripted.Step{Body: "document"}})
	for _, c := range []struct{ path, body, want string }{
		{"/v1/chat/completions", `{"stream":true}`, "stream"},
		{"/v1/chat/completions", `{"stream":false}`, "document"},
		{"/v1/messages", `{}`, "document"},
		{"/v1/api/chat", `{}`, "stream"},
		{"/v1/api/chat", `{"stream":false}`, "document"},
		{"/v1/models/m:streamGenerateContent?alt=sse", `{}`, "stream"},
		{"/v1/models/m:generateContent", `{}`, "document"},
	} {
		resp, err := client(t, false).Post(up.URL("x")+c.path, "", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != c.want {
			t.Errorf("%s %s: %s", c.path, c.body, b)
		}
	}
}

// Everything that is meant to be JSON is, and names do not come twice.
func TestTheCatalogueIsWellFormed(t *testing.T) {
	t.Parallel()
	for _, f := range scripted.Formats() {
		seen := map[string]bool{}
		for _, failure := range scripted.Failures(f) {
			if seen[failure.Name] || failure.Scope == "" || failure.Reason == "" || failure.StreamOnly && failure.DocumentOnly || failure.Told && !failure.StreamOnly || failure.Format != f {
				t.Errorf("%s: %+v", f, failure)
			}
			seen[failure.Name] = true
		}
		for _, status := range []int{400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 520, 524, 529} {
			if !seen[fmt.Sprint(status)] {
				t.Errorf("%s: no %d", f, status)
			}
		}
		for name, s := range map[string]scripted.Step{
			"good": scripted.Good(f, false, `"quoted"`), "good stream": scripted.Good(f, true, `a "quoted" word`),
			"empty": scripted.Empty(f, false), "empty stream": scripted.Empty(f, true), "limit": scripted.LegalEmpty(f, true),
			"withheld": scripted.Withheld(f, false), "lifecycle": scripted.Lifecycle(f), "error": scripted.ErrorIn(f, "k", "m"),
			"refusal": scripted.Refuse(f, 400, "k", `"m"`),
		} {
			if s.Body != "" && !json.Valid([]byte(s.Body)) {
				t.Errorf("%s %s: %s", f, name, s.Body)
			}
			for _, event := range s.Events {
				for line := range strings.Lines(event) {
					data, found := strings.CutPrefix(line, "data: ")
					if f == translate.Ollama {
						data, found = line, line != "\n"
					}
					if found && data != "[DONE]\n" && !json.Valid([]byte(data)) {
						t.Errorf("%s %s: %q", f, name, line)
					}
				}
			}
		}
	}
}

func TestRecordedErrorsAreRead(t *testing.T) {
	t.Parallel()
	list := scripted.RealErrors()
	if len(list) == 0 {
		t.Skip("recordings of provider traffic are not here")
	}
	s, ok := scripted.RealError("gemini/error/gemini-2-5-flash-bad-key.json")
	if !ok || s.Status != 400 || !strings.Contains(s.Body, "API_KEY_INVALID") || len(list) < 20 {
		t.Errorf("%v %d of %d", ok, s.Status, len(list))
	}
	judged := map[string]bool{}
	for _, f := range scripted.Formats() {
		for _, failure := range scripted.Failures(f) {
			judged[failure.Name] = true
		}
	}
	for _, r := range list {
		if !judged[r.Path] {
			t.Errorf("there is no verdict on %s", r.Path)
		}
		if r.Format == "" || r.Step.Body == "" {
			t.Errorf("%s is of no format", r.Path)
		}
	}
}

// orphan makes this test binary a parent that is killed.
const orphan = "NINE_ROUTER_SCRIPTED_ORPHAN"

// The upstream does not outlive a test that is killed.
func TestTheProcessEndsWithItsParent(t *testing.T) {
	if os.Getenv(orphan) != "" {
		up := scripted.Start(t)
		up.Script("x", scripted.Step{})
		fmt.Println("address", up.URL("x"))
		select {}
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self, "-test.run=^TestTheProcessEndsWithItsParent$")
	parent.Env = append(os.Environ(), orphan+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	address := ""
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		address, _ = strings.CutPrefix(lines.Text(), "address ")
		if !strings.HasPrefix(address, "http") {
			address = ""
		}
	}
	if _, _, err := ask(t, address); err != nil {
		t.Errorf("while the parent lives: %v", err)
	}
	parent.Process.Kill()
	parent.Wait()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, _, err := ask(t, address); errors.Is(err, syscall.ECONNREFUSED) {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("it outlives its parent: %v", err)
		}
	}
}

// No program has it in it.
func TestOnlyTestsImportIt(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{.Imports}}", "github.com/nine-router/nine-router/...").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if importer, imports, _ := strings.Cut(line, " "); strings.Contains(imports, "gateway/scripted") {
			t.Errorf("%s imports it", importer)
		}
	}
}
