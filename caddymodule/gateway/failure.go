package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider/egress"
	"github.com/nine-router/nine-router/translate"
)

// A failure is what the client is told when nothing is left to try.
type failure struct {
	err   *translate.Error
	fault fault.Fault
	// told says that the client has been answered already.
	told bool
	// cheap says that the provider has failed before it did any work and named no
	// time, so that the same is worth another try.
	cheap bool
	// unasked says that nobody was there to be asked.
	unasked bool
	// limits are those of the key that the client has come up against.
	limits http.Header
}

func refusal(err *translate.Error, reason string) *failure {
	return &failure{err: err, fault: fault.Fault{Scope: fault.Request, Reason: reason}}
}

func broken(reason, message string) *failure {
	return &failure{
		err:   &translate.Error{Status: http.StatusBadGateway, Kind: translate.ServerError, Code: "upstream_broken", Message: message},
		fault: fault.Fault{Scope: fault.Provider, Reason: reason},
	}
}

// final says that no other candidate is to be asked.
func (f *failure) final() bool {
	return f.told || f.fault.Scope == fault.Client || f.fault.Scope == fault.Gateway
}

// decides says that it is of no use to ask anybody else.
func (f *failure) decides() bool {
	return f.final() || f.fault.Scope == fault.Request && !f.fault.Elsewhere
}

// worse returns the failure that is more useful to the client. The soonest time
// at which anybody returns is kept, because that is when to try again.
func worse(a, b *failure) *failure {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	best, other := a, b
	if b.rank() > a.rank() {
		best, other = b, a
	}
	if after := other.fault.After; after > 0 && (best.fault.After == 0 || after < best.fault.After) && best.fault.Scope != fault.Request {
		best.fault.After = after
	}
	return best
}

// The ranks of failures by how much they tell the client of what it can do.
const (
	rankGateway = iota
	rankModel
	rankAccount
	rankProvider
	rankLimited
	rankRequest
)

func (f *failure) rank() int {
	switch f.fault.Scope {
	case fault.Request:
		return rankRequest
	case fault.Connection:
		if f.fault.Reason == fault.RateLimited {
			return rankLimited
		}
		return rankAccount
	case fault.Provider:
		return rankProvider
	case fault.Model:
		return rankModel
	}
	return rankGateway
}

// nobodyThere says that the provider as a whole is at fault, not one of its models:
// nobody answered who could say more.
func (f *failure) nobodyThere() bool {
	switch f.fault.Reason {
	case "unreachable", "tls_failed", "connect_timeout", "address_blocked", "proxy_failed":
		return true
	}
	return false
}

// verdict is what the failure means for who was asked.
func (f *failure) verdict() schedule.Verdict {
	v := schedule.Verdict{Reason: f.fault.Reason, After: f.fault.After, Pause: f.fault.Pause, Several: f.fault.Weak}
	switch f.fault.Scope {
	case fault.Model:
		v.Place = schedule.AtModel
	case fault.Connection:
		v.Place = schedule.AtConnection
		if f.fault.ThisModel {
			v.Place = schedule.AtModel
		}
	case fault.Provider:
		v.Place = schedule.AtTarget
		if f.nobodyThere() {
			v.Place = schedule.AtProvider
		}
	}
	return v
}

// operators turns a failure of the operator's account into what the client can
// understand: its own key is fine and there is nothing wrong with its request.
func (f *failure) operators() translate.Error {
	e := *f.err
	switch f.fault.Scope {
	case fault.Connection:
		if f.fault.Reason == "rate_limited" || f.fault.Reason == "set_aside" && e.Kind == translate.RateLimited {
			e.Status, e.Kind = http.StatusTooManyRequests, translate.RateLimited
			break
		}
		if f.fault.Reason != "set_aside" && f.fault.Reason != "proxy_failed" {
			e.Status, e.Kind = http.StatusServiceUnavailable, translate.Overloaded
			e.Message = "The provider refuses this gateway's account: " + e.Message
		}
	case fault.Model:
		if e.Status != http.StatusTooManyRequests && e.Status < 500 {
			e.Status, e.Kind = http.StatusNotFound, translate.NotFound
		}
	case fault.Provider:
		// Whatever status the provider chose for its own fault, it is not the
		// client's.
		if e.Status >= 500 && e.Status <= 599 {
			break
		}
		switch f.fault.Reason {
		case fault.Overloaded:
			e.Status, e.Kind = http.StatusServiceUnavailable, translate.Overloaded
		case fault.Timeout:
			e.Status, e.Kind = http.StatusGatewayTimeout, translate.Timeout
		default:
			e.Status, e.Kind = http.StatusBadGateway, translate.ServerError
		}
	}
	if e.Kind != f.err.Kind {
		e.Type, e.Details = "", "" // they say what it was, not what it is for the client
	}
	return e
}

// longAfter is how long a client is not expected to go on trying.
const longAfter = 5 * time.Minute

// hopeless says that the client need not send the same request again.
func (f *failure) hopeless() bool {
	return f.fault.Final || f.fault.After > longAfter
}

const reasonDeadline = "deadline"

// late is the failure of an exchange whose combo has no time left.
func late() *failure {
	return &failure{fault: fault.Fault{Scope: fault.Provider, Reason: reasonDeadline},
		err: &translate.Error{Status: http.StatusGatewayTimeout, Kind: translate.Timeout, Code: "upstream_timeout", Message: "The combo's time for a first content is over."}}
}

// classifyTransport says whose fault it was that no answer came, or no more of it.
func classifyTransport(ctx, client context.Context, err error) *failure {
	timeout := func(reason, message string) *failure {
		return &failure{fault: fault.Fault{Scope: fault.Provider, Reason: reason},
			err: &translate.Error{Status: http.StatusGatewayTimeout, Kind: translate.Timeout, Code: "upstream_timeout", Message: message}}
	}
	switch cause := context.Cause(ctx); {
	case client.Err() != nil && errors.Is(context.Cause(client), errExchangeTime):
		return timeout("exchange_timeout", "The request took longer than this gateway allows.")
	case client.Err() != nil:
		return clientLeft()
	case errors.Is(cause, errConnect):
		return timeout("connect_timeout", "The provider could not be reached in time.")
	case errors.Is(cause, errFirstContent):
		return timeout("first_content_timeout", "The provider sent no content in time.")
	case errors.Is(cause, errDeadline):
		return late()
	case errors.Is(cause, errSilence):
		return timeout("silence", "The provider fell silent.")
	case errors.Is(cause, errSlow):
		return timeout("too_slow", "The provider is slower than this gateway wants.")
	}
	reason, message := "broken_off", "The provider broke off."
	var op *net.OpError
	var proxy *egress.ProxyError
	switch {
	case isTLS(err):
		reason, message = "tls_failed", "No secure connection to the provider could be made."
	case errors.Is(err, egress.ErrBlocked):
		reason, message = "address_blocked", "The provider's address is one that this gateway may not reach."
	case errors.As(err, &proxy):
		reason, message = "proxy_failed", "The provider could not be reached through its proxy."
	case errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect" || op.Op == "socks connect"):
		reason, message = "unreachable", "The provider could not be reached."
	}
	f := broken(reason, message)
	f.err.Code = "upstream_unreachable"
	return f
}

func isTLS(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verify) ||
		errors.As(err, &record) || errors.As(err, &alert) || strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "TLS handshake")
}

func clientLeft() *failure {
	return &failure{
		err:   &translate.Error{Status: statusClientClosed, Kind: translate.Timeout, Message: "The client left."},
		fault: fault.Fault{Scope: fault.Client, Reason: "client_left"},
	}
}

// statusClientClosed is what nginx and Caddy log for a client that left.
const statusClientClosed = 499

// The causes for which an attempt is ended.
var (
	errConnect      = errors.New("no connection in time")
	errFirstContent = errors.New("no content in time")
	errDeadline     = errors.New("the combo's time is over")
	errSilence      = errors.New("silence between events")
	errExchangeTime = errors.New("exchange took too long")
	errSlow         = errors.New("too slow")
	errLost         = errors.New("another candidate was faster")
)

// asError returns err as what a client can be shown.
func asError(err error) *translate.Error {
	var e *translate.Error
	if errors.As(err, &e) {
		return e
	}
	return internal()
}

func internal() *translate.Error {
	return &translate.Error{Status: http.StatusInternalServerError, Kind: translate.ServerError, Code: "gateway_error",
		Message: "The gateway failed. Its log has more under this request's id."}
}

// lossy is the error for a strict request that the candidate's format cannot
// express as it is.
func lossy(losses translate.Losses) *translate.Error {
	var b strings.Builder
	b.WriteString("The request is strict and cannot be expressed as it is:")
	for i, l := range losses {
		if i == 10 {
			fmt.Fprintf(&b, " and %d more", len(losses)-i)
			break
		}
		fmt.Fprintf(&b, " %s (%s);", l.Path, l.Why)
	}
	return &translate.Error{Status: http.StatusBadRequest, Kind: translate.InvalidRequest, Code: "lossy_translation",
		Param: losses[0].Path, Message: strings.TrimSuffix(b.String(), ";") + "."}
}
