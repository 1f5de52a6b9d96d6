package gemini

import (
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/cite"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// metadata is what a candidate has beside its content.
type metadata struct {
	kept     []translate.Field // members as Google sent them
	chunks   []byte            // sources, as elements of groundingChunks
	supports []byte            // what they support, as elements of groundingSupports
	count    int
}

// keep notes a member as Google sent it; the last one holds.
func (m *metadata) keep(name, raw string) {
	f := translate.Field{Name: strings.Clone(name), Value: strings.Clone(raw)}
	if i := slices.IndexFunc(m.kept, func(k translate.Field) bool { return k.Name == f.Name }); i >= 0 {
		m.kept[i] = f
		return
	}
	m.kept = append(m.kept, f)
}

// cite notes a page that supports the text. Places count bytes here and characters
// in other formats; they stand as they are.
func (m *metadata) cite(raw string, format translate.Format, place *cite.Place, losses *translate.Losses) {
	if format == translate.Gemini {
		return // is in the member as well
	}
	page, ok := cite.Of(raw, format)
	if !ok {
		losses.Drop("citations", "citations of another format")
		return
	}
	place.Put(&page)
	comma := func(b []byte) []byte {
		if len(b) > 0 {
			return append(b, ',')
		}
		return b
	}
	m.chunks = append(comma(m.chunks), `{"web":{`...)
	m.chunks = rawjson.AppendMember(rawjson.AppendMember(m.chunks, "uri", page.URL), "title", page.Title)
	m.chunks = append(m.chunks, "}}"...)
	m.supports = append(comma(m.supports), `{"segment":{"startIndex":`...)
	m.supports = append(strconv.AppendInt(m.supports, page.Start, 10), `,"endIndex":`...)
	m.supports = append(strconv.AppendInt(m.supports, page.End, 10), `},"groundingChunkIndices":[`...)
	m.supports = append(strconv.AppendInt(m.supports, int64(m.count), 10), "]}"...)
	m.count++
}

// append appends the members.
func (m *metadata) append(b []byte) []byte {
	grounded := m.count == 0
	for _, f := range m.kept {
		grounded = grounded || f.Name == "groundingMetadata" || f.Name == "citationMetadata"
		b = rawjson.AppendMemberRaw(b, f.Name, f.Value)
	}
	if !grounded {
		b = append(append(rawjson.AppendName(b, "groundingMetadata"), `{"groundingChunks":[`...), m.chunks...)
		b = append(append(append(b, `],"groundingSupports":[`...), m.supports...), "]}"...)
	}
	return b
}

// appendElements appends the elements of probabilities in the form of Chat
// Completions; false is another form.
func appendElements(b []byte, raw string, format translate.Format) ([]byte, bool) {
	if format != translate.OpenAI {
		return b, false
	}
	v, err := fastjson.Parse(raw)
	if err != nil {
		return b, false
	}
	for _, e := range v.GetArray("content") {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = rawjson.AppendValue(b, e)
	}
	return b, true
}

// appendLogProbsResult appends the elements in Google's form.
func appendLogProbsResult(b []byte, elements []byte) []byte {
	v, err := fastjson.ParseBytes(append(append([]byte{'['}, elements...), ']'))
	if err != nil {
		return b
	}
	one := func(b []byte, e *fastjson.Value) []byte {
		b = rawjson.AppendMember(append(rawjson.AppendComma(b), '{'), "token", tree.Text(e, "token"))
		if n := e.Get("logprob"); n != nil {
			b = rawjson.AppendValue(rawjson.AppendName(b, "logProbability"), n)
		}
		return append(b, '}')
	}
	b = append(rawjson.AppendName(b, "logprobsResult"), `{"chosenCandidates":[`...)
	for _, e := range v.GetArray() {
		b = one(b, e)
	}
	b = append(b, `],"topCandidates":[`...)
	for _, e := range v.GetArray() {
		b = append(rawjson.AppendComma(b), `{"candidates":[`...)
		for _, t := range e.GetArray("top_logprobs") {
			b = one(b, t)
		}
		b = append(b, "]}"...)
	}
	return append(b, "]}"...)
}
