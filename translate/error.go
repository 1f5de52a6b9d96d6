package translate

import (
	"fmt"
	"time"
)

// An ErrorKind is what went wrong, in words that every format has its own for.
type ErrorKind string

// The kinds of errors.
const (
	InvalidRequest  ErrorKind = "invalid_request"
	Unauthenticated ErrorKind = "unauthenticated"
	Forbidden       ErrorKind = "forbidden"
	NotFound        ErrorKind = "not_found"
	TooLarge        ErrorKind = "too_large"
	RateLimited     ErrorKind = "rate_limited"
	Billing         ErrorKind = "billing"
	Overloaded      ErrorKind = "overloaded"
	Timeout         ErrorKind = "timeout"
	ServerError     ErrorKind = "server_error"
)

// An Error is a failure as a client or a provider states it, free of any format.
// It is told from a provider's words to a client's by Codec.DecodeError and
// Codec.AppendError.
type Error struct {
	Status  int       // HTTP status; 0 where there is none, as within a stream
	Kind    ErrorKind // what it is, in our words
	Type    string    // the provider's type, empty for the gateway's own errors
	Code    string    // a code for programs, such as "model_not_found"
	Param   string    // the request's member that is at fault
	Message string    // for people; never a secret, never JSON inside a string

	// Details is JSON that the provider put beside the message for programs, in
	// formats that have a place for it; empty without.
	Details string

	// RetryAfter is when the client may try again, 0 if that is not known. Google's
	// clients look for it in the body.
	RetryAfter time.Duration

	// RequestID names the exchange. Formats whose error bodies have a place for
	// it carry it there.
	RequestID string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("%s (%d): %s", e.Kind, e.Status, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.Message)
}

// KindOfStatus returns the kind that an HTTP status stands for.
func KindOfStatus(status int) ErrorKind {
	switch status {
	case 401:
		return Unauthenticated
	case 402:
		return Billing
	case 403:
		return Forbidden
	case 404:
		return NotFound
	case 408, 504:
		return Timeout
	case 413:
		return TooLarge
	case 429:
		return RateLimited
	case 503, 529:
		return Overloaded
	}
	if status >= 500 {
		return ServerError
	}
	return InvalidRequest
}

// Status returns the HTTP status that stands for the kind.
func (k ErrorKind) Status() int {
	switch k {
	case Unauthenticated:
		return 401
	case Billing:
		return 402
	case Forbidden:
		return 403
	case NotFound:
		return 404
	case TooLarge:
		return 413
	case RateLimited:
		return 429
	case Overloaded:
		return 503
	case Timeout:
		return 504
	case ServerError:
		return 500
	}
	return 400
}

// Invalid returns an error that says what is wrong with a member of a request.
func Invalid(param, format string, args ...any) *Error {
	return &Error{Status: 400, Kind: InvalidRequest, Param: param, Message: fmt.Sprintf(format, args...)}
}

// NothingLeft returns the error for a conversation of which a format can take
// nothing.
func NothingLeft(param string) *Error {
	return Invalid(param, "The conversation holds nothing that the provider's format can take.")
}
