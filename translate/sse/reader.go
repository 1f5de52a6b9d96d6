// Package sse reads and writes event streams as the HTML standard defines them
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), without an
// allocation per event and from bytes that are cut anywhere.
package sse

import (
	"bytes"
	"errors"
)

// ErrTooLong is returned for an event that is longer than the reader's bound.
var ErrTooLong = errors.New("sse: event too long")

// A Reader splits a stream into events. The zero value has no bound; set Max.
type Reader struct {
	// Max bounds the data of one event, and one line, in bytes. 0 is no bound.
	Max int
	// Emit is called for each event that has data. Both slices are valid only
	// during the call. An error ends the reading and is returned.
	Emit func(event, data []byte) error
	// Stray, if it is set, is called for each line that is none of an event
	// stream's: some servers end a stream with a bare error. The slice is valid
	// only during the call.
	Stray func(line []byte) error

	line    []byte // the beginning of a line whose end has not come yet
	event   []byte
	data    []byte // data lines of an event that is not in one piece in the caller's bytes
	view    []byte // the only data line so far, within the caller's bytes
	some    bool   // there was a data line
	skipLF  bool   // the last byte was a CR, which an LF may follow
	started bool   // the place of a byte order mark is behind us
	bom     []byte // of a mark that is cut
}

var mark = []byte("\xef\xbb\xbf")

// Write reads p and emits the events that are complete. It does not keep p.
func (r *Reader) Write(p []byte) (int, error) {
	n := len(p)
	if !r.started {
		p = r.skipMark(p)
	}
	for len(p) > 0 {
		if r.skipLF {
			r.skipLF = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		if n, err := r.takeWhole(p); n > 0 {
			if err != nil {
				return 0, err
			}
			p = p[n:]
			continue
		}
		end, next := lineEnd(p)
		if end < 0 {
			if r.Max > 0 && len(r.line)+len(p) > r.Max {
				return 0, ErrTooLong
			}
			r.line = append(r.line, p...)
			break
		}
		r.skipLF = next == len(p) && next == end+1 && p[end] == '\r'
		line, whole := p[:end], true
		if len(r.line) > 0 {
			if r.Max > 0 && len(r.line)+end > r.Max {
				return 0, ErrTooLong
			}
			r.line = append(r.line, line...)
			line, whole = r.line, false
		}
		err := r.take(line, whole)
		r.line = r.line[:0]
		if err != nil {
			return 0, err
		}
		p = p[next:]
	}
	r.keepView()
	return n, nil
}

var dataField = []byte("data: ")

// takeWhole takes an event that is one line of data and all there, as most are, and
// returns its length. It returns 0 for anything else.
func (r *Reader) takeWhole(p []byte) (int, error) {
	if len(r.line) > 0 || r.some || len(r.event) > 0 || !bytes.HasPrefix(p, dataField) {
		return 0, nil
	}
	end := bytes.IndexByte(p, '\n')
	if end < 0 || end+1 >= len(p) || p[end+1] != '\n' || bytes.IndexByte(p[:end], '\r') >= 0 {
		return 0, nil
	}
	return end + 2, r.Emit(nil, p[len(dataField):end])
}

// Close emits an event whose final blank line never came. The standard would
// drop it; some providers end their streams so.
func (r *Reader) Close() error {
	if len(r.line) > 0 {
		err := r.take(r.line, false)
		r.line = r.line[:0]
		if err != nil {
			return err
		}
	}
	return r.dispatch()
}

func (r *Reader) skipMark(p []byte) []byte {
	for len(p) > 0 && len(r.bom) < len(mark) {
		if p[0] != mark[len(r.bom)] {
			break
		}
		r.bom, p = append(r.bom, p[0]), p[1:]
	}
	if len(p) == 0 && len(r.bom) < len(mark) {
		return nil
	}
	r.started = true
	if len(r.bom) < len(mark) {
		r.line = append(r.line, r.bom...)
	}
	r.bom = nil
	return p
}

// lineEnd finds the end of the first line of p and the start of the next, or
// returns -1.
func lineEnd(p []byte) (end, next int) {
	lf := bytes.IndexByte(p, '\n')
	head := p
	if lf >= 0 {
		head = p[:lf]
	}
	switch cr := bytes.IndexByte(head, '\r'); {
	case cr < 0:
		return lf, lf + 1
	case cr == lf-1:
		return cr, lf + 1
	default:
		return cr, cr + 1
	}
}

// take reads one line. whole says that it lies in the caller's bytes.
func (r *Reader) take(line []byte, whole bool) error {
	if len(line) == 0 {
		return r.dispatch()
	}
	if line[0] == ':' {
		return nil
	}
	name, value := line, []byte(nil)
	if i := bytes.IndexByte(line, ':'); i >= 0 {
		name, value = line[:i], line[i+1:]
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
	}
	switch string(name) {
	case "event":
		r.event = append(r.event[:0], value...)
	case "data":
		return r.takeData(value, whole)
	case "id", "retry":
	default:
		if r.Stray != nil {
			return r.Stray(line)
		}
	}
	return nil
}

func (r *Reader) takeData(value []byte, whole bool) error {
	if !r.some {
		r.some = true
		if whole {
			r.view = value
			return nil
		}
		r.data = append(r.data[:0], value...)
		return nil
	}
	r.keepView()
	if r.Max > 0 && len(r.data)+len(value) > r.Max {
		return ErrTooLong
	}
	r.data = append(append(r.data, '\n'), value...)
	return nil
}

// keepView copies what lies in the caller's bytes, because those go away.
func (r *Reader) keepView() {
	if r.view != nil {
		r.data = append(r.data[:0], r.view...)
		r.view = nil
	}
}

func (r *Reader) dispatch() error {
	some, data := r.some, r.data
	if r.view != nil {
		data = r.view
	}
	r.some, r.view, r.data = false, nil, r.data[:0]
	event := r.event
	r.event = r.event[:0]
	if !some {
		return nil
	}
	return r.Emit(event, data)
}
