package gemini

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
)

// ownID is the member of Part.Extra, without a value, that tells a call or a
// result whose id the client did not send.
const ownID = "id"

// content reads one turn.
func (d *requestDecoder) content(path string, i int, v *fastjson.Value) {
	d.Object(path, v)
	if d.Err != nil {
		return
	}
	m := translate.Message{Extra: d.rest(v, "role", "parts")}
	switch text(v, "role") {
	case "model":
		m.Role = translate.RoleAssistant
	case "user", "", "function", "tool":
		m.Role = translate.RoleUser
	default:
		d.Fail(path+".role", "must be user or model")
	}
	d.parts(path, i, get(v, "parts"), &m)
	d.r.Messages = append(d.r.Messages, m)
}

func (d *requestDecoder) parts(path string, i int, v *fastjson.Value, m *translate.Message) {
	if tree.IsNull(v) {
		return
	}
	list := []*fastjson.Value{v}
	if v.Type() != fastjson.TypeObject {
		list = d.List(path+".parts", v)
	}
	m.Parts = make([]translate.Part, 0, len(list))
	for j, p := range list {
		at := fmt.Sprintf("%s.parts[%d]", path, j)
		d.Object(at, p)
		if d.Err != nil {
			return
		}
		d.part(at, i, j, p, m)
	}
}

// part reads one part. A signature becomes a part of its own in front, or joins
// the thinking that stands there.
func (d *requestDecoder) part(path string, i, j int, v *fastjson.Value, m *translate.Message) {
	signature := text(v, "thoughtSignature")
	if t, ok := tree.String(get(v, "text")); ok && v.GetBool("thought") {
		p := translate.Part{Kind: translate.Reasoning, Text: t, Extra: d.rest(v, "text", "thought", "thoughtSignature")}
		if signature != "" {
			sign(&p, signature)
			if p.SignedBy == translate.Gemini {
				p.Signature = onThought + p.Signature
			}
		}
		m.Parts = append(m.Parts, p)
		return
	}
	p, ok := d.payload(path, i, j, v)
	if !ok {
		// What Google's own tools did, as it stood, with its signature.
		m.Parts = append(m.Parts, translate.Part{Kind: translate.Server, Raw: d.Raw(v), RawFormat: translate.Gemini})
		return
	}
	if signature != "" && signature != anySignature {
		last := len(m.Parts) - 1
		if last >= 0 && m.Parts[last].Kind == translate.Reasoning && m.Parts[last].Signature == "" && m.Parts[last].Redacted == "" {
			sign(&m.Parts[last], signature)
		} else {
			s := translate.Part{Kind: translate.Reasoning}
			sign(&s, signature)
			m.Parts = append(m.Parts, s)
		}
		if p.Kind == translate.Text && p.Text == "" && len(p.Extra) == 0 {
			return // there was nothing but the signature
		}
	}
	m.Parts = append(m.Parts, p)
}

// onThought marks, in front of a signature, one that lay on the thinking itself
// and not on the part after it. Base64 has no such letter.
const onThought = "~"

// redactedMark tells, behind the seal, reasoning that is all opaque from the
// signature of one with a text.
const redactedMark = "redacted:"

func sign(p *translate.Part, signature string) {
	p.Signature, p.SignedBy = translate.OpenSeal(signature, translate.Gemini)
	if p.SignedBy != translate.Gemini {
		if rest, ok := strings.CutPrefix(p.Signature, redactedMark); ok {
			p.Signature, p.Redacted = "", rest
		}
	}
}

// payload reads what a part holds; false is something that only Google knows.
func (d *requestDecoder) payload(path string, i, j int, v *fastjson.Value) (translate.Part, bool) {
	known := [...]string{"text", "inlineData", "fileData", "functionCall", "functionResponse"}
	p := translate.Part{}
	switch {
	case !tree.IsNull(get(v, known[0])):
		p.Kind, p.Text = translate.Text, d.Text(path+".text", get(v, known[0]))
	case !tree.IsNull(get(v, known[1])), !tree.IsNull(get(v, known[2])):
		return d.media(path, v), true
	case !tree.IsNull(get(v, known[3])):
		d.call(path, i, j, get(v, known[3]), &p)
	case !tree.IsNull(get(v, known[4])):
		d.result(path, i, j, get(v, known[4]), &p)
	default:
		return p, false
	}
	p.Extra = append(p.Extra, d.rest(v, "text", "functionCall", "functionResponse", "thought", "thoughtSignature")...)
	return p, true
}

// media reads bytes or the address of a file.
func (d *requestDecoder) media(path string, v *fastjson.Value) translate.Part {
	m := &translate.Media{}
	p := translate.Part{Media: m, Extra: d.rest(v, "inlineData", "fileData", "thoughtSignature")}
	if data := get(v, "inlineData"); !tree.IsNull(data) {
		d.Object(path+".inlineData", data)
		m.Type, m.Data, m.Name = text(data, "mimeType"), standard(d.Name(path+".inlineData.data", data.Get("data"))), text(data, "displayName")
	} else {
		file := get(v, "fileData")
		d.Object(path+".fileData", file)
		m.Type, m.Name = text(file, "mimeType"), text(file, "displayName")
		uri := d.Name(path+".fileData.fileUri", get(file, "fileUri"))
		if isUpload(uri) {
			m.FileID = uri
		} else {
			m.URL = uri
		}
	}
	p.Kind = kindOf(m.Type)
	if p.Kind == translate.Audio {
		m.Format = strings.TrimPrefix(strings.TrimPrefix(m.Type, "audio/"), "x-")
	}
	return p
}

// isUpload says that an address is of a file that only Google can read: one of
// the Files API or of Cloud Storage.
func isUpload(uri string) bool {
	return strings.HasPrefix(uri, "gs://") || !strings.HasPrefix(uri, "http") || strings.HasPrefix(uri, "https://generativelanguage.googleapis.com/")
}

// kindOf tells what a file is by its MIME type.
func kindOf(mime string) translate.PartKind {
	switch {
	case strings.HasPrefix(mime, "image/"):
		return translate.Image
	case strings.HasPrefix(mime, "audio/"):
		return translate.Audio
	}
	return translate.File
}

// standard returns base64 in the alphabet that other formats insist on: Google
// takes both, and its SDKs for Python send the other.
func standard(data string) string {
	if !strings.ContainsAny(data, "-_") && len(data)%4 == 0 {
		return data
	}
	s := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(data, "="))
	if n := len(s) % 4; n > 1 {
		s += "=="[:4-n]
	}
	if _, err := base64.StdEncoding.DecodeString(s); err != nil {
		return data // for the provider to judge
	}
	return s
}

// call reads a call. Other formats cannot do without an id, so one that has none
// gets it by its place, which is the same each time the conversation is sent.
func (d *requestDecoder) call(path string, i, j int, v *fastjson.Value, p *translate.Part) {
	d.Object(path+".functionCall", v)
	if d.Err != nil {
		return
	}
	c := &translate.Call{ID: text(v, "id"), Name: d.Name(path+".functionCall.name", v.Get("name")), Arguments: "{}"}
	if a := v.Get("args"); !tree.IsNull(a) {
		d.Object(path+".functionCall.args", a)
		c.Arguments = d.Raw(a)
	}
	p.Kind, p.Call = translate.ToolCall, c
	if c.ID == "" {
		c.ID = fmt.Sprintf("call_%d_%d", i, j)
		p.Extra = append(p.Extra, translate.Field{Name: ownID})
	}
	d.waiting = append(d.waiting, c)
}

// result reads what a call gave. The object's members "output" and "error" are
// Google's words for a text and for a failure; any other object is JSON text.
func (d *requestDecoder) result(path string, i, j int, v *fastjson.Value, p *translate.Part) {
	path += ".functionResponse"
	d.Object(path, v)
	if d.Err != nil {
		return
	}
	res := &translate.Result{CallID: text(v, "id"), Name: d.Name(path+".name", v.Get("name"))}
	p.Kind, p.Result = translate.ToolResult, res
	if o := v.Get("response"); !tree.IsNull(o) {
		d.Object(path+".response", o)
		d.response(o, p)
	}
	for k, e := range get(v, "parts").GetArray() {
		at := fmt.Sprintf("%s.parts[%d]", path, k)
		d.Object(at, e)
		if d.Err != nil {
			return
		}
		if !tree.IsNull(get(e, "inlineData")) || !tree.IsNull(get(e, "fileData")) {
			res.Parts = append(res.Parts, d.media(at, e))
		} else {
			res.Parts = append(res.Parts, translate.Part{Kind: translate.Server, Raw: d.Raw(e), RawFormat: translate.Gemini})
		}
	}
	d.match(i, j, p)
	p.Extra = append(p.Extra, d.rest(v, "id", "name", "response", "parts")...)
}

func (d *requestDecoder) response(o *fastjson.Value, p *translate.Part) {
	res := p.Result
	t := translate.Part{Kind: translate.Text}
	var plain bool
	if o.GetObject().Len() == 1 {
		if t.Text, plain = tree.String(o.Get("output")); !plain {
			t.Text, plain = tree.String(o.Get("error"))
			res.IsError = plain
		}
	}
	if !plain {
		t.Text = d.Raw(o)
		p.Raw, p.RawFormat = t.Text, translate.Gemini
		res.IsError = o.GetObject().Len() == 1 && o.Get("error") != nil
	}
	res.Plain = true
	res.Parts = append(res.Parts, t)
}

// match finds the call of a result: by its id, else it is the first of that name
// that waits for one.
func (d *requestDecoder) match(i, j int, p *translate.Part) {
	res, at := p.Result, -1
	for k, c := range d.waiting {
		if res.CallID != "" && c.ID == res.CallID || res.CallID == "" && c.Name == res.Name {
			at = k
			break
		}
	}
	if res.CallID == "" {
		p.Extra = append(p.Extra, translate.Field{Name: ownID})
		res.CallID = fmt.Sprintf("call_%d_%d", i, j) // of no call at all
		if at >= 0 {
			res.CallID = d.waiting[at].ID
		}
	}
	if at >= 0 {
		d.waiting = append(d.waiting[:at], d.waiting[at+1:]...)
	}
}
