package cohere

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// AppendRequest implements [translate.Codec].
func (Codec) AppendRequest(dst []byte, r *translate.Request, losses *translate.Losses) ([]byte, error) {
	if len(r.Messages) == 0 {
		return nil, translate.Invalid("messages", "messages must not be empty.")
	}
	w := requestWriter{b: dst, r: r, losses: losses}
	w.b = append(w.b, '{')
	w.b = rawjson.AppendMember(w.b, "model", r.Model)
	w.messages()
	w.tools()
	w.options()
	w.drop("", r.Extra)
	return append(w.b, '}'), nil
}

type requestWriter struct {
	b      []byte
	r      *translate.Request
	losses *translate.Losses
	moved  []translate.Part // media of tool results, which go to the user
}

func (w *requestWriter) messages() {
	w.b = append(rawjson.AppendName(w.b, "messages"), '[')
	list := w.r.Messages
	for i := 0; i < len(list); {
		j := i + 1
		// What an assistant did in one turn is one message here; other formats
		// have an item for each.
		for j < len(list) && list[i].Role == translate.RoleAssistant && list[j].Role == translate.RoleAssistant {
			j++
		}
		w.message(i, list[i:j])
		i = j
	}
	w.flush()
	w.b = append(w.b, ']')
}

// message writes what was said in one turn. Each tool result is a message of its
// own, and results stand together: what they cannot hold comes after the last.
func (w *requestWriter) message(i int, messages []translate.Message) {
	var t turn
	results := 0
	for k := range messages {
		m := &messages[k]
		path := fmt.Sprintf("messages[%d]", i+k)
		if m.Name != "" {
			w.losses.Drop(path+".name", "Cohere's messages name no speaker")
		}
		w.drop(path+".", m.Extra)
		for j := range m.Parts {
			p := &m.Parts[j]
			at := fmt.Sprintf("%s.content[%d]", path, j)
			w.common(at, p)
			if p.Kind == translate.ToolResult {
				w.result(at, p.Result)
				results++
				continue
			}
			w.part(at, m.Role, p, &t)
		}
	}
	m := &messages[0]
	if results > 0 && len(t.content)+len(t.calls) == 0 {
		return
	}
	if len(w.moved) > 0 && m.Role == translate.RoleUser {
		t.content = append(w.moved, t.content...)
		w.moved = nil
	}
	w.flush()
	w.turn(m.Role, &t)
}

// flush writes what results could not hold.
func (w *requestWriter) flush() {
	if len(w.moved) > 0 {
		t := turn{content: w.moved}
		w.moved = nil
		w.turn(translate.RoleUser, &t)
	}
}

// A turn is what goes into one message.
type turn struct {
	content []translate.Part // texts, images and reasoning
	calls   []*translate.Part
}

// part takes a part into the turn as what Cohere has for it.
func (w *requestWriter) part(path string, role translate.Role, p *translate.Part, t *turn) {
	text := func(s string) {
		t.content = append(t.content, translate.Part{Kind: translate.Text, Text: s})
	}
	switch p.Kind {
	case translate.Text:
		text(p.Text)
	case translate.Refusal:
		w.losses.Approximate(path, "a refusal became text")
		text(p.Text)
	case translate.Image:
		switch {
		case p.Media.FileID != "":
			w.losses.Drop(path, "an upload at another provider")
		case role != translate.RoleUser:
			w.losses.Drop(path, "Cohere takes images from users only")
		default:
			t.content = append(t.content, *p)
		}
	case translate.File:
		if p.Media.Text == "" {
			w.losses.Drop(path, "Cohere takes no such documents")
			break
		}
		w.losses.Approximate(path, "a text document became text")
		text(p.Media.Text)
	case translate.Reasoning:
		w.reasoning(path, p, t)
	case translate.ToolCall:
		if p.Signature != "" {
			w.losses.Drop(path, "reasoning of another provider: nobody else takes its signature")
		}
		t.calls = append(t.calls, p)
	case translate.Server:
		w.losses.Drop(path, "a block that only its own format knows")
	default:
		w.losses.Drop(path, "Cohere has no such part")
	}
}

// reasoning takes earlier reasoning. It is clear text here, and has a place with
// the models that reason (https://docs.cohere.com/v2/docs/reasoning).
func (w *requestWriter) reasoning(path string, p *translate.Part, t *turn) {
	switch {
	case p.Signature != "" || p.Redacted != "":
		w.losses.Drop(path, "reasoning of another provider: nobody else takes its signature")
	case p.Text != "" && !reasons(w.r.Model):
		w.losses.Drop(path, "reasoning of another provider, for a model that has none")
	}
	if p.Text != "" && reasons(w.r.Model) {
		t.content = append(t.content, translate.Part{Kind: translate.Reasoning, Text: p.Text})
	}
}

func reasons(model string) bool { return strings.Contains(model, "reasoning") }

// common lists what a part of any kind may bear and Cohere cannot take.
func (w *requestWriter) common(path string, p *translate.Part) {
	if p.Citations != "" {
		w.losses.Drop(path+".citations", "citations of another format")
	}
	if p.Cache != nil {
		w.losses.Drop(path+".cache_control", "Cohere caches on its own")
	}
	w.drop(path+".", p.Extra)
}

func (w *requestWriter) drop(prefix string, fields []translate.Field) {
	w.losses.DropFields(prefix, fields, "Cohere has no such member")
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

func (w *requestWriter) turn(role translate.Role, t *turn) {
	w.b = append(rawjson.AppendComma(w.b), '{')
	w.b = rawjson.AppendMember(w.b, "role", roleName(role))
	switch {
	case len(t.content) == 1 && t.content[0].Kind == translate.Text:
		w.b = rawjson.AppendMember(w.b, "content", t.content[0].Text)
	case len(t.content) > 0:
		w.b = append(rawjson.AppendName(w.b, "content"), '[')
		for j := range t.content {
			w.b = append(rawjson.AppendComma(w.b), '{')
			w.b = append(appendPart(w.b, &t.content[j]), '}')
		}
		w.b = append(w.b, ']')
	case len(t.calls) == 0:
		w.b = rawjson.AppendMember(w.b, "content", "")
	}
	w.calls(t.calls)
	w.b = append(w.b, '}')
}

func appendPart(b []byte, p *translate.Part) []byte {
	switch p.Kind {
	case translate.Reasoning:
		b = rawjson.AppendMember(b, "type", "thinking")
		return rawjson.AppendMember(b, "thinking", p.Text)
	case translate.Image:
		b = rawjson.AppendMember(b, "type", "image_url")
		b = append(rawjson.AppendName(b, "image_url"), '{')
		b = appendURL(rawjson.AppendName(b, "url"), p.Media)
		if p.Media.Detail != "" {
			b = rawjson.AppendMember(b, "detail", p.Media.Detail)
		}
		return append(b, '}')
	}
	b = rawjson.AppendMember(b, "type", "text")
	return rawjson.AppendMember(b, "text", p.Text)
}

func appendURL(b []byte, m *translate.Media) []byte {
	if m.Data == "" {
		return rawjson.AppendString(b, m.URL)
	}
	b = rawjson.AppendEscaped(append(b, `"data:`...), m.Type)
	b = append(b, ";base64,"...)
	return append(rawjson.AppendEscaped(b, m.Data), '"')
}

func (w *requestWriter) calls(calls []*translate.Part) {
	if len(calls) == 0 {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "tool_calls"), '[')
	for _, p := range calls {
		arguments := p.Call.Arguments
		if strings.TrimSpace(arguments) == "" {
			arguments = "{}"
		}
		w.b = append(rawjson.AppendComma(w.b), '{')
		w.b = rawjson.AppendMember(w.b, "id", p.Call.ID)
		w.b = append(w.b, `,"type":"function","function":{`...)
		w.b = rawjson.AppendMember(w.b, "name", p.Call.Name)
		w.b = append(rawjson.AppendMember(w.b, "arguments", arguments), "}}"...)
	}
	w.b = append(w.b, ']')
}

// result writes a tool message.
func (w *requestWriter) result(path string, res *translate.Result) {
	var texts []translate.Part
	text := func(s string) {
		texts = append(texts, translate.Part{Kind: translate.Text, Text: s})
	}
	for j := range res.Parts {
		c := &res.Parts[j]
		at := fmt.Sprintf("%s.content[%d]", path, j)
		w.common(at, c)
		switch {
		case c.Kind == translate.Text:
			text(c.Text)
		case c.Kind == translate.Image && c.Media.FileID == "":
			w.losses.Approximate(at, "media of a tool result moved into the user message after it")
			w.moved = append(w.moved, *c)
		case c.Media != nil && c.Media.Text != "":
			w.losses.Approximate(at, "a text document became text")
			text(c.Media.Text)
		case c.Media != nil:
			w.losses.Drop(at, "Cohere takes no such media")
		default:
			w.losses.Approximate(at, "a block that only its own format knows became text")
			text(c.Raw)
		}
	}
	if res.IsError {
		w.losses.Drop(path+".is_error", "a tool message cannot say that it is an error")
	}
	w.b = append(rawjson.AppendComma(w.b), '{')
	w.b = rawjson.AppendMember(w.b, "role", "tool")
	w.b = rawjson.AppendMember(w.b, "tool_call_id", res.CallID)
	switch len(texts) {
	case 0:
		w.b = rawjson.AppendMember(w.b, "content", "")
	case 1:
		w.b = rawjson.AppendMember(w.b, "content", texts[0].Text)
	default:
		w.b = append(rawjson.AppendName(w.b, "content"), '[')
		for j := range texts {
			w.b = append(rawjson.AppendComma(w.b), '{')
			w.b = append(appendPart(w.b, &texts[j]), '}')
		}
		w.b = append(w.b, ']')
	}
	w.b = append(w.b, '}')
}
