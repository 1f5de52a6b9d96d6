package gateway

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/nine-router/nine-router/translate"
)

// maxRatio is how much larger than its compressed form a body may be, once it is
// of a size that matters. Text compresses ten times, a bomb a thousand times.
const (
	maxRatio  = 100
	ratioFrom = 1 << 20
)

// readBody reads a request's body whole, undoes its compression and keeps within
// the limit all the way. net/http notices that an HTTP/1 client leaves only once
// the body was read to its end. The body lies in the lease's memory.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request, l *lease) ([]byte, *translate.Error) {
	limit := g.o.Limits.Body
	if r.ContentLength > limit {
		return nil, g.tooLarge()
	}
	counted := &counter{Reader: http.MaxBytesReader(w, r.Body, limit)}
	var plain io.Reader = counted
	coding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	switch coding {
	case "", "identity":
		return g.readAll(counted, r.ContentLength, nil, l)
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(counted)
		if err != nil {
			return nil, badBody(err)
		}
		plain = z
	case "deflate":
		z, err := zlib.NewReader(counted)
		if err != nil {
			return nil, badBody(err)
		}
		plain = z
	case "zstd":
		z, err := zstd.NewReader(counted, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)+1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, badBody(err)
		}
		defer z.Close()
		plain = z
	default:
		return nil, &translate.Error{Status: http.StatusUnsupportedMediaType, Kind: translate.InvalidRequest,
			Message: "The body's Content-Encoding is not supported. Send it plain, or as gzip, deflate or zstd."}
	}
	return g.readAll(plain, -1, counted, l)
}

// believed is how much memory a request gets for the length that it states, before
// that much of it has come, in bytes.
const believed = 1 << 20

// readAll reads to the end. compressed counts what went in, or is nil.
func (g *Gateway) readAll(r io.Reader, size int64, compressed *counter, l *lease) ([]byte, *translate.Error) {
	limit := g.o.Limits.Body
	if size < 0 {
		size = 4 << 10
	}
	b := l.need(int(min(size, believed)) + bytes.MinRead)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		l.memory = b
		switch {
		case int64(len(b)) > limit:
			return nil, g.tooLarge()
		case compressed != nil && len(b) > ratioFrom && int64(len(b)) > maxRatio*compressed.n:
			return nil, &translate.Error{Status: http.StatusRequestEntityTooLarge, Kind: translate.TooLarge,
				Message: "The body is compressed more than a hundredfold, which no honest request is."}
		case err == io.EOF:
			return b, nil
		case err != nil:
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				return nil, g.tooLarge()
			}
			return nil, badBody(err)
		}
		if cap(b)-len(b) < bytes.MinRead {
			b = l.need(2 * cap(b))
		}
	}
}

// badBody is the error for a body that could not be read. The cause may quote
// the body, so it is not shown.
func badBody(error) *translate.Error {
	return translate.Invalid("", "The body could not be read: it is cut short or its compression is damaged.")
}

func (g *Gateway) tooLarge() *translate.Error {
	return &translate.Error{Status: http.StatusRequestEntityTooLarge, Kind: translate.TooLarge,
		Message: "The request's body is larger than this gateway takes."}
}

type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}
