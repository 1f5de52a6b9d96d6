package rawjson

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendUnescaped appends the value of a string that has been checked, given
// without its quotes. It is false for what is half of a character: parsers differ
// in what they make of that.
func AppendUnescaped(dst, inner []byte) ([]byte, bool) {
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			return append(dst, inner...), true
		}
		dst = append(dst, inner[:i]...)
		inner = inner[i:]
		if len(inner) < 2 {
			return dst, false
		}
		if inner[1] == 'u' {
			r, n := escapedRune(inner)
			if n == 0 {
				return dst, false
			}
			dst, inner = utf8.AppendRune(dst, r), inner[n:]
			continue
		}
		c := simple(inner[1])
		if c == 0 {
			return dst, false
		}
		dst, inner = append(dst, c), inner[2:]
	}
}

// simple returns what an escape of one letter stands for, 0 if there is none such.
func simple(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// escapedRune returns the character of the escape, or of the pair of them, that b
// begins with, and its length; 0 if it is no whole character.
func escapedRune(b []byte) (r rune, n int) {
	unit := func(b []byte) (rune, bool) {
		if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
			return 0, false
		}
		u, err := strconv.ParseUint(string(b[2:6]), 16, 16)
		return rune(u), err == nil
	}
	r, ok := unit(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := unit(b[6:])
	if !ok {
		return 0, 0
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}
