package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A transport may read a request's body after the exchange is over: when the
// provider answered early, or another was faster. The memory is another client's by
// then, so it gets nothing.
func TestNobodyGetsAnothersBody(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"passed": "/v1/chat/completions", "translated": "/v1/messages"} {
		var late []io.ReadCloser
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if b := make([]byte, 100); len(late) > 0 {
				io.ReadFull(r.Body, b)
			}
			late = append(late, r.Body)
			if again, err := r.GetBody(); err == nil {
				late = append(late, again)
			}
			return answers(id, r)
		}, nil, "a")
		for _, letter := range []string{"x", "y", "z"} {
			w := l.post(t, path, `{"model":"a/m","max_tokens":9,"messages":[{"role":"user","content":"`+strings.Repeat(letter, 100<<10)+`"}]}`)
			if w.Code != 200 {
				t.Fatalf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		for i, body := range late {
			if b, err := io.ReadAll(body); len(b) > 0 || err == nil {
				t.Errorf("%s: body %d still gave %d bytes: %.20q, %v", name, i, len(b), b, err)
			}
		}
	}
}
