package gemini

import (
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// members are what a candidate has beside its content, of which other formats
// know at most a part.
var members = [...]string{"groundingMetadata", "citationMetadata", "urlContextMetadata", "safetyRatings"}

// sources takes what a candidate's text is founded on: each source as a citation,
// and the member as it stood for clients of this format.
func (d *decoder) sources(i int, v *fastjson.Value) error {
	for _, name := range members {
		m := v.Get(name)
		if tree.IsNull(m) || name == "safetyRatings" && tree.Text(v, "finishReason") == "" {
			continue
		}
		var err error
		switch name {
		case "groundingMetadata":
			err = d.grounding(i, m)
		case "citationMetadata":
			for _, c := range m.GetArray("citations") {
				from, _ := tree.Int(c, "startIndex")
				to, _ := tree.Int(c, "endIndex")
				if err = d.cite(i, tree.Text(c, "uri"), tree.Text(c, "title"), from, to, c); err != nil {
					break
				}
			}
		}
		if err != nil {
			return err
		}
		d.raw = rawjson.AppendValue(d.raw[:0], m)
		d.Ev = translate.Event{Kind: translate.Unknown, Choice: i, Name: name, Raw: tree.View(d.raw), RawFormat: translate.Gemini}
		if err := d.Emit(); err != nil {
			return err
		}
		d.Ev = translate.Event{Choice: i}
	}
	return nil
}

// grounding takes https://ai.google.dev/api/generate-content#GroundingMetadata:
// each piece of the text with each of its sources.
func (d *decoder) grounding(i int, v *fastjson.Value) error {
	chunks := v.GetArray("groundingChunks")
	for _, s := range v.GetArray("groundingSupports") {
		from, _ := tree.Int(s, "segment", "startIndex")
		to, _ := tree.Int(s, "segment", "endIndex")
		for _, n := range s.GetArray("groundingChunkIndices") {
			k := n.GetInt()
			if k < 0 || k >= len(chunks) {
				continue
			}
			source := chunks[k].Get("web")
			if tree.IsNull(source) {
				source = chunks[k].Get("maps")
			}
			if tree.IsNull(source) {
				source = chunks[k].Get("retrievedContext")
			}
			if tree.IsNull(source) {
				continue
			}
			if err := d.cite(i, tree.Text(source, "uri"), tree.Text(source, "title"), from, to, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// cite hands on a source of the text in the form of Chat Completions, which counts
// characters where Google counts bytes; one without an address as it stood.
func (d *decoder) cite(i int, uri, title string, from, to int64, v *fastjson.Value) error {
	c := &d.choices[i]
	if c.part != translate.Text {
		if err := d.open(i, translate.Text); err != nil {
			return err
		}
	}
	if uri == "" {
		d.raw = rawjson.AppendValue(d.raw[:0], v)
		d.Ev.RawFormat = translate.Gemini
	} else {
		b := rawjson.AppendMember(append(d.raw[:0], `{"type":"url_citation","url_citation":{`...), "url", uri)
		b = rawjson.AppendMember(b, "title", title)
		b = strconv.AppendInt(rawjson.AppendName(b, "start_index"), c.runes.count(from), 10)
		b = strconv.AppendInt(rawjson.AppendName(b, "end_index"), c.runes.count(to), 10)
		d.raw = append(b, "}}"...)
		d.Ev.RawFormat = translate.OpenAI
	}
	d.Ev.Kind, d.Ev.Choice, d.Ev.Block, d.Ev.Part, d.Ev.Raw = translate.Citation, i, c.block, translate.Text, tree.View(d.raw)
	err := d.Emit()
	d.Ev.Raw, d.Ev.RawFormat = "", ""
	return err
}

// A runeMap tells at which character of a text a byte stands. It keeps a bit for
// each byte, and nothing for a text that is all ASCII.
type runeMap struct {
	bytes int
	inner []uint64 // a bit for each byte that is not the first of its character
}

func (m *runeMap) add(s string) {
	for k := range len(s) {
		if s[k] >= utf8.RuneSelf && !utf8.RuneStart(s[k]) {
			at := m.bytes + k
			for len(m.inner) <= at/64 {
				m.inner = append(m.inner, 0)
			}
			m.inner[at/64] |= 1 << (at % 64)
		}
	}
	m.bytes += len(s)
}

// count returns how many characters begin before a byte.
func (m *runeMap) count(at int64) int64 {
	at = max(0, min(at, int64(m.bytes)))
	n := at
	for k := range min(at, int64(len(m.inner))*64) {
		if m.inner[k/64]&(1<<(k%64)) != 0 {
			n--
		}
	}
	return n
}

// appendLogProbs appends a piece's probabilities in the form of Chat Completions.
func appendLogProbs(b []byte, v *fastjson.Value) []byte {
	top := v.GetArray("topCandidates")
	b = append(b, `{"content":[`...)
	for k, c := range v.GetArray("chosenCandidates") {
		b = appendLogProb(append(rawjson.AppendComma(b), '{'), c)
		b = append(b, `,"top_logprobs":[`...)
		if k < len(top) {
			for _, t := range top[k].GetArray("candidates") {
				b = append(appendLogProb(append(rawjson.AppendComma(b), '{'), t), '}')
			}
		}
		b = append(b, "]}"...)
	}
	return append(b, `],"refusal":null}`...)
}

func appendLogProb(b []byte, v *fastjson.Value) []byte {
	token := tree.Text(v, "token")
	b = rawjson.AppendMember(b, "token", token)
	b = rawjson.AppendName(b, "logprob")
	if n := v.Get("logProbability"); n != nil {
		b = rawjson.AppendValue(b, n)
	} else {
		b = append(b, '0') // what is 0 is not sent
	}
	b = append(b, `,"bytes":[`...)
	for k := range len(token) {
		b = strconv.AppendInt(rawjson.AppendComma(b), int64(token[k]), 10)
	}
	return append(b, ']')
}
