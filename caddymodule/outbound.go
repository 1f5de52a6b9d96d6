package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/caddymodule/provider/egress"
	"github.com/nine-router/nine-router/store"
)

// Outbound is the way to a provider. It can be given for everything, for a
// provider and for a connection; the nearest counts.
type Outbound struct {
	// URLs of proxies: http, https, socks5 or socks5h. The first is used; when it
	// cannot be reached, the next one is, and it is left alone for a while. The
	// single word `none` undoes what is given further out. Use placeholders for
	// passwords. The names of providers are resolved by the proxy. What is given
	// for everything is not used for providers on this machine (localhost and
	// loopback addresses). Proxies in the environment are never used.
	// Default: none.
	Proxies []string `json:"proxies,omitempty"`

	// Whether a request fails when none of the proxies can be reached. Otherwise
	// it is sent without. Default: true.
	ProxyStrict *bool `json:"proxy_strict,omitempty"`
}

// noProxy is the word that undoes a wider list of proxies.
const noProxy = "none"

// maxProxies bounds a list of proxies.
const maxProxies = 32

// reveal resolves the placeholders of the proxies. No list is nil, and the word
// none stays.
func (o *Outbound) reveal(repl *caddy.Replacer, where string) ([]store.Secret, error) {
	var list []store.Secret
	for i, text := range o.Proxies {
		s, err := reveal(repl, fmt.Sprintf("%sproxy %d", where, i+1), text)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	if _, err := readProxies(list); err != nil {
		return nil, fmt.Errorf("%sproxy: %w", where, err)
	}
	return list, nil
}

// readProxies parses a list of proxies. The word none is the empty list.
func readProxies(list []store.Secret) ([]*url.URL, error) {
	if len(list) == 1 && list[0].Reveal() == noProxy {
		return nil, nil
	}
	if len(list) > maxProxies {
		return nil, fmt.Errorf("there are more than %d", maxProxies)
	}
	urls := make([]*url.URL, 0, len(list))
	for _, s := range list {
		if s.Reveal() == noProxy {
			return nil, errors.New(`"none" stands alone`)
		}
		u, err := egress.ParseProxy(s.Reveal())
		if err != nil {
			return nil, err
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// joined is the list as one text that can be compared.
func joined(list []store.Secret) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.Reveal()
	}
	if text := strings.Join(texts, "\n"); text != noProxy {
		return text
	}
	return ""
}

// private says that the operator allows the node to be within the own network: in
// so many words, or by writing such an address.
func (p *Provider) private() bool {
	if p.Private {
		return true
	}
	u, err := egress.ParseBase(p.BaseURL)
	return err == nil && egress.LooksPrivate(u.Hostname())
}

// outbound computes the ways to the providers.
func (a *App) outbound(ctx caddy.Context, repl *caddy.Replacer) (*Transports, error) {
	t := newTransports(adminAddresses())
	var err error
	if t.global, err = a.way(repl, "", way{strict: true}); err != nil {
		return nil, err
	}
	if t.global.base, err = loadBase(ctx, a, &a.TransportRaw); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if err := t.global.check(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		p := a.Providers[name]
		if p == nil {
			continue
		}
		w, err := p.way(repl, fmt.Sprintf("provider %q, ", name), t.global)
		if err != nil {
			return nil, err
		}
		if p.TransportRaw != nil {
			if w.base, err = loadBase(ctx, p, &p.TransportRaw); err != nil {
				return nil, fmt.Errorf("provider %q, transport: %w", name, err)
			}
		}
		if err := w.check(); err != nil {
			return nil, fmt.Errorf("provider %q: %w", name, err)
		}
		t.byProvider[name] = w
		for conn, c := range p.Connections {
			if c.ProxyStrict != nil {
				t.strict[declaredID(name, conn)] = *c.ProxyStrict
			}
			if w.base.http == nil && len(c.Proxies) > 0 && c.Proxies[0] != noProxy {
				return nil, fmt.Errorf("provider %q, connection %q: %w", name, conn, errNoProxies)
			}
		}
	}
	return t, nil
}

// declaredID is the id of a connection that stands in the configuration.
func declaredID(provider, connection string) string {
	return "declared:" + provider + "/" + connection
}

// A way is how a provider is reached, unless its connection says otherwise.
type way struct {
	base    *base
	proxies string // one a line
	near    bool   // the proxies are given for the provider itself
	strict  bool
}

// way returns what o makes of a wider way.
func (o *Outbound) way(repl *caddy.Replacer, where string, wider way) (way, error) {
	w := wider
	if len(o.Proxies) > 0 {
		list, err := o.reveal(repl, where)
		if err != nil {
			return w, err
		}
		w.proxies, w.near = joined(list), where != ""
	}
	if o.ProxyStrict != nil {
		w.strict = *o.ProxyStrict
	}
	return w, nil
}

var errNoProxies = errors.New("proxies need the transport http")

func (w way) check() error {
	if w.base.http == nil && w.proxies != "" {
		return errNoProxies
	}
	return nil
}

// A base is a transport module. Caddy's own is a pattern, from which the
// transports are made; any other is used as it is.
type base struct {
	http  *reverseproxy.HTTPTransport
	proxy func(*http.Request) (*url.URL, error) // the module's own; nil is none
	other http.RoundTripper
}

// loadBase loads the transport module of owner, or makes the default: the gateway
// bounds the time of answers itself, and a compressed stream would arrive in lumps.
func loadBase(ctx caddy.Context, owner any, raw *json.RawMessage) (*base, error) {
	var h *reverseproxy.HTTPTransport
	proxied := false
	if *raw == nil {
		off := false
		h = &reverseproxy.HTTPTransport{
			Compression: &off, KeepAlive: &reverseproxy.KeepAlive{MaxIdleConnsPerHost: 512},
			NetworkProxyRaw: json.RawMessage(noNetworkProxy),
		}
		if err := h.Provision(ctx); err != nil {
			return nil, err
		}
	} else {
		var err error
		if *raw, proxied, err = withoutEnvironment(*raw); err != nil {
			return nil, err
		}
		m, err := ctx.LoadModule(owner, "TransportRaw")
		if err != nil {
			return nil, err
		}
		var ok bool
		if h, ok = m.(*reverseproxy.HTTPTransport); !ok {
			rt, ok := m.(http.RoundTripper)
			if !ok {
				return nil, errors.New("it cannot carry requests")
			}
			return &base{other: rt}, nil
		}
	}
	b := &base{http: h}
	if proxied {
		b.proxy = h.Transport.Proxy
	}
	// Both open connections past the guard.
	if slices.Equal(h.Versions, []string{"3"}) {
		return nil, errors.New("providers cannot be reached over HTTP/3")
	}
	if h.Transport.DialTLSContext != nil {
		return nil, errors.New("proxy_protocol, and a placeholder in tls_server_name, have no meaning for providers")
	}
	return b, nil
}

const noNetworkProxy = `{"from":"none"}`

// withoutEnvironment keeps Caddy's HTTP transport from using the proxies of the
// environment, which is what it does if it names none: they would hide from the
// guard where requests go. It also says whether the transport names one.
func withoutEnvironment(raw json.RawMessage) (json.RawMessage, bool, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, false, fmt.Errorf("reading its configuration: %w", err)
	}
	if string(fields["protocol"]) != `"http"` {
		return raw, false, nil
	}
	if fields["network_proxy"] != nil || fields["forward_proxy_url"] != nil {
		return raw, true, nil
	}
	fields["network_proxy"] = json.RawMessage(noNetworkProxy)
	raw, err := json.Marshal(fields)
	return raw, false, err
}

// dial connects under guard, as the module would.
func (b *base) dial(g egress.Guard) egress.Dial {
	h := b.http
	if h.LocalAddress != "" || h.Resolver != nil || h.ReadTimeout != 0 || h.WriteTimeout != 0 {
		return g.Connected(h.Transport.DialContext)
	}
	probe := time.Duration(h.KeepAlive.ProbeInterval)
	return g.Dialer(net.Dialer{
		Timeout: time.Duration(h.DialTimeout), FallbackDelay: time.Duration(h.FallbackDelay), KeepAlive: probe,
		KeepAliveConfig: net.KeepAliveConfig{Enable: probe > 0, Interval: probe},
	})
}

// fresh returns a transport like the module's that shares no connections with it.
// HTTP/2 of a clone would be the original's, proxies and all.
func (b *base) fresh() *http.Transport {
	rt := b.http.Transport.Clone()
	rt.TLSNextProto, rt.Proxy = nil, nil
	rt.ForceAttemptHTTP2 = slices.Contains(b.http.Versions, "2")
	if rt.Protocols != nil {
		rt.Protocols.SetHTTP2(true)
	}
	return rt
}

// direct makes the transport without proxies, but for the module's own.
func (b *base) direct(g egress.Guard) http.RoundTripper {
	if b.http == nil {
		return b.other
	}
	rt := b.fresh()
	rt.DialContext = b.dial(g)
	if b.proxy != nil {
		toProxy := b.dial(egress.Guard{Level: egress.Private, Own: g.Own})
		egress.Choose(rt, g, b.proxy, toProxy)
	}
	return rt
}

// via makes the transport through a proxy.
func (b *base) via(proxy *url.URL, g egress.Guard) http.RoundTripper {
	rt := b.fresh()
	rt.DialContext = b.dial(egress.Guard{Level: egress.Private, Own: g.Own})
	egress.Through(rt, g, proxy)
	return rt
}

// adminAddresses returns where Caddy's admin API listens by default. What is
// written for it in the configuration is not shown to apps.
func adminAddresses() []netip.AddrPort {
	addr, err := caddy.ParseNetworkAddressWithDefaults(caddy.DefaultAdminListen, "tcp", 2019)
	if err != nil || addr.IsUnixNetwork() {
		return nil
	}
	ip, err := netip.ParseAddr(addr.Host)
	if err != nil || ip.IsLoopback() {
		ip = netip.IPv4Unspecified()
	}
	return []netip.AddrPort{netip.AddrPortFrom(ip, uint16(addr.StartPort))}
}

// level is which addresses a provider may be at.
func level(p *provider.Provider) egress.Level {
	if p.Private {
		return egress.Private
	}
	return egress.Public
}
