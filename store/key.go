package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// A KeyHash is the keyed hash of a gateway key.
type KeyHash [sha256.Size]byte

// A Hasher hashes keys with a pepper that belongs to one store, so that a stolen
// copy of the hashes alone cannot be searched. It is safe for concurrent use.
type Hasher struct{ pool sync.Pool }

// NewHasher returns a Hasher with the given pepper.
func NewHasher(pepper []byte) *Hasher {
	return &Hasher{pool: sync.Pool{New: func() any { return &keyed{mac: hmac.New(sha256.New, pepper)} }}}
}

type keyed struct {
	mac  hash.Hash
	text []byte
	sum  []byte
}

// Hash returns the hash of a key.
func (h *Hasher) Hash(secret string) (sum KeyHash) {
	k := h.pool.Get().(*keyed)
	k.mac.Reset()
	k.text = append(k.text[:0], secret...)
	k.mac.Write(k.text)
	k.sum = k.mac.Sum(k.sum[:0])
	copy(sum[:], k.sum)
	clear(k.text)
	h.pool.Put(k)
	return sum
}
