package rawjson

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

// MaxDepth is how deep arrays and objects may be nested.
const MaxDepth = 128

// MaxValues is how many values a text may have. Parsed, each takes a hundred times
// the room of a short one as text. No honest request comes near: even OpenAI's
// embeddings take 300,000 tokens in all
// (https://platform.openai.com/docs/api-reference/embeddings/create).
const MaxValues = 400_000

// A SyntaxError says where a text stops being JSON within the bounds.
type SyntaxError struct {
	Offset  int    // bytes before the fault
	Problem string // what is wrong there
}

// Error implements error. It quotes nothing of the text.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at byte %d", e.Problem, e.Offset)
}

// Object checks that text is one JSON object in valid UTF-8, nested at most
// [MaxDepth] deep and of at most [MaxValues] values, and calls visit for each of its members in order: with the
// name, free of escapes, and the place of the value in text. An error of visit
// ends the scan and is returned. Strings are checked for control characters and
// escapes, numbers for their grammar. Names are not checked for repetition.
func Object(text []byte, visit func(name []byte, start, end int) error) error {
	s := scanner{text: text}
	s.space()
	if s.peek() != '{' {
		return s.fault("expected a JSON object")
	}
	if err := s.object(1, visit); err != nil {
		return err
	}
	return s.atEnd()
}

// Valid checks that text is one JSON value, by the rules of [Object].
func Valid(text []byte) error {
	s := scanner{text: text}
	s.space()
	if err := s.value(0); err != nil {
		return err
	}
	return s.atEnd()
}

func checkUTF8(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return &SyntaxError{Offset: i, Problem: "invalid UTF-8"}
		}
		i += size
	}
	return nil
}

type scanner struct {
	text   []byte
	pos    int
	values int
	high   uint64 // its top bits are set if there was a byte beyond ASCII in a string
}

func (s *scanner) fault(problem string) error {
	if s.pos >= len(s.text) {
		return &SyntaxError{Offset: len(s.text), Problem: "unexpected end of JSON"}
	}
	return &SyntaxError{Offset: s.pos, Problem: problem}
}

// peek returns the byte at the position, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) atEnd() error {
	s.space()
	if s.pos < len(s.text) {
		return s.fault("unexpected text after the JSON value")
	}
	if s.high&tops != 0 { // outside of strings there is none
		return checkUTF8(s.text)
	}
	return nil
}

func (s *scanner) object(depth int, visit func(name []byte, start, end int) error) error {
	s.pos++ // the brace
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.fault("expected a member name")
		}
		from := s.pos
		if err := s.str(); err != nil {
			return err
		}
		to := s.pos
		s.space()
		if s.peek() != ':' {
			return s.fault("expected a colon")
		}
		s.pos++
		s.space()
		start := s.pos
		if err := s.value(depth); err != nil {
			return err
		}
		if visit != nil {
			if err := visit(unescaped(s.text[from:to]), start, s.pos); err != nil {
				return err
			}
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case '}':
			s.pos++
			return nil
		default:
			return s.fault("expected a comma or the end of the object")
		}
	}
}

func (s *scanner) array(depth int) error {
	s.pos++ // the bracket
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case ']':
			s.pos++
			return nil
		default:
			return s.fault("expected a comma or the end of the array")
		}
	}
}

func (s *scanner) value(depth int) error {
	if s.values++; s.values > MaxValues {
		return s.fault("too many values")
	}
	switch c := s.peek(); {
	case c == '"':
		return s.str()
	case c == '{' || c == '[':
		if depth >= MaxDepth {
			return s.fault("nested too deep")
		}
		if c == '{' {
			return s.object(depth+1, nil)
		}
		return s.array(depth + 1)
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.fault("expected a value")
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.text[s.pos:], []byte(word)) {
		return s.fault("expected a value")
	}
	s.pos += len(word)
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.fault("bad number")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.fault("bad number")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fault("bad number")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.pos
	for s.pos < len(s.text) && s.text[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > from
}

// str passes over a string, eight bytes at a time while they are plain.
func (s *scanner) str() error {
	text, i := s.text, s.pos+1
	for {
		var high uint64
		i, high = plainEnd(text, i)
		s.high |= high
		if i >= len(text) {
			s.pos = i
			return s.fault("")
		}
		switch text[i] {
		case '"':
			s.pos = i + 1
			return nil
		case '\\':
			n := escapeLen(text[i:])
			if n == 0 {
				s.pos = i
				return s.fault("bad escape in a string")
			}
			i += n
		default:
			s.pos = i
			return s.fault("control character in a string")
		}
	}
}

// StringEnd returns the place of the quote that closes the string whose first
// character, behind the opening quote, is at i. It is -1 if text is no JSON there.
func StringEnd(text []byte, i int) int {
	for {
		i, _ = plainEnd(text, i)
		switch {
		case i >= len(text):
			return -1
		case text[i] == '"':
			return i
		case text[i] != '\\':
			return -1
		}
		n := escapeLen(text[i:])
		if n == 0 {
			return -1
		}
		i += n
	}
}

const ones, tops = 0x0101010101010101, 0x8080808080808080

// plainEnd returns the place of the first quote, backslash or control character
// from i on, or the length of text. Texts with many escapes have their next one
// within a few words; beyond those four words are taken at a time. Top bits of high are
// set if there was a byte beyond ASCII, before the place or shortly behind it.
func plainEnd(text []byte, i int) (end int, high uint64) {
	for near := i + 32; i+8 <= len(text); i += 8 {
		if i >= near {
			i = asciiEnd(text, i)
			near = len(text)
			if i+8 > len(text) {
				break
			}
		}
		w := binary.LittleEndian.Uint64(text[i:])
		high |= w
		if hit := special(w); hit != 0 {
			return i + bits.TrailingZeros64(hit)/8, high
		}
	}
	for ; i < len(text); i++ {
		c := text[i]
		if c == '"' || c == '\\' || c < 0x20 {
			break
		}
		high |= uint64(c)
	}
	return i, high
}

// special sets the top bit of the first byte of a word that is a quote, a backslash
// or a control character. Bytes above it may be set by its borrow.
func special(w uint64) uint64 {
	quote, slash := w^(ones*'"'), w^(ones*'\\')
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w) & tops
}

// asciiEnd passes over plain ASCII in steps of 32 bytes. Below 0x80 a byte's top bit
// is set by a subtraction only where it was smaller than what is taken away.
func asciiEnd(text []byte, i int) int {
	for ; i+32 <= len(text); i += 32 {
		p := text[i : i+32 : i+32]
		a, b := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
		c, d := binary.LittleEndian.Uint64(p[16:]), binary.LittleEndian.Uint64(p[24:])
		quotes := ((a ^ ones*'"') - ones) | ((b ^ ones*'"') - ones) | ((c ^ ones*'"') - ones) | ((d ^ ones*'"') - ones)
		slashes := ((a ^ ones*'\\') - ones) | ((b ^ ones*'\\') - ones) | ((c ^ ones*'\\') - ones) | ((d ^ ones*'\\') - ones)
		controls := (a - ones*0x20) | (b - ones*0x20) | (c - ones*0x20) | (d - ones*0x20)
		if (quotes|slashes|controls|a|b|c|d)&tops != 0 {
			break
		}
	}
	return i
}

// escapeLen returns the length of the escape that text begins with, 0 if it is
// none.
func escapeLen(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) < 6 {
			return 0
		}
		for _, c := range text[2:6] {
			if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// unescaped returns the value of a string that has been checked.
func unescaped(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return Unquote(quoted)
}

// Unquote returns the value of a JSON string, quotes included, that is known to
// be valid.
func Unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	v, err := fastjson.ParseBytes(quoted)
	if err != nil {
		return inner
	}
	return v.GetStringBytes()
}
