package gateway

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
)

// plain undoes a compression that we did not ask for, to a bounded size.
func plain(resp *http.Response, limit int64) (io.Reader, error) {
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "", "identity":
		return resp.Body, nil
	case "gzip":
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, err
		}
		return io.LimitReader(z, limit+1), nil
	}
	return nil, errors.New("unknown content encoding")
}
