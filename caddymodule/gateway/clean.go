package gateway

import (
	"regexp"
	"strings"

	"github.com/nine-router/nine-router/store"
)

// clean takes our credential out of a provider's text.
func (a *attempt) clean(text string) string { return clean(text, a.Connection.APIKey) }

// credentialLike is what looks like a key, whole or with its middle masked: providers
// quote those that they do not know, and it is not always the one that we sent.
var credentialLike = regexp.MustCompile(`\b(?:sk|pk|rk|gsk|xai|nvapi|hf|AIza|ya29)[-_.][-\w*•.…]{8,}|\bAIza[-\w*]{8,}|\b[\w-]{2,}\*{3,}[\w-]*`)

// clean takes our credential out of a provider's text, which may quote it, and
// bounds the text.
func clean(text string, credential store.Secret) string {
	if key := credential.Reveal(); key != "" {
		text = strings.ReplaceAll(text, key, "[redacted]")
	}
	text = credentialLike.ReplaceAllString(text, "[redacted]")
	if len(text) > 2000 {
		text = strings.ToValidUTF8(text[:2000], "") + "…"
	}
	if text == "" {
		text = "The provider gave no reason."
	}
	return text
}
