package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// maxURL is the longest URL that is looked at, in bytes.
const maxURL = 2048

// ParseBase reads the base URL of a provider. What two programs could read in two
// ways is refused, and so is a host that no provider can be at. The host of what it
// returns is in lower case and ASCII, the path has no slash at its end. The errors
// do not quote the URL, which may hold a password where none belongs.
func ParseBase(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || len(base) > maxURL:
		return nil, errors.New("its base URL cannot be parsed")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("its base URL must begin with http:// or https://")
	case u.Host == "" || u.Opaque != "":
		return nil, errors.New("its base URL names no host")
	case u.User != nil || strings.ContainsAny(base, "?#"):
		return nil, errors.New("its base URL must have no user, query or fragment")
	case strings.Contains(base, `\`):
		return nil, errors.New("its base URL must have no backslash")
	case hasDots(u.Path):
		return nil, errors.New("its base URL must have no . or .. in its path")
	}
	if u.Host, err = hostPort(u); err != nil {
		return nil, fmt.Errorf("its base URL %w", err)
	}
	if err := (Guard{Level: Private}).CheckHost(u.Hostname()); err != nil {
		var b *Blocked
		if errors.As(err, &b) && b.Class != LinkLocal && b.Class != Metadata {
			return nil, fmt.Errorf("its base URL has a %s address, at which no provider may be", b.Class)
		}
		return nil, errors.New("its base URL is a link-local or metadata address")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// ParseProxy reads the URL of a proxy: http, https, socks5 or socks5h, with a user
// and password if it wants them. Both of the last resolve names at the proxy. Its
// errors do not quote the URL.
func ParseProxy(proxy string) (*url.URL, error) {
	u, err := url.Parse(proxy)
	switch {
	case err != nil || len(proxy) > maxURL:
		return nil, errors.New("the URL of a proxy cannot be parsed")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" && u.Scheme != "socks5h":
		return nil, errors.New("the URL of a proxy must begin with http://, https://, socks5:// or socks5h://")
	case u.Host == "" || u.Opaque != "":
		return nil, errors.New("the URL of a proxy names no host")
	case strings.Trim(u.Path, "/") != "" || strings.ContainsAny(proxy, `?#\`):
		return nil, errors.New("the URL of a proxy must end after its host and port")
	}
	if u.Host, err = hostPort(u); err != nil {
		return nil, fmt.Errorf("the URL of a proxy %w", err)
	}
	if err := (Guard{Level: Private}).CheckHost(u.Hostname()); err != nil {
		return nil, errors.New("the URL of a proxy has an address at which no proxy may be")
	}
	u.Path, u.RawPath = "", ""
	return u, nil
}

// hostPort returns the URL's host and port in the one form that is used.
func hostPort(u *url.URL) (string, error) {
	if strings.HasSuffix(u.Host, ":") {
		return "", errors.New("has a colon but no port")
	}
	port := u.Port()
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", errors.New("has a port that is not between 1 and 65535")
		}
		port = ":" + port
	}
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		a, err := netip.ParseAddr(host)
		if err != nil || a.Zone() != "" {
			return "", errors.New("has an IPv6 address that cannot be read or has a zone")
		}
		return "[" + a.String() + "]" + port, nil
	}
	host, err := asciiHost(host)
	return host + port, err
}

// asciiHost returns a host name in lower case and ASCII. Numbers that some
// resolvers take for an address and others do not are refused:
// https://url.spec.whatwg.org/#ends-in-a-number-checker.
func asciiHost(host string) (string, error) {
	for i := range len(host) {
		if host[i] < 0x80 {
			continue
		}
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return "", errors.New("has a host name that is not valid")
		}
		host = ascii
		break
	}
	host = strings.ToLower(host)
	if len(host) > 253 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" ||
		strings.HasPrefix(host, ".") || strings.Contains(host, "..") || host == "" {
		return "", errors.New("has a host name that is not valid")
	}
	bare := strings.TrimSuffix(host, ".")
	switch bare {
	case "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal":
		return "", errors.New("is a link-local or metadata address")
	}
	if last := bare[strings.LastIndexByte(bare, '.')+1:]; numeric(last) {
		if a, err := netip.ParseAddr(host); err != nil || !a.Is4() {
			return "", errors.New("has a host that is a number: write an IPv4 address as four decimal numbers")
		}
	}
	return host, nil
}

// numeric says that a label is a decimal, octal or hexadecimal number.
func numeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// hasDots says that a path has a segment that leads elsewhere.
func hasDots(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// LooksPrivate says that a host, as it is written, is this machine or an address
// of a private network: whoever wrote it meant it.
func LooksPrivate(host string) bool {
	if a, err := parseAddr(host); err == nil {
		c := Classify(a)
		return c == Loopback || c == PrivateUse
	}
	return isLocalhost(host)
}

// LooksLocal says that a host, as it is written, is this machine.
func LooksLocal(host string) bool {
	if a, err := parseAddr(host); err == nil {
		return Classify(a) == Loopback
	}
	return isLocalhost(host)
}

// isLocalhost says that a name is this machine's by definition:
// https://www.rfc-editor.org/rfc/rfc6761#section-6.3.
func isLocalhost(host string) bool {
	const name = "localhost"
	host = strings.TrimSuffix(host, ".")
	n := len(host) - len(name)
	return n >= 0 && strings.EqualFold(host[n:], name) && (n == 0 || host[n-1] == '.')
}

var errNoAddr = errors.New("not an address")

// parseAddr is netip.ParseAddr without the price of its error for names.
func parseAddr(host string) (netip.Addr, error) {
	if host == "" || strings.IndexByte(host, ':') < 0 && (host[len(host)-1] < '0' || host[len(host)-1] > '9') {
		return netip.Addr{}, errNoAddr
	}
	return netip.ParseAddr(host)
}
