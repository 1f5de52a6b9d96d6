package ollama

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// AppendRequest implements [translate.Codec]. The body is one of /api/chat,
// unless the request came to /api/generate of this format: see [IsGenerate].
func (Codec) AppendRequest(dst []byte, r *translate.Request, losses *translate.Losses) ([]byte, error) {
	w := requestWriter{b: dst, r: r, losses: losses, same: r.Format == translate.Ollama}
	if len(r.Messages) == 0 && !w.same {
		return nil, translate.Invalid("messages", "messages must not be empty.")
	}
	w.b = append(w.b, '{')
	w.b = rawjson.AppendMember(w.b, "model", r.Model)
	if IsGenerate(r) {
		w.prompt()
	} else {
		w.messages()
	}
	w.tools()
	w.settings()
	w.options()
	if !w.same {
		losses.DropFields("", r.Extra, "Ollama has no such member")
	}
	for _, f := range r.Extra {
		switch {
		case f.Value == "" || !w.same || strings.HasPrefix(f.Name, optionPrefix):
		default:
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
		}
	}
	return append(w.b, '}'), nil
}

type requestWriter struct {
	b      []byte
	r      *translate.Request
	losses *translate.Losses
	same   bool // the request came in this format
}

// prompt writes the conversation as /api/generate has it.
func (w *requestWriter) prompt() {
	var system, prompt turn
	for i := range w.r.Messages {
		m := &w.r.Messages[i]
		to := &prompt
		if m.Role == translate.RoleSystem {
			to = &system
		}
		w.collect(fmt.Sprintf("messages[%d]", i), m, m.Parts, to)
	}
	if system.any {
		w.b = rawjson.AppendMember(w.b, "system", system.text.String())
	}
	if prompt.any {
		w.b = rawjson.AppendMember(w.b, "prompt", prompt.text.String())
	}
	w.images(prompt.images)
}

func (w *requestWriter) messages() {
	w.b = append(rawjson.AppendName(w.b, "messages"), '[')
	for i := 0; i < len(w.r.Messages); {
		j := i + 1
		// What an assistant did in one turn is one message here; other formats
		// have an item for each.
		for !w.same && j < len(w.r.Messages) && w.r.Messages[i].Role == translate.RoleAssistant && w.r.Messages[j].Role == translate.RoleAssistant {
			j++
		}
		w.message(i, w.r.Messages[i:j])
		i = j
	}
	w.b = append(w.b, ']')
}

// A turn is what goes into one message, in the order that Ollama has for it.
type turn struct {
	text, thinking strings.Builder
	images         []string
	calls          []*translate.Part
	paths          []string // of calls
	any            bool     // there was a text, even an empty one
	split          bool     // an image stands between texts
}

// message writes what was said in one turn. Each tool result is a message of its
// own, and stands before what else the turn has.
func (w *requestWriter) message(i int, messages []translate.Message) {
	var t turn
	results, others := 0, 0
	for k := range messages {
		m := &messages[k]
		path := fmt.Sprintf("messages[%d]", i+k)
		if k > 0 && t.text.Len() > 0 && says(m) {
			t.text.WriteString("\n\n")
		}
		var rest []translate.Part
		for j := range m.Parts {
			if p := &m.Parts[j]; p.Kind == translate.ToolResult {
				w.result(fmt.Sprintf("%s.content[%d]", path, j), p, m)
				results++
			} else {
				rest = append(rest, *p)
			}
		}
		others += len(rest)
		w.collect(path, m, rest, &t)
	}
	if results > 0 && others == 0 {
		return
	}
	m := &messages[0]
	w.b = append(rawjson.AppendComma(w.b), '{')
	w.b = rawjson.AppendMember(w.b, "role", roleName(m.Role))
	w.b = rawjson.AppendMember(w.b, "content", t.text.String())
	if t.thinking.Len() > 0 {
		w.b = rawjson.AppendMember(w.b, "thinking", t.thinking.String())
	}
	w.images(t.images)
	w.calls(&t)
	if w.same {
		w.b = appendFields(w.b, m.Extra)
	}
	w.b = append(w.b, '}')
}

func says(m *translate.Message) bool {
	for j := range m.Parts {
		if m.Parts[j].Kind == translate.Text && m.Parts[j].Text != "" {
			return true
		}
	}
	return false
}

func roleName(r translate.Role) string {
	switch r {
	case translate.RoleSystem, translate.RoleDeveloper:
		return "system"
	case translate.RoleAssistant:
		return "assistant"
	}
	return "user"
}

// collect takes the parts of a message into the turn.
func (w *requestWriter) collect(path string, m *translate.Message, parts []translate.Part, t *turn) {
	if m.Name != "" {
		w.losses.Drop(path+".name", "Ollama's messages name no speaker")
	}
	if !w.same {
		w.drop(path, m.Extra)
	}
	between := "\n"
	if m.Role == translate.RoleAssistant { // its texts are pieces of one
		between = ""
	}
	begun := false
	say := func(s string) {
		if begun && s != "" {
			t.text.WriteString(between)
		}
		if len(t.images) > 0 && begun && !t.split {
			t.split = true
			w.losses.Approximate(path+".content", "images between texts stand beside them")
		}
		t.text.WriteString(s)
		begun, t.any = true, true
	}
	for j := range parts {
		p := &parts[j]
		at := fmt.Sprintf("%s.content[%d]", path, j)
		w.common(at, p)
		switch p.Kind {
		case translate.Text:
			say(p.Text)
		case translate.Refusal:
			w.losses.Approximate(at, "a refusal became text")
			say(p.Text)
		case translate.Image:
			t.images = w.image(at, p.Media, t.images)
		case translate.File:
			if p.Media.Text == "" {
				w.losses.Drop(at, "Ollama takes no documents")
				break
			}
			w.losses.Approximate(at, "a text document became text")
			say(p.Media.Text)
		case translate.Reasoning:
			w.reasoning(at, p, t)
		case translate.ToolCall:
			t.calls, t.paths = append(t.calls, p), append(t.paths, at)
		case translate.Server:
			w.losses.Drop(at, "a block that only its own format knows")
		default:
			w.losses.Drop(at, "Ollama has no such part")
		}
	}
}

// common lists what a part of any kind may bear and Ollama cannot take.
func (w *requestWriter) common(path string, p *translate.Part) {
	if p.Citations != "" {
		w.losses.Drop(path+".citations", "Ollama takes no citations")
	}
	if p.Cache != nil {
		w.losses.Drop(path+".cache_control", "Ollama caches on its own")
	}
	if !w.same {
		w.drop(path, p.Extra)
	}
}

func (w *requestWriter) drop(path string, fields []translate.Field) {
	w.losses.DropFields(path+".", fields, "Ollama has no such member")
}

// reasoning takes earlier reasoning. Ollama shows a model its own in clear text
// and knows no signatures.
func (w *requestWriter) reasoning(path string, p *translate.Part, t *turn) {
	if p.Signature != "" || p.Redacted != "" {
		w.losses.Drop(path, "reasoning of another provider: nobody else takes its signature")
	}
	if p.Text == "" {
		return
	}
	if t.thinking.Len() > 0 {
		t.thinking.WriteByte('\n')
	}
	t.thinking.WriteString(p.Text)
}

func (w *requestWriter) image(path string, m *translate.Media, list []string) []string {
	switch {
	case m.Data != "":
		return append(list, m.Data)
	case m.FileID != "":
		w.losses.Drop(path, "an upload at another provider")
	default:
		w.losses.Drop(path, "Ollama takes no images by URL")
	}
	return list
}

func (w *requestWriter) images(list []string) {
	if len(list) == 0 {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "images"), '[')
	for _, data := range list {
		w.b = rawjson.AppendString(rawjson.AppendComma(w.b), data)
	}
	w.b = append(w.b, ']')
}

func (w *requestWriter) calls(t *turn) {
	if len(t.calls) == 0 {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "tool_calls"), '[')
	for n, p := range t.calls {
		if p.Signature != "" {
			w.losses.Drop(t.paths[n], "reasoning of another provider: nobody else takes its signature")
		}
		w.b = append(rawjson.AppendComma(w.b), '{')
		if !ownID(p) {
			w.b = rawjson.AppendMember(w.b, "id", p.Call.ID)
		}
		w.b = append(rawjson.AppendName(w.b, "function"), '{')
		w.b = rawjson.AppendMember(w.b, "name", p.Call.Name)
		var exact bool
		if w.b, exact = answer.AppendArguments(rawjson.AppendName(w.b, "arguments"), p.Call.Arguments, p.Call.Custom); !exact {
			w.losses.Approximate(t.paths[n]+".arguments", "arguments that are not a JSON object were wrapped in one")
		}
		w.b = append(w.b, '}')
		if w.same {
			w.b = appendFields(w.b, p.Extra)
		}
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

// ownID says that the gateway made the id of a call or result: the client's
// Ollama needs none, and gets none.
func ownID(p *translate.Part) bool {
	for i := range p.Extra {
		if p.Extra[i].Name == ownIDMark && p.Extra[i].Value == "" {
			return true
		}
	}
	return false
}

func appendFields(b []byte, fields []translate.Field) []byte {
	for _, f := range fields {
		if f.Value != "" {
			b = rawjson.AppendMemberRaw(b, f.Name, f.Value)
		}
	}
	return b
}

// result writes a tool message.
func (w *requestWriter) result(path string, p *translate.Part, m *translate.Message) {
	res := p.Result
	w.common(path, p)
	if res.IsError {
		w.losses.Drop(path+".is_error", "a tool message cannot say that it is an error")
	}
	var text strings.Builder
	var images []string
	begun := false
	for j := range res.Parts {
		c := &res.Parts[j]
		at := fmt.Sprintf("%s.content[%d]", path, j)
		w.common(at, c)
		s := c.Text
		switch {
		case c.Kind == translate.Text:
		case c.Kind == translate.Image:
			images = w.image(at, c.Media, images)
			continue
		case c.Media != nil && c.Media.Text != "":
			w.losses.Approximate(at, "a text document became text")
			s = c.Media.Text
		case c.Media != nil:
			w.losses.Drop(at, "Ollama takes images only")
			continue
		default:
			w.losses.Approximate(at, "a block that only its own format knows became text")
			s = c.Raw
		}
		if begun {
			text.WriteByte('\n')
		}
		begun = true
		text.WriteString(s)
	}
	w.b = append(rawjson.AppendComma(w.b), '{')
	w.b = rawjson.AppendMember(w.b, "role", "tool")
	w.b = rawjson.AppendMember(w.b, "content", text.String())
	w.images(images)
	name := res.Name
	if name == "" && !w.same {
		name = w.nameOf(res.CallID)
	}
	if name != "" {
		w.b = rawjson.AppendMember(w.b, "tool_name", name)
	}
	if res.CallID != "" && !ownID(p) {
		w.b = rawjson.AppendMember(w.b, "tool_call_id", res.CallID)
	}
	if w.same {
		w.b = appendFields(w.b, m.Extra)
	}
	w.b = append(w.b, '}')
}

// nameOf returns the name of the tool that was called: most models are shown that
// and not the id.
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
