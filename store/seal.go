package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A sealer seals secrets with AES-256-GCM. What it is told beside the secret
// (table, id, revision) is authenticated with it, so that a sealed text that is
// moved to another record does not open.
type sealer struct{ aead cipher.AEAD }

const sealVersion = "v1."

func newSealer(key []byte) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead}, nil
}

func (s *sealer) seal(secret []byte, place string) string {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(secret)+s.aead.Overhead())
	rand.Read(nonce)
	return sealVersion + base64.RawStdEncoding.EncodeToString(s.aead.Seal(nonce, nonce, secret, []byte(place)))
}

var errSealed = errors.New("sealed text is damaged or not of this place")

func (s *sealer) open(sealed, place string) ([]byte, error) {
	text, ok := strings.CutPrefix(sealed, sealVersion)
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) < s.aead.NonceSize() {
		return nil, errSealed
	}
	n := s.aead.NonceSize()
	secret, err := s.aead.Open(nil, raw[:n], raw[n:], []byte(place))
	if err != nil {
		return nil, errSealed
	}
	return secret, nil
}

// keyFile holds the key that wraps the data key, where the user gave none. It
// protects a copy of the databases, not a stolen disk.
const keyFile = "master.key"

// minEncryptionKey is the shortest text that is taken for a key, in bytes.
const minEncryptionKey = 16

// masterKey returns the key that wraps the data key: derived from the user's
// text, else read from the key file. fresh says that there are no databases yet,
// so that the file may be made; otherwise a missing one is an error, for what is
// sealed could never be opened again.
func masterKey(dir string, user Secret, fresh bool) (key []byte, made string, err error) {
	if user.IsSet() {
		if len(user.text) < minEncryptionKey {
			return nil, "", fmt.Errorf("the encryption key needs at least %d characters", minEncryptionKey)
		}
		key, err = hkdf.Key(sha256.New, []byte(user.text), nil, "nine-router master key", 32)
		return key, "", err
	}
	path := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		key, err = hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(key) != 32 {
			return nil, "", fmt.Errorf("reading %s: it does not hold 64 hexadecimal digits", path)
		}
		return key, "", nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, "", fmt.Errorf("reading the master key: %w", err)
	case !fresh:
		return nil, "", fmt.Errorf("%w: %s is missing, and no encryption_key is set", ErrWrongKey, path)
	}
	key = make([]byte, 32)
	rand.Read(key)
	return key, path, writeFile(path, []byte(hex.EncodeToString(key)+"\n"))
}

// writeFile makes a file that only we may read, and sees it to the disk.
func writeFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the master key: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
