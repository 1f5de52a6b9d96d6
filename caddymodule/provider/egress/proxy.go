package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// Through makes a transport send everything through a proxy. A host that is
// written as an address is judged by g; a name is resolved by the proxy, and where
// that leads is the proxy's to say.
func Through(rt *http.Transport, g Guard, proxy *url.URL) {
	rt.Proxy = func(req *http.Request) (*url.URL, error) {
		if err := g.CheckHost(req.URL.Hostname()); err != nil {
			return nil, err
		}
		return proxy, nil
	}
	rt.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return &connectRefused{resp.StatusCode}
		}
		return nil
	}
}

// maxChosen bounds how many proxies Choose tells apart.
const maxChosen = 1024

// Choose makes a transport ask for a proxy with each request. Proxies are dialled
// by toProxy, providers by the transport's own DialContext, as what is dialled
// does not say what it is for.
func Choose(rt *http.Transport, g Guard, proxy func(*http.Request) (*url.URL, error), toProxy Dial) {
	var mu sync.RWMutex
	proxies := make(map[string]bool)
	direct := rt.DialContext
	rt.Proxy = func(req *http.Request) (*url.URL, error) {
		u, err := proxy(req)
		if err != nil {
			// The error may quote the URL, and with it a password.
			return nil, errors.New("the transport's proxy cannot be used")
		}
		if u == nil {
			return nil, nil
		}
		if err := g.CheckHost(req.URL.Hostname()); err != nil {
			return nil, err
		}
		at := dialled(u)
		mu.RLock()
		known := proxies[at]
		mu.RUnlock()
		if !known {
			mu.Lock()
			if len(proxies) < maxChosen {
				proxies[at] = true
			}
			mu.Unlock()
		}
		return u, nil
	}
	rt.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.RLock()
		known := proxies[address]
		mu.RUnlock()
		if known {
			return toProxy(ctx, network, address)
		}
		return direct(ctx, network, address)
	}
}

// dialled is what http.Transport dials for a proxy.
func dialled(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
