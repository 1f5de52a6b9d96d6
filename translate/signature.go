package translate

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// Signatures are opaque, and only who made them takes them back. Within its own
// format a signature goes out as it came in. In a client's other format it bears
// a seal in front that says whose it is, so that it finds back, and so that
// nobody else is given it. The seal is of letters that base64 has too, because
// some clients insist on that.
const (
	sealMark = "nrSig1" // then the maker's letter and a slash
	sealLen  = len(sealMark) + 2
)

var makers = []Format{OpenAI, Responses, Anthropic, Gemini, Ollama}

// Seal returns what stands in front of a signature of that maker in a format that
// is not the maker's own.
func Seal(by Format) string {
	for i, f := range makers {
		if f == by {
			return sealMark + string(rune('A'+i)) + "/"
		}
	}
	return ""
}

// SealBase64 returns the signature with its seal as valid base64.
func SealBase64(by Format, signature string) string {
	if _, err := base64.StdEncoding.DecodeString(signature); err == nil {
		return Seal(by) + signature
	}
	seal := []byte(Seal(by))
	if len(seal) == 0 {
		return ""
	}
	seal[len(sealMark)] += 'a' - 'A'
	return string(seal) + base64.StdEncoding.EncodeToString([]byte(signature))
}

// OpenSeal takes a signature from a client of a format and returns it as its
// maker wrote it, and who that is.
func OpenSeal(signature string, own Format) (string, Format) {
	if len(signature) < sealLen || !strings.HasPrefix(signature, sealMark) || signature[sealLen-1] != '/' {
		return signature, own
	}
	letter, rest := signature[len(sealMark)], signature[sealLen:]
	if i := int(letter) - 'A'; i >= 0 && i < len(makers) {
		return rest, makers[i]
	}
	if i := int(letter) - 'a'; i >= 0 && i < len(makers) {
		if plain, err := base64.StdEncoding.DecodeString(rest); err == nil {
			return string(plain), makers[i]
		}
	}
	return signature, own
}

// HasSeal says that a body holds a signature of another format's maker, so that
// it cannot be passed on as it is. It may say so of a body that only speaks of
// one. Every body is searched, so it looks for the letter that is rarest in text.
func HasSeal(body []byte) bool {
	const rare = 2 // of sealMark
	for at := 0; ; at++ {
		i := bytes.IndexByte(body[at:], sealMark[rare])
		if i < 0 {
			return false
		}
		if at += i; at >= rare && bytes.HasPrefix(body[at-rare:], []byte(sealMark)) {
			return true
		}
	}
}
