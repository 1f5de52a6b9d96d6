package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/caddymodule/provider/egress"
	"github.com/nine-router/nine-router/store"
)

// ways makes what an app's configuration says about the ways to providers.
func ways(t *testing.T, config string) (*Transports, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	var a App
	if err := json.Unmarshal([]byte(config), &a); err != nil {
		t.Fatal(err)
	}
	tr, err := a.outbound(ctx, caddy.NewReplacer())
	if tr != nil {
		t.Cleanup(tr.CloseIdleConnections)
	}
	return tr, err
}

func mustWays(t *testing.T, config string) *Transports {
	t.Helper()
	tr, err := ways(t, config)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// node is a provider at a URL.
func node(t *testing.T, name, base string, private bool) *provider.Provider {
	t.Helper()
	p, err := provider.FromNode(store.Node{Name: name, BaseURL: base, Private: private})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(t *testing.T, rt http.RoundTripper, to string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", resp.Proto, " ", string(b)), err
}

// upstreamSite is a provider that answers.
func upstreamSite(t *testing.T) string {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "provider") }))
	t.Cleanup(up.Close)
	return up.URL
}

// proxyNamed is an HTTP proxy that answers itself, with its name.
func proxyNamed(t *testing.T, name string) string {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "through ", name, " to ", r.URL.Host)
	}))
	t.Cleanup(up.Close)
	return up.URL
}

func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestTheNearestProxyCounts(t *testing.T) {
	t.Parallel()
	g, p, c := proxyNamed(t, "global"), proxyNamed(t, "near"), proxyNamed(t, "own")
	tr := mustWays(t, fmt.Sprintf(`{"proxies":[%q],"providers":{"near":{"proxies":[%q]},"none":{"proxies":["none"]},"other":{}}}`, g, p))
	own := &store.Connection{ID: "1", Proxies: []store.Secret{store.NewSecret(c)}}
	without := &store.Connection{ID: "2", Proxies: []store.Secret{store.NewSecret("none")}}
	plain := &store.Connection{ID: "3"}
	up := upstreamSite(t)
	for _, x := range []struct {
		provider string
		c        *store.Connection
		want     string // empty is direct
	}{
		{"stored", nil, "global"}, {"stored", plain, "global"}, {"stored", own, "own"}, {"stored", without, ""},
		{"other", plain, "global"}, {"near", plain, "near"}, {"near", own, "own"}, {"near", without, ""},
		{"none", plain, ""}, {"none", nil, ""}, {"none", own, "own"},
	} {
		target, want := "http://provider.invalid/", "through "+x.want+" to provider.invalid"
		if x.want == "" {
			target, want = up, "provider"
		}
		// A name, not an address: that one of this machine is not proxied by the widest.
		got, err := ask(t, tr.For(node(t, x.provider, "http://provider.invalid", true), x.c), target)
		if err != nil || !strings.HasSuffix(got, want) {
			t.Errorf("%s with %v: %q %v, want %s", x.provider, x.c, got, err, want)
		}
	}
	// This machine is not beyond the widest proxy, but beyond one of its own.
	if got, err := ask(t, tr.For(node(t, "stored", up, true), plain), up); err != nil || !strings.HasSuffix(got, "provider") {
		t.Errorf("a provider on this machine: %q %v", got, err)
	}
	if got, err := ask(t, tr.For(node(t, "near", up, true), plain), up); err != nil || !strings.Contains(got, "through near") {
		t.Errorf("a provider on this machine with a proxy of its own: %q %v", got, err)
	}
	// A connection that is changed, saved or not, is reached as it says now.
	own.Proxies = []store.Secret{store.NewSecret(p)}
	if got, _ := ask(t, tr.For(node(t, "stored", "http://provider.invalid", false), own), "http://provider.invalid/"); !strings.Contains(got, "through near") {
		t.Errorf("after a change: %q", got)
	}
}

func TestAProxyIsNotBypassedUnlessThatIsSaid(t *testing.T) {
	t.Parallel()
	proxy := "http://u:hunter2@" + closedPort(t)
	up := upstreamSite(t)
	for name, x := range map[string]struct {
		config string
		direct bool
	}{
		"default":         {`{"proxies":[%q]}`, false},
		"off":             {`{"proxies":[%q],"proxy_strict":false}`, true},
		"on, nearer":      {`{"proxies":[%q],"proxy_strict":false,"providers":{"n":{"proxy_strict":true}}}`, false},
		"off, nearer":     {`{"proxies":[%q],"providers":{"n":{"proxy_strict":false}}}`, true},
		"off, connection": {`{"proxies":[%q],"providers":{"n":{"connections":{"c":{"proxy_strict":false}}}}}`, true},
		"on, connection":  {`{"proxies":[%q],"proxy_strict":false,"providers":{"n":{"connections":{"c":{"proxy_strict":true}}}}}`, false},
	} {
		tr := mustWays(t, fmt.Sprintf(x.config, proxy))
		p := node(t, "n", "http://provider.invalid", true)
		got, err := ask(t, tr.For(p, &store.Connection{ID: declaredID("n", "c")}), up)
		if (err == nil) != x.direct {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if err != nil && (!errors.As(err, new(*egress.ProxyError)) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "127.0.0.1")) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	// A stored proxy that cannot be read is not a reason to go without.
	bad := &store.Connection{ID: "b", Proxies: []store.Secret{store.NewSecret("ftp://u:hunter2@x")}}
	tr := mustWays(t, `{"proxy_strict":false}`)
	if got, err := ask(t, tr.For(node(t, "n", up, true), bad), up); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%q %v", got, err)
	}
}

func TestOnlyWhoIsPrivateMayLeadInside(t *testing.T) {
	t.Parallel()
	up := upstreamSite(t)
	u, _ := url.Parse(up)
	byName := "http://localhost:" + u.Port()
	for name, config := range map[string]string{
		"default": `{}`, "own http": `{"transport":{"protocol":"http"}}`, "own http that dials itself": `{"transport":{"protocol":"http","read_timeout":60000000000}}`,
		"provider's": `{"providers":{"n":{"transport":{"protocol":"http","dial_timeout":1000000000}}}}`,
	} {
		tr := mustWays(t, config)
		for _, base := range []string{up, byName} {
			if got, err := ask(t, tr.For(node(t, "n", base, true), nil), base); err != nil || !strings.HasSuffix(got, "provider") {
				t.Errorf("%s, private, %s: %q %v", name, base, got, err)
			}
			got, err := ask(t, tr.For(node(t, "n", base, false), nil), base)
			if !errors.Is(err, egress.ErrBlocked) || !strings.Contains(err.Error(), "marked private") || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("%s, public, %s: %q %v", name, base, got, err)
			}
		}
	}
	declared := func(p Provider) bool { return p.private() }
	if !declared(Provider{BaseURL: "http://10.0.0.1/v1"}) || !declared(Provider{BaseURL: "http://localhost/v1"}) || !declared(Provider{BaseURL: "http://box/v1", Private: true}) || declared(Provider{BaseURL: "http://box/v1"}) || declared(Provider{BaseURL: "http://169.254.169.254/"}) {
		t.Error("what the operator writes is not what is allowed")
	}
}

func TestCaddysAdminIsNeverAProvider(t *testing.T) {
	t.Parallel()
	own := adminAddresses()
	if len(own) != 1 {
		t.Fatal(own)
	}
	to := fmt.Sprintf("http://127.0.0.1:%d", own[0].Port())
	if _, err := ask(t, mustWays(t, `{}`).For(node(t, "n", to, true), nil), to); !errors.Is(err, egress.ErrBlocked) {
		t.Error(err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was followed") }))
	defer inside.Close()
	code := 0
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, code) }))
	defer up.Close()
	rt := mustWays(t, `{}`).For(node(t, "n", up.URL, true), nil)
	for _, code = range []int{301, 302, 303, 307, 308} {
		if got, err := ask(t, rt, up.URL); err != nil || !strings.HasPrefix(got, fmt.Sprint(code)) {
			t.Errorf("%d: %q %v", code, got, err)
		}
	}
}

// The environment of a server is not who says where requests go.
func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	used := proxyNamed(t, "environment")
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, used)
	}
	for _, config := range []string{
		`{}`, `{"transport":{"protocol":"http"}}`, `{"providers":{"n":{"transport":{"protocol":"http","read_timeout":60000000000}}}}`,
	} {
		rt := mustWays(t, config).For(node(t, "n", "http://provider.invalid", true), nil)
		proxied := rt.(*http.Transport).Proxy
		if proxied != nil {
			t.Errorf("%s: there is a proxy", config)
		}
		if got, err := ask(t, rt, "http://provider.invalid/"); err == nil {
			t.Errorf("%s: %q", config, got)
		}
	}
}

// A transport's own proxy is used where it is named, and dialled as one.
func TestTheTransportsOwnProxy(t *testing.T) {
	t.Parallel()
	proxy := proxyNamed(t, "network_proxy")
	tr := mustWays(t, fmt.Sprintf(`{"transport":{"protocol":"http","network_proxy":{"from":"url","url":%q}}}`, proxy))
	if got, err := ask(t, tr.For(node(t, "n", "http://provider.invalid", false), nil), "http://provider.invalid/"); err != nil || !strings.Contains(got, "through network_proxy to provider.invalid") {
		t.Errorf("%q %v", got, err)
	}
	if _, err := ask(t, tr.For(node(t, "n", "http://10.0.0.1", false), nil), "http://10.0.0.1/"); !errors.Is(err, egress.ErrBlocked) {
		t.Errorf("an address of a private network: %v", err)
	}
}

func TestTransportsThatCannotBeGuarded(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{"transport":{"protocol":"http","versions":["3"]}}`:                                                    "HTTP/3",
		`{"transport":{"protocol":"http","proxy_protocol":"v1","tls":{}}}`:                                      "proxy_protocol",
		`{"transport":{"protocol":"fastcgi"},"proxies":["http://x"]}`:                                           "need the transport http",
		`{"providers":{"p":{"transport":{"protocol":"fastcgi"},"proxies":["http://x"]}}}`:                       `provider "p": proxies need`,
		`{"proxies":["{env.NR_NOT_SET_ANYWHERE}"]}`:                                                             "proxy 1: the placeholder has no value",
		`{"providers":{"p":{"proxies":["socks4://u:hunter2@x"]}}}`:                                              `provider "p", proxy: the URL of a proxy must begin`,
		`{"proxies":["http://x","none"]}`:                                                                       "stands alone",
		`{"providers":{"p":{"transport":{"protocol":"fastcgi"},"connections":{"c":{"proxies":["http://x"]}}}}}`: `connection "c": proxies need`,
	} {
		_, err := ways(t, config)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", config, err, want)
		}
	}
}

// HTTP/2 works, and no two ways share its connections.
func TestHTTP2ThroughEachWay(t *testing.T) {
	t.Parallel()
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "provider") }))
	up.EnableHTTP2 = true
	up.StartTLS()
	defer up.Close()
	tunnels := new(atomic.Int32)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tunnels.Add(1)
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			t.Error(err)
			return
		}
		defer to.Close()
		w.WriteHeader(http.StatusOK)
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		go func() {
			io.Copy(to, buf)
			to.Close()
		}()
		io.Copy(conn, to)
	}))
	defer proxy.Close()
	tr := mustWays(t, `{"transport":{"protocol":"http","tls":{"insecure_skip_verify":true}}}`)
	p := node(t, "n", up.URL, true)
	c := &store.Connection{ID: "c", Proxies: []store.Secret{store.NewSecret(proxy.URL)}}
	for i, c := range []*store.Connection{nil, c, nil, c} {
		if got, err := ask(t, tr.For(p, c), up.URL); err != nil || got != "200 HTTP/2.0 provider" {
			t.Errorf("request %d: %q %v", i, got, err)
		}
	}
	if n := tunnels.Load(); n != 1 {
		t.Errorf("%d tunnels, want one that is used twice", n)
	}
	tr.CloseIdleConnections()
}

// Thousands of connections with few ways between them share few transports, and
// finding theirs costs nothing.
func TestConnectionsShareTransports(t *testing.T) {
	t.Parallel()
	tr := mustWays(t, `{"proxies":["http://global.invalid"],"providers":{"n":{}}}`)
	p := node(t, "n", "http://provider.invalid", false)
	var list []*store.Connection
	for i := range 5000 {
		c := &store.Connection{ID: fmt.Sprint("conn_", i)}
		if i%2 == 1 {
			c.Proxies = []store.Secret{store.NewSecret(fmt.Sprintf("http://proxy%d.invalid", i%10))}
		}
		list = append(list, c)
	}
	distinct := make(map[http.RoundTripper]bool)
	for _, c := range list {
		distinct[tr.For(p, c)] = true
	}
	if len(distinct) != 6 {
		t.Errorf("%d transports, want 6", len(distinct))
	}
}

func TestFindingATransportAllocatesNothing(t *testing.T) {
	tr := mustWays(t, `{"proxies":["http://global.invalid"],"providers":{"n":{}}}`)
	p := node(t, "n", "http://provider.invalid", false)
	for _, c := range []*store.Connection{nil, {ID: "a"}, {ID: "b", Proxies: []store.Secret{store.NewSecret("http://own.invalid")}}} {
		if n := testing.AllocsPerRun(100, func() { tr.For(p, c) }); n != 0 {
			t.Errorf("%v: %v allocations", c, n)
		}
	}
}
