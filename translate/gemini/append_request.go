package gemini

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/effort"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// AppendRequest implements [translate.Codec]. The model is not part of the body,
// but decides what may stand in it. A count of tokens has the request in a member,
// because beside it the API takes the conversation alone
// (https://ai.google.dev/api/tokens).
func (Codec) AppendRequest(dst []byte, r *translate.Request, losses *translate.Losses) (out []byte, err error) {
	w := requestWriter{b: append(dst, '{'), r: r, losses: losses, same: r.Format == translate.Gemini}
	if r.CountOnly {
		w.b = append(w.b, `"generateContentRequest":{`...)
		w.b = rawjson.AppendMember(w.b, "model", "models/"+strings.TrimPrefix(r.Model, "models/"))
		defer func() {
			if err == nil {
				out = append(out, '}')
			}
		}()
	}
	v := effort.GeminiVersion(r.Model)
	w.signed, w.loose = v >= 3, v > 0 && v < 3
	rest := w.system()
	if len(rest) == 0 {
		return nil, translate.Invalid("contents", "The conversation has instructions only: it needs a message of the user.")
	}
	if w.contents(rest, len(r.Messages)-len(rest)); strings.HasSuffix(tree.View(w.b), "[]") {
		return nil, translate.NothingLeft("contents")
	}
	w.tools()
	w.toolConfig()
	w.config()
	w.settings()
	return append(w.b, '}'), nil
}

type requestWriter struct {
	b      []byte
	r      *translate.Request
	losses *translate.Losses
	same   bool // the request came in this format
	signed bool // the model refuses calls without a signature
	loose  bool // the model cannot be held to the form of its answer beside tools
	// schema is what the answer must obey where the model cannot be told so
	// beside tools.
	schema string
}

// anySignature stands for the signature of a call that another model made. Google
// documents it for just that
// (https://ai.google.dev/gemini-api/docs/thought-signatures).
const anySignature = "skip_thought_signature_validator"

// fields writes in the same format what the model has no place for, and lists it
// otherwise.
func (w *requestWriter) fields(path string, fields []translate.Field) {
	for _, f := range fields {
		switch {
		case f.Value == "":
		case w.same:
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
		default:
			w.losses.Drop(path+"."+f.Name, "Gemini has no such member")
		}
	}
}

// system writes the instructions that stand before the conversation and returns
// the rest of it.
func (w *requestWriter) system() []translate.Message {
	all := w.r.Messages
	n := 0
	for n < len(all) && (all[n].Role == translate.RoleSystem || all[n].Role == translate.RoleDeveloper) && (n == 0 || !w.same) {
		n++
	}
	w.schema = w.told()
	if n == 0 && w.schema == "" {
		return all
	}
	w.b = append(rawjson.AppendName(w.b, "systemInstruction"), `{"parts":[`...)
	for i := range all[:n] {
		for j := range all[i].Parts {
			w.part(fmt.Sprintf("messages[%d].content[%d]", i, j), &all[i].Parts[j], "")
		}
	}
	if w.schema != "" {
		w.b = rawjson.AppendMember(append(rawjson.AppendComma(w.b), '{'), "text", w.schema)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
	for i := range all[:n] {
		w.speaker(i, &all[i])
	}
	w.b = append(w.b, '}')
	return all[n:]
}

// speaker deals with what a message has beside its parts.
func (w *requestWriter) speaker(i int, m *translate.Message) {
	path := fmt.Sprintf("messages[%d]", i)
	w.fields(path, m.Extra)
	if m.Name != "" {
		w.losses.Drop(path+".name", "messages have no names here")
	}
}

func sideOf(r translate.Role) string {
	if r == translate.RoleAssistant {
		return "model"
	}
	return "user"
}

// contents writes the conversation. Turns of one side that follow each other are
// one here, because all results must stand together in the turn after the calls.
func (w *requestWriter) contents(all []translate.Message, offset int) {
	w.b = append(rawjson.AppendName(w.b, "contents"), '[')
	for i := 0; i < len(all); {
		j := i + 1
		for !w.same && j < len(all) && sideOf(all[j].Role) == sideOf(all[i].Role) {
			j++
		}
		w.turn(all[i:j], offset+i)
		i = j
	}
	w.b = append(w.b, ']')
}

func (w *requestWriter) turn(messages []translate.Message, first int) {
	mark := len(w.b)
	w.b = append(rawjson.AppendComma(w.b), `{"role":"`...)
	w.b = append(append(w.b, sideOf(messages[0].Role)...), `","parts":[`...)
	from := len(w.b)
	t := turn{w: w}
	for pass := range 2 {
		for k := range messages {
			m := &messages[k]
			for j := range m.Parts {
				p := &m.Parts[j]
				// Results come before whatever else is in the turn. In the same
				// format the order is the client's own.
				if w.same && pass == 1 || !w.same && (p.Kind == translate.ToolResult) == (pass == 1) {
					continue
				}
				path := fmt.Sprintf("messages[%d].content[%d]", first+k, j)
				if m.Role == translate.RoleSystem || m.Role == translate.RoleDeveloper {
					w.losses.Approximate(path, "instructions amid the conversation became the user's words")
				}
				t.part(path, p)
			}
		}
	}
	t.flush()
	if len(w.b) == from && !w.same {
		w.b = w.b[:mark] // The API refuses turns without parts.
		w.losses.Drop(fmt.Sprintf("messages[%d]", first), "a message without content")
		return
	}
	w.b = append(w.b, ']')
	for k := range messages {
		w.speaker(first+k, &messages[k])
	}
	w.b = append(w.b, '}')
}

// A turn puts signatures to the parts that follow them.
type turn struct {
	w       *requestWriter
	pending string // a signature
	called  bool   // there was a call, whose signature holds for those after it
}

func (t *turn) flush() {
	if t.pending != "" {
		t.w.b = rawjson.AppendMember(append(rawjson.AppendComma(t.w.b), `{"text":""`...), "thoughtSignature", t.pending)
		t.w.b = append(t.w.b, '}')
		t.pending = ""
	}
}

func (t *turn) part(path string, p *translate.Part) {
	w := t.w
	switch p.Kind {
	case translate.Reasoning:
		if p.SignedBy != translate.Gemini && !w.same {
			w.losses.Drop(path, "reasoning of another provider, without a signature that Gemini takes")
			return
		}
		t.flush()
		signature, own := strings.CutPrefix(p.Signature, onThought)
		foreign := p.SignedBy != translate.Gemini && (p.Signature != "" || p.Redacted != "")
		if foreign {
			w.losses.Drop(path, "reasoning of another provider, without a signature that Gemini takes")
			signature, own = "", false
		}
		if p.Text != "" || own || w.same && signature == "" && !foreign {
			w.b = rawjson.AppendMember(append(rawjson.AppendComma(w.b), '{'), "text", p.Text)
			w.b = rawjson.AppendBool(w.b, "thought", true)
			if own {
				w.b = rawjson.AppendMember(w.b, "thoughtSignature", signature)
			}
			w.fields(path, p.Extra)
			w.b = append(w.b, '}')
		}
		if !own {
			t.pending = signature
		}
		return
	case translate.ToolCall:
		if t.pending == "" && !t.called && w.signed && !w.same {
			t.pending = anySignature
		}
		t.called = true
	case translate.Text, translate.Image, translate.Audio, translate.File:
	default:
		t.flush()
	}
	if w.part(path, p, t.pending) {
		t.pending = ""
	}
}

// part writes one part with its signature, or nothing but a loss.
func (w *requestWriter) part(path string, p *translate.Part, signature string) bool {
	mark := len(w.b)
	if p.Kind == translate.Server {
		if p.RawFormat != translate.Gemini {
			w.losses.Drop(path, "a part that only its own format knows")
			return false
		}
		w.b = append(rawjson.AppendComma(w.b), p.Raw...)
		return true
	}
	w.b = append(rawjson.AppendComma(w.b), '{')
	if !w.payload(path, p) {
		w.b = w.b[:mark]
		return false
	}
	if signature != "" {
		w.b = rawjson.AppendMember(w.b, "thoughtSignature", signature)
	}
	if p.Cache != nil {
		w.losses.Drop(path+".cache_control", "Gemini caches on its own")
	}
	if p.Citations != "" {
		w.losses.Drop(path+".citations", "Gemini takes no citations")
	}
	if p.Kind != translate.ToolCall && p.Kind != translate.ToolResult {
		w.fields(path, p.Extra)
	}
	w.b = append(w.b, '}')
	return true
}

func (w *requestWriter) payload(path string, p *translate.Part) bool {
	switch p.Kind {
	case translate.Text, translate.Refusal:
		if p.Text == "" && !w.same {
			return false
		}
		if p.Kind == translate.Refusal {
			w.losses.Approximate(path, "a refusal became text")
		}
		w.b = rawjson.AppendMember(w.b, "text", p.Text)
	case translate.Image, translate.Audio, translate.File:
		return w.media(path, p.Media)
	case translate.ToolCall:
		w.call(path, p)
	case translate.ToolResult:
		w.result(path, p)
	case translate.ToolReference:
		w.losses.Approximate(path, "the name of a tool that was found became text")
		w.b = rawjson.AppendMember(w.b, "text", p.Text)
	default:
		w.losses.Drop(path, "Gemini has no such part")
		return false
	}
	return true
}

// media writes bytes or an address. Gemini fetches addresses itself.
func (w *requestWriter) media(path string, m *translate.Media) bool {
	if m.Detail != "" {
		w.losses.Drop(path+".detail", "images have no resolution hint here")
	}
	kind := m.Type
	if kind == "" {
		kind = mimeOf(m.Name, m.URL)
	}
	name, address := "inlineData", m.URL
	switch {
	case m.Data != "":
	case m.Text != "":
		w.losses.Approximate(path, "a text document became text")
		w.b = rawjson.AppendMember(w.b, "text", m.Text)
		return true
	case m.URL != "":
		name = "fileData"
	case m.FileID != "" && isUpload(m.FileID) && (w.same || strings.Contains(m.FileID, "://")):
		name, address = "fileData", m.FileID
	default:
		w.losses.Drop(path, "an upload at another provider")
		return false
	}
	w.b = append(rawjson.AppendName(w.b, name), '{')
	if kind != "" {
		w.b = rawjson.AppendMember(w.b, "mimeType", kind)
	}
	if name == "inlineData" {
		w.b = rawjson.AppendMember(w.b, "data", m.Data)
	} else {
		w.b = rawjson.AppendMember(w.b, "fileUri", address)
	}
	if m.Name != "" {
		w.b = rawjson.AppendMember(w.b, "displayName", m.Name)
	}
	w.b = append(w.b, '}')
	return true
}

// mimeOf guesses what a file is by the end of its name or address: the API wants
// to be told.
func mimeOf(names ...string) string {
	for _, name := range names {
		name, _, _ = strings.Cut(strings.ToLower(name), "?")
		for end, kind := range map[string]string{
			".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif", ".heic": "image/heic",
			".pdf": "application/pdf", ".txt": "text/plain", ".md": "text/markdown", ".csv": "text/csv", ".html": "text/html",
			".mp3": "audio/mp3", ".wav": "audio/wav", ".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime",
		} {
			if strings.HasSuffix(name, end) {
				return kind
			}
		}
		if strings.Contains(name, "youtube.com/") || strings.Contains(name, "youtu.be/") {
			return "video/mp4"
		}
	}
	return ""
}

func (w *requestWriter) call(path string, p *translate.Part) {
	c := p.Call
	w.b = append(rawjson.AppendName(w.b, "functionCall"), '{')
	if c.ID != "" && !marked(p.Extra) {
		w.b = rawjson.AppendMember(w.b, "id", c.ID)
	}
	w.b = rawjson.AppendMember(w.b, "name", c.Name)
	var exact bool
	if w.b, exact = answer.AppendArguments(rawjson.AppendName(w.b, "args"), c.Arguments, c.Custom); !exact {
		w.losses.Approximate(path+".arguments", "arguments that are not a JSON object were wrapped in one")
	}
	w.b = append(w.b, '}')
	w.fields(path, p.Extra)
}

// marked says that the gateway made the id of a call or a result.
func marked(fields []translate.Field) bool {
	for _, f := range fields {
		if f.Name == ownID && f.Value == "" {
			return true
		}
	}
	return false
}

// result writes what a call gave. A text stays one, in the member that Google
// names for it: an object would lose the digits of its numbers.
func (w *requestWriter) result(path string, p *translate.Part) {
	res := p.Result
	w.b = append(rawjson.AppendName(w.b, "functionResponse"), '{')
	if res.CallID != "" && !marked(p.Extra) {
		w.b = rawjson.AppendMember(w.b, "id", res.CallID)
	}
	name := res.Name
	if name == "" {
		if name = w.nameOf(res.CallID); name == "" {
			w.losses.Approximate(path+".name", "a result of a call that is not in the conversation")
			name = "unknown"
		}
	}
	w.b = rawjson.AppendMember(w.b, "name", name)
	var texts strings.Builder
	var rest []int
	for k := range res.Parts {
		c := &res.Parts[k]
		at := fmt.Sprintf("%s.content[%d]", path, k)
		if c.Cache != nil {
			w.losses.Drop(at+".cache_control", "Gemini caches on its own")
		}
		s := c.Text
		switch {
		case c.Kind == translate.Text:
		case c.Kind == translate.ToolReference:
			w.losses.Approximate(at, "the name of a tool that was found became text")
		case c.Media != nil && c.Media.Text != "":
			w.losses.Approximate(at, "a text document became text")
			s = c.Media.Text
		case c.Media != nil, c.RawFormat == translate.Gemini:
			rest = append(rest, k)
			continue
		default:
			w.losses.Approximate(at, "a block that only its own format knows became text")
			s = c.Raw
		}
		if texts.Len() > 0 {
			texts.WriteByte('\n')
		}
		texts.WriteString(s)
		if c.Kind == translate.Text && !w.same {
			w.fields(at, c.Extra)
		}
	}
	w.b = rawjson.AppendName(w.b, "response")
	if p.RawFormat == translate.Gemini && p.Raw != "" {
		w.b = append(w.b, p.Raw...)
	} else {
		member := "output"
		if res.IsError {
			member = "error"
		}
		w.b = append(rawjson.AppendMember(append(w.b, '{'), member, texts.String()), '}')
	}
	if len(rest) > 0 {
		w.b = append(rawjson.AppendName(w.b, "parts"), '[')
		for _, k := range rest {
			w.part(fmt.Sprintf("%s.content[%d]", path, k), &res.Parts[k], "")
		}
		w.b = append(w.b, ']')
	}
	w.fields(path, p.Extra)
	w.b = append(w.b, '}')
}

// nameOf returns the name of the tool that was called.
func (w *requestWriter) nameOf(id string) string {
	for i := len(w.r.Messages) - 1; i >= 0; i-- {
		parts := w.r.Messages[i].Parts
		for j := range parts {
			if c := parts[j].Call; c != nil && c.ID == id {
				return c.Name
			}
		}
	}
	return ""
}
