package provider

import "io"

// A Body is a request's body in pieces, so that a large one of which only a few
// bytes are replaced need not be copied. The bytes must not change while a
// request is under way.
type Body [][]byte

// Len is the length of the body in bytes.
func (b Body) Len() (n int64) {
	for _, p := range b {
		n += int64(len(p))
	}
	return n
}

// open returns a new reader of the whole body.
func (b Body) open() io.ReadCloser {
	return io.NopCloser(&bodyReader{rest: b})
}

type bodyReader struct {
	rest   Body
	offset int // in the first piece
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	for len(r.rest) > 0 {
		n := copy(p, r.rest[0][r.offset:])
		if r.offset += n; r.offset == len(r.rest[0]) {
			r.rest, r.offset = r.rest[1:], 0
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

// WriteTo implements io.WriterTo, by which net/http sends without a copy.
func (r *bodyReader) WriteTo(w io.Writer) (total int64, err error) {
	for len(r.rest) > 0 {
		n, err := w.Write(r.rest[0][r.offset:])
		total += int64(n)
		if err != nil {
			return total, err
		}
		r.rest, r.offset = r.rest[1:], 0
	}
	return total, nil
}
