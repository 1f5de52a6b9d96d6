package sse_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate/sse"
)

func events(t *testing.T, text string, size int) string {
	t.Helper()
	var got []string
	r := sse.Reader{Emit: func(event, data []byte) error {
		got = append(got, string(event)+"="+string(data))
		return nil
	}}
	for rest := []byte(text); len(rest) > 0; {
		n := min(size, len(rest))
		piece := append([]byte(nil), rest[:n]...)
		if _, err := r.Write(piece); err != nil {
			t.Fatal(err)
		}
		clear(piece) // the reader must not have kept it
		rest = rest[n:]
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(got, "|")
}

func TestFraming(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"plain", "data: a\n\ndata: b\n\n", "=a|=b"},
		{"named", "event: e\ndata: a\n\ndata: b\n\n", "e=a|=b"},
		{"CRLF", "event: e\r\ndata: a\r\n\r\ndata: b\r\n\r\n", "e=a|=b"},
		{"CR", "event: e\rdata: a\r\rdata: b\r\r", "e=a|=b"},
		{"mixed", "data: a\r\n\ndata: b\n\r\n", "=a|=b"},
		{"several lines", "data: a\ndata: b\n\n", "=a\nb"},
		{"an empty line among them", "data: a\ndata:\ndata: c\n\n", "=a\n\nc"},
		{"no space", "data:a\n\n", "=a"},
		{"two spaces", "data:  a\n\n", "= a"},
		{"comments and unknown fields", ": hi\nid: 3\nretry: 9\nfoo\ndata: a\n\n", "=a"},
		{"no data", "event: e\n\ndata: a\n\n", "=a"},
		{"empty data", "data\n\n", "="},
		{"byte order mark", "\ufeffdata: a\n\n", "=a"},
		{"unterminated", "data: a\n\ndata: b", "=a|=b"},
		{"unterminated after a line", "data: b\n", "=b"},
		{"multi-byte", "data: é🙂\n\n", "=é🙂"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for size := 1; size <= len(c.in); size++ {
				if got := events(t, c.in, size); got != c.want {
					t.Errorf("in pieces of %d: %q, want %q", size, got, c.want)
				}
			}
		})
	}
}

func TestAnEventIsBounded(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"data: " + strings.Repeat("x", 100), strings.Repeat("data: 123456789\n", 10)} {
		r := sse.Reader{Max: 50, Emit: func(_, _ []byte) error { return nil }}
		var err error
		for i := 0; i < len(in) && err == nil; i += 7 {
			_, err = r.Write([]byte(in[i:min(i+7, len(in))]))
		}
		if !errors.Is(err, sse.ErrTooLong) {
			t.Errorf("%.20q: %v", in, err)
		}
	}
}

func FuzzCuts(f *testing.F) {
	f.Add("event: e\r\ndata: a\r\n\r\n: c\ndata: b\n\n", uint8(3))
	f.Fuzz(func(t *testing.T, in string, size uint8) {
		if whole, cut := events(t, in, len(in)+1), events(t, in, int(size)+1); whole != cut {
			t.Errorf("%q became %q, and %q in pieces of %d", in, whole, cut, int(size)+1)
		}
	})
}

func TestAppended(t *testing.T) {
	t.Parallel()
	b := sse.AppendEvent(nil, "e", []byte("a\nb"))
	b = sse.AppendComment(b, "hi")
	b = sse.AppendEvent(b, "", []byte("c"))
	if got := events(t, string(b), 5); got != "e=a\nb|=c" {
		t.Errorf("%q", got)
	}
}
