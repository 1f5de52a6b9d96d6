package scripted

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody    = 64 << 20  // bytes of a request
	maxEndless = 256 << 20 // bytes of what is called endless
)

// errOver says that the connection is at its end.
var errOver = errors.New("over")

// A connection is one from a client, with the step that is being played on it.
type connection struct {
	raw  *net.TCPConn
	conn net.Conn // raw, or TLS over it
	in   *bufio.Reader

	sc     *script
	step   *Step
	record *Request

	out     []byte // not written yet
	done    int    // events
	sent    int    // bytes of the body
	chunked bool
	zip     *gzip.Writer
	zipped  bytes.Buffer

	left    chan struct{} // closed when the client hangs up; nil if nobody watches
	watcher chan struct{} // closed when the watcher has ended
}

// play answers one request. On an error the connection is at its end.
func (c *connection) play(req *http.Request) error {
	if err := c.at(HeadersRead, 0); err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody))
	if err != nil {
		return err
	}
	c.sc.note(func() { c.record.Body = body })
	if c.step.Stream != nil || c.step.Document != nil {
		chosen := c.step.Document
		if chosen == nil || c.step.Stream != nil && wantsStream(req, body) {
			chosen = c.step.Stream
		}
		c.step = chosen
	}
	if c.step.takesTime() {
		c.watch()
	}
	if err := c.at(RequestRead, 0); err != nil {
		return err
	}
	if err := c.wait(c.step.Delay); err != nil {
		return err
	}
	if c.step.NotHTTP != "" {
		c.out = append(c.out, c.step.NotHTTP...)
		c.flush()
		return errOver
	}
	if err := c.head(); err != nil {
		return err
	}
	if err := c.body(); err != nil {
		return err
	}
	c.out = append(c.out, c.step.Trailing...)
	c.sc.end(c.record) // before the client can know
	if err := c.flush(); err != nil {
		return err
	}
	if c.step.KeepAliveOff || c.step.NoEnd || c.step.WrongLength != 0 || req.Close {
		return errOver
	}
	return nil
}

// wantsStream reads from a request of any format whether it asks for a stream.
func wantsStream(req *http.Request, body []byte) bool {
	switch {
	case strings.Contains(req.URL.Path, ":streamGenerateContent"):
		return true
	case strings.Contains(req.URL.Path, ":generateContent"):
		return false
	}
	var asked struct{ Stream *bool }
	json.Unmarshal(body, &asked)
	if asked.Stream == nil {
		return strings.Contains(req.URL.Path, "/api/") // Ollama streams unless it is told not to
	}
	return *asked.Stream
}

func (c *connection) head() error {
	s := c.step
	status := s.Status
	if status == 0 {
		status = http.StatusOK
	}
	c.out = fmt.Appendf(c.out, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	if err := c.at(StatusSent, 0); err != nil {
		return err
	}
	kind := s.ContentType
	stream := len(s.Events) > 0 || s.EndlessLine || s.LongLine > 0
	switch {
	case kind != "":
	case stream && len(s.Events) > 0 && strings.HasPrefix(s.Events[0], "{"):
		kind = "application/x-ndjson"
	case stream:
		kind = "text/event-stream"
	default:
		kind = "application/json"
	}
	c.out = fmt.Appendf(c.out, "Content-Type: %s\r\n", kind)
	if s.KeepAliveOff {
		c.out = append(c.out, "Connection: close\r\n"...)
	}
	if s.Gzip {
		c.out = append(c.out, "Content-Encoding: gzip\r\n"...)
		c.zipped.Reset()
		c.zip = gzip.NewWriter(&c.zipped)
	} else {
		c.zip = nil
	}
	for name, values := range s.Header {
		for _, v := range values {
			c.out = fmt.Appendf(c.out, "%s: %s\r\n", name, v)
		}
	}
	if s.EndlessHeaders {
		return c.endless([]byte("X-Filler: " + strings.Repeat("x", 4000) + "\r\n"))
	}
	c.chunked = stream || s.Gzip || s.NoEnd
	if c.chunked {
		c.out = append(c.out, "Transfer-Encoding: chunked\r\n\r\n"...)
	} else {
		c.out = fmt.Appendf(c.out, "Content-Length: %d\r\n\r\n", len(s.Body)+s.WrongLength)
	}
	return c.at(HeadersSent, 0)
}

func (c *connection) body() error {
	s := c.step
	if s.LongLine > 0 {
		event := []byte(`{"filler":"` + strings.Repeat("x", s.LongLine) + "\"}\n")
		if s.ContentType == "" || s.ContentType == "text/event-stream" {
			event = append(append([]byte("data: "), event...), '\n')
		}
		if err := c.piece(event); err != nil {
			return err
		}
	}
	events := s.Events
	if len(events) == 0 && s.Body != "" {
		events = []string{s.Body}
	}
	for i, event := range events {
		if i > 0 {
			if err := c.wait(s.Every); err != nil {
				return err
			}
		}
		b := []byte(event)
		if c.stops(MidEvent, i+1) {
			if err := c.piece(b[:len(b)/2]); err != nil {
				return err
			}
			if err := c.at(MidEvent, i+1); err != nil {
				return err
			}
			b = b[len(b)/2:]
		}
		if err := c.piece(b); err != nil {
			return err
		}
		if err := c.at(AfterEvents, i+1); err != nil {
			return err
		}
	}
	if s.EndlessLine {
		if err := c.piece([]byte("data: ")); err != nil {
			return err
		}
		filler := bytes.Repeat([]byte("x"), 64<<10)
		return c.endless(append(append([]byte("10000\r\n"), filler...), "\r\n"...))
	}
	if c.zip != nil {
		c.zip.Close()
		c.chunk(c.zipped.Bytes())
		c.zip = nil
	}
	if c.chunked && !s.NoEnd {
		c.out = append(c.out, "0\r\n\r\n"...)
	}
	return nil
}

// piece writes bytes of the body, drop by drop if the step drips.
func (c *connection) piece(b []byte) error {
	cut := false
	if n := c.step.CutAfterBytes; n > 0 && c.sent+len(b) >= n {
		b, cut = b[:n-c.sent], true
	}
	for len(b) > 0 {
		drop := b
		if n := c.step.Drip.Bytes; n > 0 && n < len(b) {
			drop = b[:n]
		}
		b = b[len(drop):]
		c.sent += len(drop)
		if c.zip != nil {
			c.zip.Write(drop)
			c.zip.Flush()
			drop = c.zipped.Bytes()
		}
		c.chunk(drop)
		c.zipped.Reset()
		// A document goes out with its end, in one write, as servers do it.
		if c.chunked || c.step.Drip.Bytes > 0 || cut {
			if err := c.flush(); err != nil {
				return err
			}
		}
		if len(b) > 0 {
			if err := c.wait(c.step.Drip.Every); err != nil {
				return err
			}
		}
	}
	if cut {
		return errOver
	}
	return nil
}

// chunk frames bytes of the body.
func (c *connection) chunk(b []byte) {
	if !c.chunked || len(b) == 0 {
		c.out = append(c.out, b...)
		return
	}
	c.out = append(strconv.AppendInt(c.out, int64(len(b)), 16), "\r\n"...)
	c.out = append(append(c.out, b...), "\r\n"...)
}

func (c *connection) endless(piece []byte) error {
	for range maxEndless / len(piece) {
		c.out = append(c.out, piece...)
		if err := c.flush(); err != nil {
			return err
		}
	}
	return errOver
}

func (c *connection) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	// Counted first, so that nobody can see bytes that are not.
	c.sc.note(func() { c.record.Written += int64(len(c.out)) })
	n, err := c.conn.Write(c.out)
	if err != nil {
		c.sc.note(func() {
			c.record.Written -= int64(len(c.out) - n)
			if c.record.Left.IsZero() {
				c.record.Left = time.Now()
			}
		})
	}
	c.out = c.out[:0]
	return err
}

// stops says that something happens at the point.
func (c *connection) stops(s Stage, n int) bool {
	p := Point{s, n}
	return c.step.Stall == p || c.step.Reset == p || c.step.HangUp == p
}

// at does what the step has for a point of the answer.
func (c *connection) at(s Stage, n int) error {
	if !c.stops(s, n) {
		return nil
	}
	p := Point{s, n}
	if err := c.flush(); err != nil {
		return err
	}
	if c.step.Stall == p {
		if err := c.stall(); err != nil {
			return err
		}
	}
	if c.step.Reset == p {
		c.unwatch()
		c.sc.end(c.record)
		c.raw.SetLinger(0)
		c.raw.Close()
		return errOver
	}
	if c.step.HangUp == p {
		return errOver
	}
	return nil
}

func (c *connection) stall() error {
	if c.left == nil {
		// Before the request is read its bytes would be taken for the client's
		// end, so only the time is waited for, or all that it ever sends.
		if c.step.StallFor > 0 {
			time.Sleep(c.step.StallFor)
			return nil
		}
		io.Copy(io.Discard, c.raw)
		c.sc.note(func() { c.record.Left = time.Now() })
		return errOver
	}
	if c.step.StallFor > 0 {
		return c.wait(c.step.StallFor)
	}
	<-c.left
	return errOver
}

// wait lets time pass, unless the client leaves.
func (c *connection) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.left:
		return errOver
	case <-timer.C:
		return nil
	}
}

// watch waits for the client to hang up while it is being answered.
func (c *connection) watch() {
	left, ended := make(chan struct{}), make(chan struct{})
	c.left, c.watcher = left, ended
	record, sc := c.record, c.sc
	go func() {
		defer close(ended)
		_, err := c.in.Peek(1)
		if err == nil || isTimeout(err) {
			return // the next request, or unwatch
		}
		sc.note(func() {
			if record.Left.IsZero() {
				record.Left = time.Now()
			}
		})
		close(left)
	}()
}

// unwatch ends the watcher, so that the connection can be read again.
func (c *connection) unwatch() {
	if c.watcher == nil {
		return
	}
	c.conn.SetReadDeadline(time.Unix(1, 0))
	<-c.watcher
	c.conn.SetReadDeadline(time.Time{})
	c.watcher = nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
