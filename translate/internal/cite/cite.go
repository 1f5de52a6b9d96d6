// Package cite carries citations of web pages between formats. Chat Completions,
// Responses and Gemini say which characters of a text a page supports; Messages
// cuts the text into blocks and puts the pages to the block.
package cite

import (
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// A Page is a page that supports a text. Start and End count characters; both are
// 0 where the format does not tell them.
type Page struct {
	URL, Title, Quote string
	Start, End        int64
}

// Of reads a citation; false is one that is not of a page.
func Of(raw string, format translate.Format) (Page, bool) {
	v, err := fastjson.Parse(raw)
	if err != nil {
		return Page{}, false
	}
	kind := tree.TextAt(v, "type")
	c := v
	switch {
	case format == translate.OpenAI && kind == "url_citation":
		if c = v.Get("url_citation"); tree.IsNull(c) {
			return Page{}, false
		}
	case format == translate.Responses && kind == "url_citation":
	case format == translate.Anthropic && kind == "web_search_result_location":
		p := Page{URL: tree.Text(v, "url"), Title: tree.Text(v, "title"), Quote: tree.Text(v, "cited_text")}
		return p, p.URL != ""
	default:
		return Page{}, false
	}
	p := Page{URL: tree.Text(c, "url"), Title: tree.Text(c, "title")}
	p.Start, _ = tree.Int(c, "start_index")
	p.End, _ = tree.Int(c, "end_index")
	return p, p.URL != ""
}

// AppendMembers appends the members of an OpenAI url_citation.
func (p *Page) AppendMembers(b []byte) []byte {
	b = rawjson.AppendMember(b, "url", p.URL)
	b = rawjson.AppendMember(b, "title", p.Title)
	b = strconv.AppendInt(rawjson.AppendName(b, "start_index"), p.Start, 10)
	return strconv.AppendInt(rawjson.AppendName(b, "end_index"), p.End, 10)
}

// AppendLocation appends the page as Messages has it. The opaque index, by which
// only Anthropic finds the page again, is a seal: such a citation is not sent on.
func (p *Page) AppendLocation(b []byte) []byte {
	b = append(b, `{"type":"web_search_result_location"`...)
	b = rawjson.AppendMember(b, "url", p.URL)
	b = rawjson.AppendMember(b, "title", p.Title)
	b = rawjson.AppendMember(b, "encrypted_index", translate.Seal(translate.OpenAI))
	return append(rawjson.AppendMember(b, "cited_text", p.Quote), '}')
}

// A Place tells how far a choice's text has come, in characters, and where its
// last block began.
type Place struct{ Start, End int64 }

// Begin notes the beginning of a block of text.
func (p *Place) Begin() { p.Start = p.End }

// Add notes a piece of it.
func (p *Place) Add(text string) { p.End += int64(utf8.RuneCountInString(text)) }

// Put sets a page's place to the block, if the page has none.
func (p *Place) Put(page *Page) {
	if page.Start == 0 && page.End == 0 {
		page.Start, page.End = p.Start, p.End
	}
}
