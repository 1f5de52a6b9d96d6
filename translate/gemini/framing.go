package gemini

import (
	"bytes"

	"github.com/nine-router/nine-router/translate/internal/answer"
)

// A splitter takes the elements out of a stream that is one JSON list, as the API
// sends it without "alt=sse". It takes objects that merely follow each other too:
// a bare error has that form.
type splitter struct {
	max    int
	emit   func(object []byte) error
	held   []byte // the beginning of an object whose end has not come yet
	depth  int
	str    bool // within a string
	escape bool
	list   bool // the list was opened
	closed bool // and closed
}

// Write takes the next bytes of the stream.
func (s *splitter) Write(p []byte) error {
	from := 0 // of the open object, within p
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case s.escape:
			s.escape = false
		case s.str:
			// Most of a stream is text: its end is looked for in one step.
			if c != '"' && c != '\\' {
				n := bytes.IndexAny(p[i:], "\"\\")
				if n < 0 {
					i = len(p) - 1
					continue
				}
				i += n
				c = p[i]
			}
			s.escape, s.str = c == '\\', c != '"'
		case s.depth == 0:
			switch c {
			case '{':
				s.depth, from = 1, i
			case '[':
				if s.list {
					return answer.Broken("is not a list of its pieces")
				}
				s.list = true
			case ']':
				s.closed = true
			case ',', ' ', '\t', '\r', '\n':
			default:
				return answer.Broken("is not a list of its pieces")
			}
		case c == '"':
			s.str = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			if s.depth--; s.depth > 0 {
				continue
			}
			object := p[from : i+1]
			if len(s.held) > 0 {
				s.held = append(s.held, object...)
				object = s.held
			}
			if len(object) > s.max {
				return answer.Broken("has an event longer than the gateway takes")
			}
			err := s.emit(object)
			s.held = s.held[:0]
			from = i + 1
			if err != nil {
				return err
			}
		}
	}
	if s.depth > 0 {
		if len(s.held)+len(p)-from > s.max {
			return answer.Broken("has an event longer than the gateway takes")
		}
		s.held = append(s.held, p[from:]...)
	}
	return nil
}

// whole says that nothing is missing.
func (s *splitter) whole() bool { return s.depth == 0 && (!s.list || s.closed) }
