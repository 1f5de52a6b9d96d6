package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/nine-router/nine-router/caddymodule/provider/egress"
)

// carrier is a proxy as far as a pool sees it.
type carrier struct {
	err   error // of reaching the proxy
	asked int
	got   string
}

func (c *carrier) RoundTrip(req *http.Request) (*http.Response, error) {
	c.asked++
	if req.Body != nil {
		b, _ := io.ReadAll(req.Body)
		c.got = string(b)
		req.Body.Close()
	}
	if c.err != nil {
		return nil, &net.OpError{Op: "proxyconnect", Err: c.err}
	}
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: req}, nil
}

func pool(carriers ...*carrier) *Pool {
	urls := make([]*url.URL, len(carriers))
	for i := range urls {
		urls[i] = &url.URL{Scheme: "socks5", Host: "proxy.invalid"}
	}
	i := -1
	return NewPool(urls, func(*url.URL) http.RoundTripper { i++; return carriers[i] })
}

func send(t *testing.T, rt http.RoundTripper) error {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://provider.example/", strings.NewReader("prompt"))
	resp, err := rt.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	return err
}

func TestAProxyThatFailsIsPassedOverForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := &carrier{err: errors.New("refused")}, &carrier{}
		p := pool(a, b)
		ask := func(wantA, wantB int) {
			t.Helper()
			a.asked, b.asked = 0, 0
			if err := send(t, p); err != nil || a.asked != wantA || b.asked != wantB {
				t.Errorf("%v, asked %d and %d times, want %d and %d", err, a.asked, b.asked, wantA, wantB)
			}
		}
		ask(1, 1)
		if b.got != "prompt" {
			t.Errorf("the second proxy was sent %q", b.got)
		}
		for _, rest := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			time.Sleep(rest - time.Second)
			ask(0, 1)
			time.Sleep(time.Second)
			ask(1, 1)
		}
		a.err = nil
		time.Sleep(5 * time.Minute)
		ask(1, 0)
		a.err = errors.New("again") // the count begins anew
		ask(1, 1)
		time.Sleep(30 * time.Second)
		ask(1, 1)
	})
}

func TestNoProxyMeansNoRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, direct := &carrier{err: errors.New("at secret:1")}, &carrier{err: errors.New("at secret:2")}, &carrier{}
		p := pool(a, b)
		for range 3 {
			err := send(t, p)
			var pe *ProxyError
			if !errors.As(err, &pe) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("got %v", err)
			}
		}
		// While both rest, the one that has rested longest is still tried.
		if a.asked != 3 || b.asked != 1 {
			t.Errorf("asked %d and %d times", a.asked, b.asked)
		}
		p.Direct = direct
		if err := send(t, p); err != nil || direct.asked != 1 || a.asked != 3 || direct.got != "prompt" {
			t.Errorf("where it is allowed to go without: %v, %+v", err, direct)
		}
	})
}

func TestARequestThatCannotBeRepeatedIsTriedOnce(t *testing.T) {
	t.Parallel()
	a, b := &carrier{err: errors.New("refused")}, &carrier{}
	req, _ := http.NewRequest(http.MethodPost, "http://provider.example/", io.NopCloser(strings.NewReader("prompt")))
	if _, err := pool(a, b).RoundTrip(req); err == nil || b.asked != 0 {
		t.Errorf("%v, the second was asked %d times", err, b.asked)
	}
}

// Through real proxies: each way in which one can fail before anything is sent
// goes on to the next, an answer or a break after that does not.
func TestProxies(t *testing.T) {
	t.Parallel()
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("the provider sees the proxy's password")
		}
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, "got "+string(b))
	})
	plain, secure := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()

	for name, c := range map[string]struct {
		first      string // URL of the first proxy
		remembered bool
	}{
		"closed port":         {"http://u:hunter2@" + closed, true},
		"closed socks":        {"socks5://u:hunter2@" + closed, true},
		"http password":       {"http://u:hunter2@" + httpProxy(t, "right", nil), true},
		"socks password":      {"socks5://u:hunter2@" + socksProxy(t, "right", 0), true},
		"socks unreachable":   {"socks5://u:hunter2@" + socksProxy(t, "hunter2", 4), false},
		"not a proxy, closes": {"socks5://u:hunter2@" + hangUp(t), true},
	} {
		for _, up := range []*httptest.Server{plain, secure} {
			for _, second := range []string{"http", "socks5", "socks5h"} {
				t.Run(name+"/"+up.URL[:5]+"/"+second, func(t *testing.T) {
					t.Parallel()
					used := new(atomic.Int32)
					next := second + "://u:right@"
					if second == "http" {
						next += httpProxy(t, "right", used)
					} else {
						next += socksProxyCounted(t, "right", 0, used)
					}
					firstUsed := new(atomic.Int32)
					p := through(t, up, Guard{Level: Private}, firstUsed, c.first, next)
					for range 2 {
						resp, err := post(t, p, up.URL)
						if err != nil {
							t.Fatal(err)
						}
						b, _ := io.ReadAll(resp.Body)
						resp.Body.Close()
						if string(b) != "got prompt" || used.Load() == 0 {
							t.Errorf("%q, the second proxy was used %d times", b, used.Load())
						}
					}
					if n := firstUsed.Load(); (n == 1) != c.remembered {
						t.Errorf("the first proxy was tried %d times", n)
					}
					n := used.Load()
					if _, err := post(t, p, up.URL+"/broken"); err == nil || errors.As(err, new(*ProxyError)) {
						t.Errorf("a provider that breaks off: %v", err)
					}
					if used.Load() > n+1 {
						t.Error("a request that was sent was sent again")
					}
					alone := through(t, up, Guard{Level: Private}, new(atomic.Int32), c.first)
					if _, err := post(t, alone, up.URL); !errors.As(err, new(*ProxyError)) || strings.Contains(err.Error(), "hunter2") {
						t.Errorf("alone: %v", err)
					}
				})
			}
		}
	}
}

// A proxy must not be a way around the guard for what is written as an address.
func TestAProxyDoesNotHideAnAddress(t *testing.T) {
	t.Parallel()
	used := new(atomic.Int32)
	proxy := "http://u:right@" + httpProxy(t, "right", used)
	up := httptest.NewServer(http.NotFoundHandler())
	defer up.Close()
	for _, target := range []string{up.URL, "http://localhost/", "http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/"} {
		if _, err := post(t, through(t, up, Guard{}, new(atomic.Int32), proxy), target); !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: %v", target, err)
		}
	}
	if _, err := post(t, through(t, up, Guard{Level: Private}, new(atomic.Int32), proxy), "http://169.254.169.254/"); !errors.Is(err, ErrBlocked) {
		t.Errorf("metadata at the private level: %v", err)
	}
	if used.Load() != 0 {
		t.Error("the proxy was asked")
	}
}

// A proxy that accepts and then says nothing does not hold the request for ever.
func TestAProxyThatSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent := roundTripper(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, context.Cause(req.Context())
		})
		good := &carrier{}
		i := 0
		p := NewPool([]*url.URL{{Scheme: "http"}, {Scheme: "http"}}, func(*url.URL) http.RoundTripper {
			if i++; i == 1 {
				return silent
			}
			return good
		})
		began := time.Now()
		if err := send(t, p); err != nil || time.Since(began) != 15*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := send(t, p); err != nil || time.Since(began) != 15*time.Second || good.asked != 2 {
			t.Errorf("the second time: %v after %v", err, time.Since(began))
		}
	})
}

// Who leaves while a proxy is being connected ends it: no other proxy is asked.
func TestTheClientLeavesDuringTheProxy(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	good := &carrier{}
	i := 0
	p := NewPool([]*url.URL{{Scheme: "http"}, {Scheme: "http"}}, func(*url.URL) http.RoundTripper {
		if i++; i == 1 {
			return roundTripper(func(req *http.Request) (*http.Response, error) {
				cancel()
				return nil, req.Context().Err()
			})
		}
		return good
	})
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/", nil)
	if _, err := p.RoundTrip(req); !errors.Is(err, context.Canceled) || good.asked != 0 {
		t.Errorf("%v, asked %d", err, good.asked)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func post(t *testing.T, rt http.RoundTripper, to string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader("prompt"))
	if err != nil {
		t.Fatal(err)
	}
	return rt.RoundTrip(req)
}

// through makes a pool of proxies; dials of the first are counted.
func through(t *testing.T, up *httptest.Server, g Guard, first *atomic.Int32, proxies ...string) *Pool {
	t.Helper()
	var urls []*url.URL
	for _, text := range proxies {
		u, err := ParseProxy(text)
		if err != nil {
			t.Fatal(err)
		}
		urls = append(urls, u)
	}
	n := 0
	p := NewPool(urls, func(u *url.URL) http.RoundTripper {
		n++
		counted, dial := n == 1, Guard{Level: Private}.Dialer(net.Dialer{})
		rt := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if counted {
				first.Add(1)
			}
			return dial(ctx, network, address)
		}}
		if c, ok := up.Client().Transport.(*http.Transport); ok && c.TLSClientConfig != nil {
			rt.TLSClientConfig = &tls.Config{RootCAs: c.TLSClientConfig.RootCAs}
		}
		Through(rt, g, u)
		return rt
	})
	t.Cleanup(p.CloseIdleConnections)
	return p
}

// listen serves connections until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

func hangUp(t *testing.T) string { return listen(t, func(net.Conn) {}) }

// join copies both ways until either side ends.
func join(a net.Conn, fromA io.Reader, b net.Conn) {
	go func() {
		io.Copy(b, fromA)
		b.Close()
	}()
	io.Copy(a, b)
}

// httpProxy is an HTTP proxy with the user u: it tunnels and forwards.
func httpProxy(t *testing.T, password string, used *atomic.Int32) string {
	t.Helper()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+password))
	return listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if req.Header.Get("Proxy-Authorization") != want {
			io.Copy(io.Discard, req.Body)
			io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		if used != nil {
			used.Add(1)
		}
		up, err := net.Dial("tcp", req.Host)
		if err != nil {
			io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
			return
		}
		defer up.Close()
		if req.Method == http.MethodConnect {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			join(c, in, up)
			return
		}
		req.Header.Del("Proxy-Authorization")
		req.Header.Set("Connection", "close")
		req.Write(up)
		io.Copy(c, up)
	})
}

func socksProxy(t *testing.T, password string, reply byte) string {
	return socksProxyCounted(t, password, reply, nil)
}

// socksProxyCounted is a SOCKS5 proxy with the user u that answers with reply.
func socksProxyCounted(t *testing.T, password string, reply byte, used *atomic.Int32) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		next := func(n int) []byte {
			b := make([]byte, n)
			io.ReadFull(in, b)
			return b
		}
		next(int(next(2)[1]))
		c.Write([]byte{5, 2})
		user := next(int(next(2)[1]))
		pass := next(int(next(1)[0]))
		if string(user) != "u" || string(pass) != password {
			c.Write([]byte{1, 1})
			return
		}
		c.Write([]byte{1, 0})
		var host string
		switch next(4)[3] {
		case 1:
			host = net.IP(next(4)).String()
		case 3:
			host = string(next(int(next(1)[0])))
		case 4:
			host = net.IP(next(16)).String()
		}
		p := next(2)
		c.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		if reply != 0 {
			return
		}
		if used != nil {
			used.Add(1)
		}
		up, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(host), Port: int(p[0])<<8 | int(p[1])})
		if err != nil {
			return
		}
		defer up.Close()
		join(c, in, up)
	})
}
