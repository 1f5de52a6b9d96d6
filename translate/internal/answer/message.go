package answer

import (
	"strconv"
	"strings"
)

// maxMessage bounds the text of an error, in bytes.
const maxMessage = 4 << 10

// Bounded copies a text, cut to what an error may hold.
func Bounded(s string) string {
	return strings.ToValidUTF8(strings.Clone(s[:min(len(s), maxMessage)]), "\ufffd")
}

// PlainText makes a message of a body that is not JSON. A page of HTML says
// nothing to a client of an API.
func PlainText(body []byte, status int) string {
	s := strings.TrimSpace(string(body[:min(len(body), 512)]))
	if s == "" || strings.HasPrefix(s, "<") {
		return "The provider answered with status " + strconv.Itoa(status) + " and no explanation."
	}
	return Bounded(s)
}
