package egress_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	. "github.com/nine-router/nine-router/caddymodule/provider/egress"
)

// Which addresses are dialled at which level: p is both, l is only private, and
// n is never.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ level, addresses string }{
		{"p", `1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 172.15.255.255 172.32.0.0
			192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 168.63.129.15 ::ffff:8.8.8.8 2606:4700::1111 2001:4860:4860::8888`},
		{"l", `10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.1.2.3 127.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1
			198.18.0.1 198.19.255.255 ::1 fc00::1 fd12:3456::1 fec0::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a00:1
			64:ff9b::808:808 2002:7f00:1:: 2002:c0a8:1::1 2002:808:808::1`},
		{"n", `0.0.0.0 0.1.2.3 0.255.255.255 169.254.0.1 169.254.169.254 169.254.170.2 100.100.100.200 192.0.0.1 192.0.0.192 192.0.2.1
			192.88.99.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16 :: ::2 ::127.0.0.1
			fd00:ec2::254 fd00:ec2::253 fe80::1 fe80::1%eth0 febf::1 ff02::1 ff0e::1 100::1 2001::1 2001:db8::1 64:ff9b:1::7f00:1
			::ffff:169.254.169.254 ::ffff:0.0.0.0 ::ffff:168.63.129.16 64:ff9b::a9fe:a9fe 64:ff9b::6464:64c8 64:ff9b::a83f:8110
			2002:a9fe:a9fe:: 2002:6464:64c8::1 64:ff9b::0.0.0.0`},
	} {
		for _, text := range strings.Fields(c.addresses) {
			a := netip.MustParseAddr(text)
			to := netip.AddrPortFrom(a, 443)
			if err := (Guard{}).Check(to); (err == nil) != (c.level == "p") {
				t.Errorf("%s at the public level: %v", text, err)
			}
			if err := (Guard{Level: Private}).Check(to); (err == nil) != (c.level != "n") {
				t.Errorf("%s at the private level: %v", text, err)
			} else if err != nil && (!errors.Is(err, ErrBlocked) || strings.Contains(err.Error(), a.Unmap().String())) {
				t.Errorf("%s: the error is %v", text, err)
			}
			if got := LooksPrivate(text); got != (c.level == "l") {
				t.Errorf("LooksPrivate(%s) = %v", text, got)
			}
		}
	}
}

func TestWhereOrdersAreTakenIsNeverDialled(t *testing.T) {
	t.Parallel()
	g := Guard{Level: Private, Own: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:2019"), netip.MustParseAddrPort("10.0.0.5:99")}}
	for to, allowed := range map[string]bool{
		"127.0.0.1:2019": false, "[::1]:2019": false, "[::ffff:127.0.0.1]:2019": false, "127.9.9.9:2019": false, "10.0.0.5:99": false,
		"127.0.0.1:2020": true, "10.0.0.5:2019": true, "10.0.0.5:98": true, "10.0.0.6:99": true,
	} {
		if err := g.Check(netip.MustParseAddrPort(to)); (err == nil) != allowed {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// Every spelling of this machine is stopped when it is dialled, whatever reads it.
func TestDialsOfThisMachineAreStopped(t *testing.T) {
	t.Parallel()
	asked := new(atomic.Int32)
	up := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer up.Close()
	_, port, _ := net.SplitHostPort(up.Listener.Addr().String())
	for _, g := range []Guard{{}, {Level: Private}} {
		rt := &http.Transport{DialContext: g.Dialer(net.Dialer{})}
		wrapped := &http.Transport{DialContext: g.Connected((&net.Dialer{}).DialContext)}
		hosts := map[string]bool{"127.0.0.1": true, "localhost": true, "[::ffff:127.0.0.1]": true, "0.0.0.0": false, "[::]": false}
		for host, open := range hosts {
			req, _ := http.NewRequest(http.MethodGet, "http://"+host+":"+port, nil)
			for _, rt := range []*http.Transport{rt, wrapped} {
				if rt == wrapped && !open {
					continue // the kernel itself makes loopback of it: seen as that
				}
				resp, err := rt.RoundTrip(req)
				if err == nil {
					resp.Body.Close()
				}
				if want := open && g.Level == Private; (err == nil) != want {
					t.Errorf("%s at level %d: %v", host, g.Level, err)
				}
				if err != nil && (!errors.Is(err, ErrBlocked) || strings.Contains(err.Error(), "127.0")) {
					t.Errorf("%s: the error is %v", host, err)
				}
			}
		}
		rt.CloseIdleConnections()
		wrapped.CloseIdleConnections()
	}
	if n := asked.Load(); n != 6 {
		t.Errorf("asked %d times, want the 6 that the private level allows", n)
	}
}

// A name that is public first and this machine's at the next look gains nothing.
func TestANameThatChangesItsMind(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { t.Error("it was reached") }))
	defer up.Close()
	_, port, _ := net.SplitHostPort(up.Listener.Addr().String())
	answers := new(atomic.Int32)
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go serveDNS(there, func() [4]byte {
			if answers.Add(1) == 1 {
				return [4]byte{8, 8, 8, 8}
			}
			return [4]byte{127, 0, 0, 1}
		})
		return here, nil
	}}
	// What a check of the name before the request would see:
	first, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.test.")
	if err != nil || len(first) != 1 || (Guard{}).Check(netip.AddrPortFrom(first[0], 80)) != nil {
		t.Fatal("the first look:", first, err)
	}
	if n := answers.Load(); n != 1 {
		t.Fatalf("looked up %d times", n)
	}
	_, err = Guard{}.Dialer(net.Dialer{Resolver: resolver})(t.Context(), "tcp4", "rebind.test.:"+port)
	var b *Blocked
	if !errors.As(err, &b) || b.Class != Loopback || answers.Load() != 2 {
		t.Errorf("the second dial, after %d looks: %v", answers.Load(), err)
	}
}

// serveDNS answers one question for an address over a stream.
func serveDNS(conn net.Conn, answer func() [4]byte) {
	defer conn.Close()
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return
	}
	q := make([]byte, int(head[0])<<8|int(head[1]))
	if _, err := io.ReadFull(conn, q); err != nil {
		return
	}
	var m dnsmessage.Message
	if m.Unpack(q) != nil || len(m.Questions) != 1 {
		return
	}
	m.Response, m.Additionals = true, nil
	if m.Questions[0].Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: answer()},
		}}
	}
	b, _ := m.Pack()
	conn.Write(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...))
}
