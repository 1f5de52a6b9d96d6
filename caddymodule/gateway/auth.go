package gateway

import (
	"net/http"
	"strings"

	"github.com/nine-router/nine-router/store"
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

// authenticate returns the id of the key that the request carries, or why it may
// not come in. A gateway that is open lets in whoever has no key of its own:
// most clients insist on sending one.
func (g *Gateway) authenticate(s *snapshot, r *http.Request) (keyID string, denied *translate.Error) {
	key, denied := g.credential(r)
	if denied != nil {
		return "", denied
	}
	if key != "" && len(key) <= maxKey {
		if id, ok := s.keys[s.hasher.Hash(key)]; ok {
			return id, nil
		}
	}
	switch {
	case g.o.Open:
		return "", nil
	case key == "":
		return "", unauthenticated("No key was sent. Send one of this gateway's keys as Authorization: Bearer or x-api-key.")
	}
	return "", unauthenticated("The key is not one of this gateway's, or was revoked.")
}

// maxKey bounds what is hashed, in bytes.
const maxKey = 1024

func unauthenticated(message string) *translate.Error {
	return &translate.Error{Status: http.StatusUnauthorized, Kind: translate.Unauthenticated, Code: "invalid_api_key", Message: message}
}

// strictKeys returns the ids of the keys with these names.
func strictKeys(snap *store.Snapshot, names []string) map[string]bool {
	ids := make(map[string]bool, len(names))
	for _, name := range names {
		ids["declared:"+name] = true
		for i := range snap.Keys {
			if snap.Keys[i].Name == name {
				ids[snap.Keys[i].ID] = true
			}
		}
	}
	return ids
}

// keyTable maps the hashes of all keys that open the gateway to their ids.
func keyTable(snap *store.Snapshot, declared []DeclaredKey) map[store.KeyHash]string {
	keys := make(map[store.KeyHash]string, len(snap.Keys)+len(declared))
	for i := range snap.Keys {
		if k := &snap.Keys[i]; !k.Revoked {
			keys[k.Hash] = k.ID
		}
	}
	for _, k := range declared {
		keys[snap.Hasher.Hash(k.Secret.Reveal())] = "declared:" + k.Name
	}
	return keys
}
