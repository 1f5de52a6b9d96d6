package store

import (
	"crypto/rand"
	"errors"
	"hash/crc32"
	"math/big"
	"strings"
)

// Keys that the gateway makes are keyPrefix, 43 characters of 256 random bits and
// a checksum of 6, by which typos and secret scanners' finds are told from noise.
const (
	keyPrefix   = "nr-"
	keyRandom   = 43
	keyChecksum = 6
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewKey returns a new secret for a client, and the hint to recognise it by.
func NewKey() (secret, hint string) {
	var raw [32]byte
	rand.Read(raw[:])
	body := digits(new(big.Int).SetBytes(raw[:]), keyRandom)
	secret = keyPrefix + body + checksum(body)
	return secret, Hint(secret)
}

func checksum(body string) string {
	return digits(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), keyChecksum)
}

func digits(n *big.Int, width int) string {
	b := make([]byte, width)
	base, rest := big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.QuoRem(n, base, rest)
		b[i] = base62[rest.Int64()]
	}
	return string(b)
}

// Hint returns the first and last characters of a secret, or nothing of one that
// is too short to spare them.
func Hint(secret string) string {
	if len(secret) < 24 {
		return "…"
	}
	return secret[:6] + "…" + secret[len(secret)-4:]
}

// CheckKey says why a secret that somebody chose by hand is not fit to be a key:
// too short, not printable ASCII, a known sample, or one of ours with a typo.
func CheckKey(secret string) error {
	if len(secret) < 20 {
		return errors.New("a key needs at least 20 characters")
	}
	if len(secret) > 512 {
		return errors.New("a key has at most 512 characters")
	}
	for i := range len(secret) {
		if c := secret[i]; c <= ' ' || c > '~' {
			return errors.New("a key has only printable ASCII characters and no spaces")
		}
	}
	low := strings.ToLower(secret)
	for _, sample := range []string{"change-me", "changeme", "example", "your-api-key", "your_api_key", "sk-test", "password"} {
		if strings.Contains(low, sample) {
			return errors.New("a key must not be a sample value")
		}
	}
	if body, ok := strings.CutPrefix(secret, keyPrefix); ok && len(body) == keyRandom+keyChecksum {
		if checksum(body[:keyRandom]) != body[keyRandom:] {
			return errors.New("the key's checksum is wrong: it was not copied whole")
		}
	}
	return nil
}
