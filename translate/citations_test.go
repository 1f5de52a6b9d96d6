package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
	"github.com/nine-router/nine-router/translate/internal/cite"
)

// pages lists what an answer cites, in order.
func pages(a *translate.Answer) (list []string) {
	for _, c := range a.Choices {
		for _, b := range c.Blocks {
			for _, s := range b.Citations {
				if p, ok := cite.Of(s.Raw, s.RawFormat); ok {
					list = append(list, p.URL+" "+p.Title)
				}
			}
		}
	}
	return list
}

// The pages that an answer cites are cited in every format that has such a thing.
func TestPagesStayCited(t *testing.T) {
	t.Parallel()
	cited := 0
	for _, kind := range []string{"stream", "response"} {
		for _, f := range fixtures(t, kind) {
			var original translate.Collector
			if decode(upstreams[f.Format], f.body, translate.DecodeOptions{Stream: kind == "stream"}, &original, whole) != nil {
				continue
			}
			want := pages(&original.Answer)
			if len(want) == 0 {
				continue
			}
			cited++
			for name, to := range codecs {
				if name == "ollama" || name == "gemini" && f.Format == "gemini" { // which has them as they stood
					continue
				}
				for _, stream := range []bool{true, false} {
					enc := to.NewEncoder(translate.EncodeOptions{Stream: stream, Model: "m", ID: "x"})
					if err := decode(upstreams[f.Format], f.body, translate.DecodeOptions{Stream: kind == "stream"}, enc, whole); err != nil {
						t.Fatal(err)
					}
					var again translate.Collector
					if err := decode(to, enc.Bytes(), translate.DecodeOptions{Stream: stream}, &again, whole); err != nil {
						t.Fatal(err)
					}
					if got := pages(&again.Answer); strings.Join(got, "\n") != strings.Join(want, "\n") {
						t.Errorf("%s → %s stream=%v: %d pages, want %d\n%.300s\n%.300s", f.File, name, stream, len(got), len(want), got, want)
					}
				}
			}
		}
	}
	if cited < 5 {
		t.Errorf("only %d recordings cite pages", cited)
	}
}

// The place of a page is that of its block, in characters; and Anthropic is not
// sent a citation that was made here.
func TestPlacesOfPages(t *testing.T) {
	t.Parallel()
	const body = `{"id":"m","type":"message","role":"assistant","content":[{"type":"text","text":"Größe: "},{"type":"text","text":"drei.","citations":[{"type":"web_search_result_location","url":"https://a.example/","title":"A","encrypted_index":"E","cited_text":"three"}]}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`
	for name, want := range map[string]string{
		"openai-chat":      `{"url":"https://a.example/","title":"A","start_index":7,"end_index":12}`,
		"openai-responses": `"url":"https://a.example/","title":"A","start_index":0,"end_index":5}`,
		"gemini":           `{"segment":{"startIndex":7,"endIndex":12},"groundingChunkIndices":[0]}`,
	} {
		for _, stream := range []bool{true, false} {
			enc := codecs[name].NewEncoder(translate.EncodeOptions{Stream: stream, ID: "x", Model: "m"})
			if err := decode(anthropic.Codec{}, []byte(body), translate.DecodeOptions{}, enc, whole); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(enc.Bytes()), want) {
				t.Errorf("%s stream=%v: %s", name, stream, enc.Bytes())
			}
		}
	}
	p := cite.Page{URL: "https://a.example/"}
	r, err := anthropic.Codec{}.DecodeRequest([]byte(fmt.Sprintf(`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":"y","citations":[%s]}]}]}`, p.AppendLocation(nil))), translate.RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if out, err := (anthropic.Codec{}).AppendRequest(nil, r, nil); err != nil || strings.Contains(string(out), "citations") {
		t.Errorf("%v %s", err, out)
	}
}
