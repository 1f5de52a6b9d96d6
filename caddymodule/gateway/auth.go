package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/nine-router/nine-router/translate"
)

// credential returns the one key that a request carries, from whichever place
// its client puts it. Two different keys are refused: whoever checked only one
// of them would be wrong about the other.
func (g *Gateway) credential(r *http.Request) (string, *translate.Error) {
	var key string
	differ := false
	take := func(v string) {
		v = strings.TrimSpace(v)
		differ = differ || v != "" && key != "" && v != key
		if key == "" {
			key = v
		}
	}
	for _, v := range r.Header["Authorization"] {
		scheme, token, _ := strings.Cut(strings.TrimSpace(v), " ")
		if strings.EqualFold(scheme, "Bearer") {
			take(token)
		}
	}
	for _, name := range [...]string{"X-Api-Key", "X-Goog-Api-Key", "Api-Key"} {
		for _, v := range r.Header[name] {
			take(v)
		}
	}
	if g.o.QueryKeys && strings.Contains(r.URL.RawQuery, "key=") {
		for _, v := range r.URL.Query()["key"] {
			take(v)
		}
	}
	if differ {
		return "", &translate.Error{Status: http.StatusBadRequest, Kind: translate.InvalidRequest,
			Message: "The request carries two different keys. Send one."}
	}
	return key, nil
}

// authenticate returns the key that the request carries, or why it may not come
// in. A gateway that is open lets in whoever has no key of its own: most clients
// insist on sending one.
func (g *Gateway) authenticate(s *snapshot, r *http.Request) (*key, *translate.Error) {
	text, denied := g.credential(r)
	if denied != nil {
		return nil, denied
	}
	if text != "" && len(text) <= maxKey {
		if k := s.keys[s.hasher.Hash(text)]; k != nil {
			return k, k.welcome(r, time.Now())
		}
	}
	switch {
	case g.o.Open:
		return nobody, nil
	case text == "":
		return nil, unauthenticated("No key was sent. Send one of this gateway's keys as Authorization: Bearer or x-api-key.")
	}
	return nil, unauthenticated("The key is not one of this gateway's, or was revoked.")
}

// maxKey bounds what is hashed, in bytes.
const maxKey = 1024

func unauthenticated(message string) *translate.Error {
	return &translate.Error{Status: http.StatusUnauthorized, Kind: translate.Unauthenticated, Code: "invalid_api_key", Message: message}
}
