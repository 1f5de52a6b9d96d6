// Package egress decides where requests may go and how they get there: which
// addresses may be dialled, which URLs name them, and which proxies are on the
// way. Names are never judged, only the addresses that they lead to at the moment
// of the dial: so a name that changes its mind and a redirect gain nothing.
package egress

import "net/netip"

// A Class is what kind of an address it is.
type Class string

// The classes of addresses. All but Global, Loopback and Private are never
// dialled.
const (
	Global      Class = "public"
	Loopback    Class = "loopback"
	PrivateUse  Class = "private"
	LinkLocal   Class = "link-local"
	Metadata    Class = "cloud metadata"
	Unspecified Class = "unspecified"
	Multicast   Class = "multicast"
	Reserved    Class = "reserved"
	// Own is an address at which this server itself takes orders.
	Own Class = "own"
)

// ranges are the addresses that are not global, the narrow before the wide.
// See https://www.iana.org/assignments/iana-ipv4-special-registry and
// https://www.iana.org/assignments/iana-ipv6-special-registry.
var ranges = []struct {
	prefix netip.Prefix
	class  Class
}{
	// What the machines of clouds ask for their credentials. Azure's is a public
	// address: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16.
	{netip.MustParsePrefix("169.254.169.254/32"), Metadata},
	{netip.MustParsePrefix("100.100.100.200/32"), Metadata},
	{netip.MustParsePrefix("192.0.0.192/32"), Metadata},
	{netip.MustParsePrefix("168.63.129.16/32"), Metadata},
	{netip.MustParsePrefix("fd00:ec2::/32"), Metadata},

	{netip.MustParsePrefix("0.0.0.0/32"), Unspecified},
	{netip.MustParsePrefix("0.0.0.0/8"), Reserved},
	{netip.MustParsePrefix("10.0.0.0/8"), PrivateUse},
	{netip.MustParsePrefix("100.64.0.0/10"), PrivateUse}, // carriers, and overlay networks
	{netip.MustParsePrefix("127.0.0.0/8"), Loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), LinkLocal},
	{netip.MustParsePrefix("172.16.0.0/12"), PrivateUse},
	{netip.MustParsePrefix("192.0.0.0/24"), Reserved},
	{netip.MustParsePrefix("192.0.2.0/24"), Reserved},
	{netip.MustParsePrefix("192.88.99.0/24"), Reserved},
	{netip.MustParsePrefix("192.168.0.0/16"), PrivateUse},
	{netip.MustParsePrefix("198.18.0.0/15"), PrivateUse}, // benchmarks, and local proxies that invent addresses
	{netip.MustParsePrefix("198.51.100.0/24"), Reserved},
	{netip.MustParsePrefix("203.0.113.0/24"), Reserved},
	{netip.MustParsePrefix("224.0.0.0/4"), Multicast},
	{netip.MustParsePrefix("240.0.0.0/4"), Reserved},

	{netip.MustParsePrefix("::/128"), Unspecified},
	{netip.MustParsePrefix("::1/128"), Loopback},
	{netip.MustParsePrefix("::/96"), Reserved},
	{netip.MustParsePrefix("64:ff9b:1::/48"), Reserved},
	{netip.MustParsePrefix("100::/64"), Reserved},
	{netip.MustParsePrefix("2001::/32"), Reserved}, // Teredo
	{netip.MustParsePrefix("2001:db8::/32"), Reserved},
	{netip.MustParsePrefix("fc00::/7"), PrivateUse},
	{netip.MustParsePrefix("fe80::/10"), LinkLocal},
	{netip.MustParsePrefix("fec0::/10"), PrivateUse},
	{netip.MustParsePrefix("ff00::/8"), Multicast},
}

// Prefixes whose addresses hold an IPv4 address that a router on the way unpacks:
// https://www.rfc-editor.org/rfc/rfc6052 and https://www.rfc-editor.org/rfc/rfc3056.
var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
	sixToIV = netip.MustParsePrefix("2002::/16")
)

// Classify returns the class of an address, of the IPv4 address within where it
// is one in disguise. One that holds a public address is PrivateUse: only who
// knows the network can say where its router sends it.
func Classify(a netip.Addr) Class {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return Unspecified
	}
	if within, ok := embedded(a); ok {
		if c := Classify(within); c != Global {
			return c
		}
		return PrivateUse
	}
	for i := range ranges {
		if ranges[i].prefix.Contains(a) {
			return ranges[i].class
		}
	}
	return Global
}

// embedded returns the IPv4 address that an IPv6 address carries.
func embedded(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToIV.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
