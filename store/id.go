package store

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// crockford is base 32 in an order that sorts as the bytes do.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a new id: the prefix, an underscore, and 128 bits of which the
// first 48 are the time in milliseconds, so that ids sort by age.
func NewID(prefix string) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(time.Now().UnixMilli())<<16)
	rand.Read(raw[6:])
	b := make([]byte, 0, len(prefix)+27)
	b = append(append(b, prefix...), '_')
	return string(crockford.AppendEncode(b, raw[:]))
}

// idTime is when NewID made the id, to the millisecond.
func idTime(id string) (made time.Time, ok bool) {
	_, text, _ := strings.Cut(id, "_")
	var raw [16]byte
	if len(text) != crockford.EncodedLen(len(raw)) {
		return made, false
	}
	if _, err := crockford.Decode(raw[:], []byte(text)); err != nil {
		return made, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(raw[:8]) >> 16)), true
}
