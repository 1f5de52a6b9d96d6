package gateway_test

import (
	"strings"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/translate"
)

// A name that means nothing is told in the client's own format, with the three
// nearest there are.
func TestAnUnknownNameInEveryFormat(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, func(o *gateway.Options) {
		o.Declared.Nodes[0].Models = []string{"sonnet-4", "sonnet-5", "sonnet-45", "elsewhere"}
	}, "a")
	for format, client := range clients {
		w := l.post(t, client.path("a1/sonnet", false), `{"model":"sonet-4","max_tokens":9,"messages":[{"role":"user","content":"x"}],"input":"x","contents":[{"parts":[{"text":"x"}]}]}`)
		body := w.Body.String()
		if w.Code != 404 || !strings.HasPrefix(body, shapes[format]) {
			t.Errorf("%s: %d %s", format, w.Code, body)
		}
		if format == translate.Gemini {
			continue // whose path has another name
		}
		for _, name := range []string{"a/sonnet-4", "a/sonnet-5", "a/sonnet-45"} {
			if !strings.Contains(body, "“"+name+"”") {
				t.Errorf("%s: %s is not in %s", format, name, body)
			}
		}
		if strings.Contains(body, "elsewhere") {
			t.Errorf("%s: %s", format, body)
		}
	}
}
