package scripted

import (
	"net/http"
	"time"
)

// A Step is how one request is answered. The zero Step is an empty 200.
type Step struct {
	Status int         `json:",omitempty"` // 0 is 200
	Header http.Header `json:",omitempty"` // besides what frames the answer

	// ContentType is text/event-stream for events that are of an event stream,
	// application/x-ndjson for other events and application/json for a body,
	// unless it stands here.
	ContentType string `json:",omitempty"`

	// Body is a whole answer, sent with its length. Events are a stream, sent in
	// chunks: each is the text of one event with its blank line, or one line of
	// NDJSON, and is written to the socket on its own.
	Body   string   `json:",omitempty"`
	Events []string `json:",omitempty"`

	// Stream and Document, if there is one, are played instead, according to what
	// the request asks for. Of this step only what comes before the request's
	// body has been read holds then.
	Stream   *Step `json:",omitempty"`
	Document *Step `json:",omitempty"`

	Delay time.Duration `json:",omitempty"` // before the status
	Every time.Duration `json:",omitempty"` // between two events
	Drip  Drip          `json:",omitzero"`

	// Reset ends the connection with a TCP reset, HangUp with an orderly end, and
	// Stall writes nothing more until the client leaves, or for StallFor.
	Reset    Point         `json:",omitzero"`
	HangUp   Point         `json:",omitzero"`
	Stall    Point         `json:",omitzero"`
	StallFor time.Duration `json:",omitempty"`

	CutAfterBytes int    `json:",omitempty"` // hangs up after so many bytes of the body
	WrongLength   int    `json:",omitempty"` // bytes that Content-Length promises too many, or too few if negative; then hangs up
	NoEnd         bool   `json:",omitempty"` // hangs up where the last chunk belongs
	Trailing      string `json:",omitempty"` // comes after the end of the answer
	Gzip          bool   `json:",omitempty"` // compresses, asked or not
	KeepAliveOff  bool   `json:",omitempty"` // says Connection: close, and closes
	LongLine      int    `json:",omitempty"` // bytes of a first event that is one line

	// EndlessHeaders never comes to the end of the header, EndlessLine goes on
	// after the events with a line that has no end. Both end after 256 MiB.
	EndlessHeaders bool `json:",omitempty"`
	EndlessLine    bool `json:",omitempty"`

	// NotHTTP is written instead of an answer.
	NotHTTP string `json:",omitempty"`

	// Refused is a port that refuses, for all of the script if its first step.
	Refused bool `json:",omitempty"`
	// TLS makes the script one over TLS if its first step has it.
	TLS TLS `json:",omitempty"`
}

// A Drip writes the body in small pieces.
type Drip struct {
	Bytes int           // of a piece
	Every time.Duration // between two
}

// A Point is where in an answer something happens. The zero Point is nowhere.
type Point struct {
	Stage Stage
	// N is how many events there have been for AfterEvents, and which event it is
	// for MidEvent, from 1. A body is one event.
	N int `json:",omitempty"`
}

// At is a point that needs no number.
func At(s Stage) Point { return Point{Stage: s} }

// AfterEvent is the point after n whole events.
func AfterEvent(n int) Point { return Point{AfterEvents, n} }

// InEvent is the point in the middle of the n-th event.
func InEvent(n int) Point { return Point{MidEvent, n} }

// A Stage is a part of an answer's life.
type Stage string

// The stages, in the order in which they come.
const (
	Accept      Stage = "accept"       // nothing has been read; to hang up here is a reset if the client was quick, as TCP has it
	HeadersRead Stage = "headers_read" // the body is unread; to hang up here is a reset likewise
	RequestRead Stage = "request_read"
	StatusSent  Stage = "status_sent" // the status line
	HeadersSent Stage = "headers_sent"
	MidEvent    Stage = "mid_event"
	AfterEvents Stage = "after_events"
)

// A TLS says how TLS goes.
type TLS string

// The ways in which TLS fails for who trusts the system's authorities.
const (
	TLSUntrusted TLS = "untrusted" // a certificate that nobody signed but itself
	TLSGarbage   TLS = "garbage"   // what answers speaks no TLS
	TLSHangUp    TLS = "hang_up"   // ends after the client's first message
	TLSStall     TLS = "stall"     // reads the client's first message and is silent
)

// opens says that the step acts before there is a request.
func (s *Step) opens() bool {
	return s.TLS == TLSGarbage || s.TLS == TLSHangUp || s.TLS == TLSStall || s.Reset.Stage == Accept || s.HangUp.Stage == Accept || s.Stall.Stage == Accept
}

// takesTime says that the client may leave while nothing is written.
func (s *Step) takesTime() bool {
	return s.Delay > 0 || s.Every > 0 || s.Drip.Bytes > 0 || s.Stall.Stage != "" || s.EndlessHeaders || s.EndlessLine
}
