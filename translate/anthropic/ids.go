package anthropic

import (
	"strings"

	"github.com/nine-router/nine-router/translate/rawjson"
)

// Ids of calls may have letters, digits, dashes and underscores here, see
// tool_use.id in https://platform.claude.com/docs/en/api/messages. Every
// other byte, and the dash, is written as a dash and its code in an id that
// bears the prefix: no two ids become the same, and the way back is
// known.
const hexDigits = "0123456789abcdef"

func plainID(id string) bool {
	if id == "" {
		return false
	}
	for i := range len(id) {
		if !plainIDByte(id[i]) {
			return false
		}
	}
	return true
}

func plainIDByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// idPrefix begins the ids that were rewritten. One that begins so on its own is
// rewritten as well, so that the two are never taken for each other.
const idPrefix = "nrx-"

// appendID appends an id as a JSON string that the format allows.
func appendID(b []byte, id string) []byte {
	if plainID(id) && (len(id) < len(idPrefix) || id[:len(idPrefix)] != idPrefix) {
		return rawjson.AppendString(b, id)
	}
	b = append(append(b, '"'), idPrefix...)
	for i := range len(id) {
		c := id[i]
		if plainIDByte(c) && c != '-' {
			b = append(b, c)
		} else {
			b = append(b, '-', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(b, '"')
}

// plainOf returns the id that appendID rewrote, or the id itself if it did not.
func plainOf(id string) string {
	rest, ok := strings.CutPrefix(id, idPrefix)
	if !ok {
		return id
	}
	b := make([]byte, 0, len(rest))
	for i := 0; i < len(rest); i++ {
		if rest[i] != '-' {
			b = append(b, rest[i])
			continue
		}
		if i+2 >= len(rest) {
			return id
		}
		high, low := strings.IndexByte(hexDigits, rest[i+1]), strings.IndexByte(hexDigits, rest[i+2])
		if high < 0 || low < 0 {
			return id
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	return string(b)
}
