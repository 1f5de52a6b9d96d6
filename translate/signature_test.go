package translate_test

import (
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
)

// A sealed signature is told from a client's own, comes back as it was, and is
// found in a body wherever it stands.
func TestSeals(t *testing.T) {
	t.Parallel()
	for _, by := range []translate.Format{translate.OpenAI, translate.Responses, translate.Anthropic, translate.Gemini, translate.Ollama} {
		for _, signature := range []string{"c2ln", "not base64!", "nr", "S"} {
			sealed := translate.SealBase64(by, signature)
			if got, maker := translate.OpenSeal(sealed, "own"); got != signature || maker != by {
				t.Errorf("%s %q became %q of %s", by, signature, got, maker)
			}
			for _, body := range []string{sealed, "S" + sealed, strings.Repeat("S", 100) + "nrS" + sealed + "x"} {
				if !translate.HasSeal([]byte(body)) {
					t.Errorf("no seal is found in %q", body)
				}
			}
		}
	}
	for _, s := range []string{"", "S", "nrSig", "Sig1", "nrSig1C", "plain"} {
		if got, maker := translate.OpenSeal(s, "own"); got != s || maker != "own" {
			t.Errorf("%q became %q of %s", s, got, maker)
		}
	}
	if translate.HasSeal([]byte("Sig1 nrSi nr Sig1 S")) {
		t.Error("a seal is found where there is none")
	}
}

func BenchmarkHasSeal(b *testing.B) {
	body := []byte(strings.Repeat("All work and no play makes a dull day. Some say so, Sam. ", 9000))
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if translate.HasSeal(body) {
			b.Fatal("found")
		}
	}
}
