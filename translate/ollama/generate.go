package ollama

import "github.com/nine-router/nine-router/translate"

// generateMark is the member of Request.Extra, without a value, that tells a
// request of /api/generate from one of /api/chat. Within the model a prompt is a
// conversation of one message, so that every provider can answer it.
const generateMark = "prompt"

// IsGenerate says that a request came to /api/generate
// (https://docs.ollama.com/api/generate). It goes out to that path of another
// Ollama, and is answered in the form of that path.
func IsGenerate(r *translate.Request) bool {
	if r == nil || r.Format != translate.Ollama {
		return false
	}
	for i := range r.Extra {
		if r.Extra[i].Name == generateMark && r.Extra[i].Value == "" {
			return true
		}
	}
	return false
}
