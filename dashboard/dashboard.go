// Package dashboard serves the gateway's web pages and admin API. As yet it is
// one page that says what is there, and a health check; both tell nothing that a
// stranger may not know. It knows nothing of Caddy.
package dashboard

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
)

//go:embed page.html
var page []byte

// Claims says that a request is for one of the dashboard's paths. All others are
// the site's.
func Claims(method, path string) bool {
	return (method == http.MethodGet || method == http.MethodHead) && (path == "/" || path == "/api/health")
}

// New returns the handler of the paths that Claims names. ready says whether the
// gateway has started.
func New(ready func() bool) http.Handler {
	mux := http.NewServeMux()
	policy := policy()
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, _ *http.Request) {
		protect(w.Header(), policy)
		w.Header().Set("Content-Type", "application/json")
		if !ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Write([]byte(`{"status":"starting"}`))
			return
		}
		w.Write([]byte(`{"status":"ok"}`))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		protect(w.Header(), policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	return mux
}

// policy allows the page the style that it has within, by its hash, and nothing
// else from anywhere.
func policy() string {
	_, style, _ := bytes.Cut(page, []byte("<style>"))
	style, _, _ = bytes.Cut(style, []byte("</style>"))
	sum := sha256.Sum256(style)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// protect sets what every answer has.
func protect(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
