package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// A Level says which addresses a provider may be at.
type Level uint8

// The levels.
const (
	Public  Level = iota // only public addresses
	Private              // those of this machine and of private networks as well
)

// ErrBlocked is what every Blocked is.
var ErrBlocked = errors.New("address is not allowed")

// Blocked is the error of a dial that the guard refused. It says what class of an
// address it was, not which: a name on the outside must not tell what is inside.
type Blocked struct{ Class Class }

// Error says what can be done about it, if something can.
func (e *Blocked) Error() string {
	switch e.Class {
	case Loopback:
		return "the provider's name leads to this machine itself (a loopback address): that is only allowed for a provider marked private"
	case PrivateUse:
		return "the provider's name leads to an address of a private network: that is only allowed for a provider marked private"
	case Own:
		return "the provider's name leads to where this server takes its own orders: that is never allowed"
	}
	return fmt.Sprintf("the provider's name leads to a %s address: that is never allowed", e.Class)
}

// Is makes every Blocked an ErrBlocked.
func (*Blocked) Is(target error) bool { return target == ErrBlocked }

// A Guard judges the addresses that are dialled. It is not changed once in use.
type Guard struct {
	Level Level
	// Own are addresses that are never dialled: where this server takes orders.
	// An unspecified IP address is any of this machine's loopback addresses.
	Own []netip.AddrPort
}

// Check returns a Blocked if the address must not be dialled.
func (g Guard) Check(to netip.AddrPort) error {
	a := to.Addr().Unmap().WithZone("")
	class := Classify(a)
	switch class {
	case Global:
	case Loopback, PrivateUse:
		if g.Level != Private {
			return &Blocked{class}
		}
	default:
		return &Blocked{class}
	}
	for _, own := range g.Own {
		at := own.Addr().Unmap()
		if own.Port() == to.Port() && (at == a || at.IsUnspecified() && class == Loopback) {
			return &Blocked{Own}
		}
	}
	return nil
}

// CheckHost judges a host as it is written. A name passes unless it can only be
// this machine's; a proxy resolves it, and where it leads is not seen here.
func (g Guard) CheckHost(host string) error {
	if a, err := parseAddr(host); err == nil {
		return g.Check(netip.AddrPortFrom(a, 0))
	}
	if g.Level != Private && LooksPrivate(host) {
		return &Blocked{Loopback}
	}
	return nil
}

// Control judges the address of a socket before it is connected. It is made for
// the ControlContext of a net.Dialer, which calls it behind the resolver.
func (g Guard) Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Blocked{Reserved}
	}
	return g.Check(to)
}

// A Dial connects, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Dialer returns the Dial of d under guard. A refusal is a bare Blocked: what
// net would wrap around it has the address.
func (g Guard) Dialer(d net.Dialer) Dial {
	d.ControlContext = g.Control
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, address)
		return conn, bare(err)
	}
}

// Connected returns a Dial that judges where another one has led, before anything
// is sent. It is for one whose sockets cannot be reached; that something was
// connected for a moment is all that can come of it.
func (g Guard) Connected(dial Dial) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok {
			conn.Close()
			return nil, &Blocked{Reserved}
		}
		if err := g.Check(tcp.AddrPort()); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

func bare(err error) error {
	var b *Blocked
	if errors.As(err, &b) {
		return b
	}
	return err
}
