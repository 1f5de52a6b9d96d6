package caddymodule

import (
	"net"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A site is where a handler stands, as far as its server tells: enough to show a
// person a URL.
type site struct {
	server *caddyhttp.Server
	prefix string
}

// url returns the address at which the gateway can be reached.
func (s site) url() string {
	scheme, host, port := "http", "localhost", ""
	if len(s.server.TLSConnPolicies) > 0 {
		scheme = "https"
	}
	for _, r := range s.server.Routes {
		for _, set := range r.MatcherSets {
			for _, m := range set {
				if hosts, ok := m.(caddyhttp.MatchHost); ok && len(hosts) > 0 {
					host = hosts[0]
				} else if hosts, ok := m.(*caddyhttp.MatchHost); ok && len(*hosts) > 0 {
					host = (*hosts)[0]
				}
			}
		}
	}
	if len(s.server.Listen) > 0 {
		if addr, err := caddy.ParseNetworkAddress(s.server.Listen[0]); err == nil {
			port = strconv.Itoa(int(addr.StartPort))
			if addr.Host != "" && host == "localhost" && !strings.HasPrefix(addr.Network, "unix") {
				host = addr.Host
			}
		}
	}
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return scheme + "://" + host + s.prefix
	}
	return scheme + "://" + net.JoinHostPort(host, port) + s.prefix
}
