package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How long a proxy that failed is passed over: doubled from the first to the last
// with each failure in a row.
const (
	firstRest = 30 * time.Second
	lastRest  = 5 * time.Minute
)

// connectTime is how long one proxy may take until the provider is connected.
const connectTime = 15 * time.Second

// A ProxyError says that no proxy led to the provider and that nothing was sent to
// it. Its text has neither the proxy's address nor its password.
type ProxyError struct {
	reason string
	err    error
}

func (e *ProxyError) Error() string { return e.reason }

// Unwrap returns what the last proxy's transport said, which may have addresses.
func (e *ProxyError) Unwrap() error { return e.err }

// A Pool sends requests through the first of its proxies that works. It goes on to
// the next one only while nothing has been sent to the provider, so no request is
// ever carried out twice. A proxy that failed is passed over for a while; if all of
// them have, the one whose rest ends first is tried again.
type Pool struct {
	// Direct carries what no proxy could, where that is allowed. Nil is never:
	// who configures a proxy does not want to be seen without it.
	Direct http.RoundTripper

	// Now is the time. Nil is time.Now.
	Now func() time.Time

	members []*member
}

type member struct {
	rt    http.RoundTripper
	plain bool // an HTTP proxy, which answers requests for http:// itself

	mu    sync.Mutex
	fails int
	until time.Time
}

// NewPool makes a pool of proxies, each with the transport that goes through it.
func NewPool(proxies []*url.URL, via func(*url.URL) http.RoundTripper) *Pool {
	p := new(Pool)
	for _, u := range proxies {
		p.members = append(p.members, &member{rt: via(u), plain: strings.HasPrefix(u.Scheme, "http")})
	}
	return p
}

// RoundTrip sends a request through the first proxy that works.
func (p *Pool) RoundTrip(req *http.Request) (*http.Response, error) {
	failed := error(&ProxyError{reason: "there is no proxy"})
	tries := 0
	for _, m := range p.order() {
		if tries > 0 && !replayable(req) {
			return nil, failed
		}
		again, err := fresh(req, tries)
		if err != nil {
			return nil, err
		}
		tries++
		resp, err := p.try(m, again)
		if err == nil {
			return resp, nil
		}
		if failed = err; !errors.As(err, new(*ProxyError)) || req.Context().Err() != nil {
			return nil, err
		}
	}
	if p.Direct == nil || tries > 0 && !replayable(req) {
		if tries == 0 && req.Body != nil {
			req.Body.Close()
		}
		return nil, failed
	}
	again, err := fresh(req, tries)
	if err != nil {
		return nil, err
	}
	return p.Direct.RoundTrip(again)
}

// order returns the proxies to try: those that are not resting, else the one that
// has rested longest, unless there is another way.
func (p *Pool) order() []*member {
	now := p.now()
	ready := make([]*member, 0, len(p.members))
	var next *member
	var until time.Time
	for _, m := range p.members {
		m.mu.Lock()
		rest := m.until
		m.mu.Unlock()
		if !now.Before(rest) {
			ready = append(ready, m)
		} else if next == nil || rest.Before(until) {
			next, until = m, rest
		}
	}
	if len(ready) == 0 && next != nil && p.Direct == nil {
		ready = append(ready, next)
	}
	return ready
}

var errSlow = errors.New("the connection took too long")

// try sends a request through one proxy. The error is a ProxyError as long as
// nothing was sent to the provider.
func (p *Pool) try(m *member, req *http.Request) (*http.Response, error) {
	var connected atomic.Bool
	ctx, cancel := context.WithCancelCause(req.Context())
	watch := time.AfterFunc(connectTime, func() { cancel(errSlow) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		connected.Store(true)
		watch.Stop()
	}})
	resp, err := m.rt.RoundTrip(req.WithContext(ctx))
	watch.Stop()
	switch {
	case err == nil && m.plain && resp.StatusCode == http.StatusProxyAuthRequired && req.URL.Scheme == "http":
		resp.Body.Close()
		cancel(nil)
		m.failed(p.now())
		return nil, &ProxyError{reason: "the proxy refused its user or password"}
	case err == nil:
		m.worked()
		// The response's body is read under the context, so it ends with it.
		resp.Body = &body{ReadCloser: resp.Body, done: cancel}
		return resp, nil
	}
	cancel(nil)
	switch {
	case errors.Is(err, ErrBlocked) && !proxyConnect(err), req.Context().Err() != nil, connected.Load():
		return nil, err
	case proxysFault(err):
		m.failed(p.now())
	}
	return nil, &ProxyError{reason: reason(err), err: err}
}

// proxysFault says that the proxy itself does not work, rather than the way from
// it to one provider.
func proxysFault(err error) bool {
	var refused *connectRefused
	if errors.As(err, &refused) {
		return refused.status == http.StatusProxyAuthRequired
	}
	// A SOCKS proxy's own word on the provider comes as "unknown error …" with
	// the reason of https://www.rfc-editor.org/rfc/rfc1928#section-6.
	var op *net.OpError
	if errors.As(err, &op) && strings.HasPrefix(op.Op, "socks") {
		return op.Err == nil || !strings.HasPrefix(op.Err.Error(), "unknown error ")
	}
	return errors.Is(err, errSlow) || proxyConnect(err)
}

func proxyConnect(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "proxyconnect"
}

func reason(err error) string {
	var refused *connectRefused
	switch {
	case errors.As(err, &refused) && refused.status == http.StatusProxyAuthRequired:
		return "the proxy refused its user or password"
	case errors.As(err, &refused):
		return "the proxy refused to connect to the provider"
	case proxyConnect(err):
		return "the proxy could not be reached"
	}
	return "the proxy did not connect to the provider"
}

// connectRefused is a proxy's answer to CONNECT that is not 200.
type connectRefused struct{ status int }

func (e *connectRefused) Error() string { return http.StatusText(e.status) }

func (m *member) failed(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Before(m.until) {
		return // failed together with others: that is one failure
	}
	m.until = now.Add(min(firstRest<<min(m.fails, 10), lastRest))
	m.fails++
}

func (m *member) worked() {
	m.mu.Lock()
	m.fails, m.until = 0, time.Time{}
	m.mu.Unlock()
}

func (p *Pool) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// replayable says that the request can be sent again.
func replayable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// fresh returns the request with a body that nobody has read.
func fresh(req *http.Request, tries int) (*http.Request, error) {
	if tries == 0 || req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	b, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again := req.WithContext(req.Context())
	again.Body = b
	return again, nil
}

// body lets go of the attempt's context when it is closed.
type body struct {
	io.ReadCloser
	done context.CancelCauseFunc
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.done(nil)
	return err
}

// CloseIdleConnections closes what is kept open through the proxies.
func (p *Pool) CloseIdleConnections() {
	for _, m := range p.members {
		if c, ok := m.rt.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}
