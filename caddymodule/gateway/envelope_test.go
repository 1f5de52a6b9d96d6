package gateway

import (
	"strings"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/translate"
)

// BenchmarkPatch is what the gateway does to a body that passes through: it checks
// that it is JSON, finds what it has to know, and sets the model's name.
func BenchmarkPatch(b *testing.B) {
	message := `{"role":"user","content":"` + strings.Repeat("All work and no play makes a dull day. ", 200) + `"},`
	body := []byte(`{"model":"up/m","messages":[` + strings.TrimSuffix(strings.Repeat(message, 64), ",") + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		e, err := open(body, &call{op: provider.Chat, format: translate.OpenAI}, "")
		if err != nil {
			b.Fatal(err)
		}
		if p := e.withModel("m"); p.Len() != int64(len(body)-3) {
			b.Fatal(p.Len())
		}
	}
}
