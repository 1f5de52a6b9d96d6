package responses

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// AppendRequest implements [translate.Codec].
func (Codec) AppendRequest(dst []byte, r *translate.Request, losses *translate.Losses) ([]byte, error) {
	w := requestWriter{b: dst, r: r, losses: losses, same: r.Format == translate.Responses}
	w.b = append(w.b, '{')
	w.b = rawjson.AppendMember(w.b, "model", r.Model)
	messages := w.instructions()
	if w.input(messages, len(r.Messages)-len(messages)); !w.same && strings.HasSuffix(tree.View(w.b), "[]") {
		return nil, translate.NothingLeft("input")
	}
	w.tools()
	w.options()
	return append(w.b, '}'), nil
}

type requestWriter struct {
	b      []byte
	r      *translate.Request
	losses *translate.Losses
	same   bool // the request came in this format
}

func marked(fields []translate.Field, mark translate.Field) bool {
	return len(fields) > 0 && fields[0] == mark
}

// instructions writes the first message, if it is the system's and nothing but
// text, and returns the rest.
func (w *requestWriter) instructions() []translate.Message {
	all := w.r.Messages
	if len(all) == 0 || all[0].Role != translate.RoleSystem || w.same && !marked(all[0].Extra, instructions) {
		return all
	}
	var text strings.Builder
	for j := range all[0].Parts {
		p := &all[0].Parts[j]
		if p.Kind != translate.Text {
			return all
		}
		if j > 0 {
			text.WriteString("\n\n")
		}
		text.WriteString(p.Text)
		w.part(fmt.Sprintf("messages[0].content[%d]", j), p)
	}
	w.fields("messages[0]", all[0].Extra)
	w.b = rawjson.AppendMember(w.b, "instructions", text.String())
	return all[1:]
}

// part notes what no part of this format has a place for.
func (w *requestWriter) part(path string, p *translate.Part) {
	if p.Cache != nil {
		w.losses.Drop(path+".cache_control", "the provider caches on its own")
	}
	if !w.same && p.Citations != "" {
		w.losses.Drop(path+".citations", "citations of another format")
	}
}

// fields writes members that are kept as they stood, or notes them as lost.
func (w *requestWriter) fields(path string, fields []translate.Field) {
	for _, f := range fields {
		switch {
		case f.Value == "":
		case w.same:
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
		default:
			w.losses.Drop(path+"."+f.Name, "Responses has no such member")
		}
	}
}

func (w *requestWriter) input(messages []translate.Message, offset int) {
	w.b = rawjson.AppendName(w.b, "input")
	if len(messages) == 1 && w.same && marked(messages[0].Extra, plainInput) {
		w.b = rawjson.AppendString(w.b, messages[0].Parts[0].Text)
		return
	}
	w.b = append(w.b, '[')
	for i := range messages {
		w.message(fmt.Sprintf("messages[%d]", offset+i), &messages[i])
	}
	w.b = append(w.b, ']')
}

var roleNames = map[translate.Role]string{
	translate.RoleSystem: "system", translate.RoleDeveloper: "developer", translate.RoleUser: "user",
	translate.RoleAssistant: "assistant", translate.RoleTool: "user",
}

// message writes a message as items: what is not content is an item of its own,
// and parts the content in two.
func (w *requestWriter) message(path string, m *translate.Message) {
	if m.Name != "" {
		w.losses.Drop(path+".name", "messages have no names here")
	}
	from := 0
	wrote := false
	flush := func(to int) {
		if from < to {
			w.content(path, m, from, to)
			wrote = true
		}
		from = to + 1
	}
	for j := range m.Parts {
		p := &m.Parts[j]
		at := fmt.Sprintf("%s.content[%d]", path, j)
		switch p.Kind {
		case translate.Reasoning:
			flush(j)
			w.reasoning(at, p)
		case translate.ToolCall:
			flush(j)
			w.call(at, p)
		case translate.ToolResult:
			flush(j)
			w.result(at, p)
		case translate.Server:
			if p.RawFormat == translate.Responses && p.Text == "" {
				continue // a part of the content
			}
			flush(j)
			if p.RawFormat != translate.Responses {
				w.losses.Drop(at, "a block that only its own format knows")
				continue
			}
			w.b = append(rawjson.AppendComma(w.b), p.Raw...)
		default:
			continue
		}
		wrote = true
	}
	flush(len(m.Parts))
	if !wrote && (w.same || m.Role != translate.RoleAssistant) {
		w.content(path, m, 0, 0)
	}
}

func (w *requestWriter) content(path string, m *translate.Message, from, to int) {
	w.b = append(rawjson.AppendComma(w.b), `{"type":"message"`...)
	w.b = rawjson.AppendMember(w.b, "role", roleNames[m.Role])
	w.b = rawjson.AppendName(w.b, "content")
	if m.Plain && to-from == 1 && m.Parts[from].Kind == translate.Text {
		w.part(fmt.Sprintf("%s.content[%d]", path, from), &m.Parts[from])
		w.b = rawjson.AppendString(w.b, m.Parts[from].Text)
	} else {
		w.parts(path, m.Parts[from:to], from, m.Role == translate.RoleAssistant)
	}
	w.fields(path, m.Extra)
	w.b = append(w.b, '}')
}

func (w *requestWriter) parts(path string, parts []translate.Part, offset int, output bool) {
	w.b = append(w.b, '[')
	for j := range parts {
		p := &parts[j]
		at := fmt.Sprintf("%s.content[%d]", path, offset+j)
		if p.Kind == translate.Server {
			if p.RawFormat != translate.Responses {
				w.losses.Drop(at, "a block that only its own format knows")
				continue
			}
			w.b = append(rawjson.AppendComma(w.b), p.Raw...)
			continue
		}
		mark := len(w.b)
		w.b = append(rawjson.AppendComma(w.b), '{')
		if !w.inner(at, p, output) {
			w.b = w.b[:mark]
			continue
		}
		w.part(at, p)
		w.fields(at, p.Extra)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

func (w *requestWriter) inner(path string, p *translate.Part, output bool) bool {
	switch p.Kind {
	case translate.Text, translate.ToolReference:
		kind := "input_text"
		if output {
			kind = "output_text"
		}
		w.b = rawjson.AppendMember(w.b, "type", kind)
		w.b = rawjson.AppendMember(w.b, "text", p.Text)
		if output {
			annotations := "[]"
			if w.same && p.Citations != "" {
				annotations = p.Citations
			}
			w.b = rawjson.AppendRaw(w.b, "annotations", annotations)
		}
	case translate.Refusal:
		w.b = rawjson.AppendMember(w.b, "type", "refusal")
		w.b = rawjson.AppendMember(w.b, "refusal", p.Text)
	case translate.Image:
		return w.image(path, p.Media, output)
	case translate.Audio:
		w.b = rawjson.AppendMember(w.b, "type", "input_audio")
		w.b = append(rawjson.AppendName(w.b, "input_audio"), '{')
		w.b = rawjson.AppendMember(w.b, "data", p.Media.Data)
		format := p.Media.Format
		if format == "" {
			format = strings.TrimPrefix(p.Media.Type, "audio/")
		}
		w.b = append(rawjson.AppendMember(w.b, "format", format), '}')
	case translate.File:
		return w.file(path, p.Media)
	default:
		w.losses.Drop(path, "Responses has no such part")
		return false
	}
	return true
}

func (w *requestWriter) image(path string, m *translate.Media, output bool) bool {
	switch {
	case output:
		w.losses.Drop(path, "a message of an assistant holds no images")
		return false
	case m.FileID != "" && !w.shared():
		w.losses.Drop(path, "an upload at another provider")
		return false
	}
	w.b = rawjson.AppendMember(w.b, "type", "input_image")
	if m.FileID != "" {
		w.b = rawjson.AppendMember(w.b, "file_id", m.FileID)
	} else {
		w.b = appendDataURL(rawjson.AppendName(w.b, "image_url"), m)
	}
	if m.Detail != "" {
		w.b = rawjson.AppendMember(w.b, "detail", m.Detail)
	}
	return true
}

// shared says that uploads and options are the same as in the request's format:
// both are of OpenAI.
func (w *requestWriter) shared() bool { return w.same || w.r.Format == translate.OpenAI }

func (w *requestWriter) file(path string, m *translate.Media) bool {
	if m.Text != "" {
		w.b = rawjson.AppendMember(w.b, "type", "input_text")
		w.b = rawjson.AppendMember(w.b, "text", m.Text)
		w.losses.Approximate(path, "a text document became text")
		return true
	}
	if m.FileID != "" && !w.shared() {
		w.losses.Drop(path, "an upload at another provider")
		return false
	}
	w.b = rawjson.AppendMember(w.b, "type", "input_file")
	switch {
	case m.FileID != "":
		w.b = rawjson.AppendMember(w.b, "file_id", m.FileID)
	case m.Data != "" || strings.HasPrefix(m.URL, "data:"):
		w.b = appendDataURL(rawjson.AppendName(w.b, "file_data"), m)
	default:
		w.b = rawjson.AppendMember(w.b, "file_url", m.URL)
	}
	name := m.Name
	if name == "" && !w.same && m.Data != "" {
		name = "document" // the API wants one beside the data
	}
	if name != "" {
		w.b = rawjson.AppendMember(w.b, "filename", name)
	}
	return true
}

func appendDataURL(b []byte, m *translate.Media) []byte {
	if m.Data == "" {
		return rawjson.AppendString(b, m.URL)
	}
	b = append(b, `"data:`...)
	b = rawjson.AppendEscaped(b, m.Type)
	b = append(b, ";base64,"...)
	return append(rawjson.AppendEscaped(b, m.Data), '"')
}

// reasoning writes earlier reasoning, if it is of a provider of this format.
func (w *requestWriter) reasoning(path string, p *translate.Part) {
	switch {
	case p.RawFormat == translate.Responses:
		w.b = append(rawjson.AppendComma(w.b), p.Raw...)
	case p.SignedBy == translate.Responses && p.Signature != "":
		w.b = append(rawjson.AppendComma(w.b), `{"type":"reasoning","summary":[`...)
		if p.Text != "" {
			w.b = append(w.b, `{"type":"summary_text","text":`...)
			w.b = append(rawjson.AppendString(w.b, p.Text), '}')
		}
		w.b = append(w.b, ']')
		w.b = append(rawjson.AppendMember(w.b, "encrypted_content", p.Signature), '}')
	default:
		w.losses.Drop(path, "reasoning of another provider, which this one cannot read")
	}
}

func (w *requestWriter) call(path string, p *translate.Part) {
	c := p.Call
	w.part(path, p)
	kind, member, text := "function_call", "arguments", c.Arguments
	if c.Custom {
		kind, member = "custom_tool_call", "input"
	} else if text == "" {
		text = "{}"
	}
	w.b = append(rawjson.AppendComma(w.b), '{')
	w.b = rawjson.AppendMember(w.b, "type", kind)
	w.b = rawjson.AppendMember(w.b, "call_id", c.ID)
	if c.Namespace != "" {
		w.b = rawjson.AppendMember(w.b, "namespace", c.Namespace)
	}
	w.b = rawjson.AppendMember(w.b, "name", c.Name)
	w.b = rawjson.AppendMember(w.b, member, text)
	w.fields(path, p.Extra)
	w.b = append(w.b, '}')
}

// result writes the result of a call, in the kind of the call.
func (w *requestWriter) result(path string, p *translate.Part) {
	w.part(path, p)
	kind := "function_call_output"
	if p.Result.Custom || w.customCall(p.Result.CallID) {
		kind = "custom_tool_call_output"
	}
	w.b = append(rawjson.AppendComma(w.b), '{')
	w.b = rawjson.AppendMember(w.b, "type", kind)
	w.b = rawjson.AppendMember(w.b, "call_id", p.Result.CallID)
	w.b = rawjson.AppendName(w.b, "output")
	parts := p.Result.Parts
	switch {
	case len(parts) == 0:
		w.b = append(w.b, `""`...)
	case len(parts) == 1 && parts[0].Kind == translate.Text && (p.Result.Plain || !w.same):
		w.part(path+".content[0]", &parts[0])
		w.b = rawjson.AppendString(w.b, parts[0].Text)
	default:
		w.parts(path, parts, 0, false)
	}
	if p.Result.IsError {
		w.losses.Drop(path+".is_error", "a result cannot say that it is an error")
	}
	w.fields(path, p.Extra)
	w.b = append(w.b, '}')
}

// customCall says that the call was of a tool with free text, for a result whose
// format does not tell.
func (w *requestWriter) customCall(id string) bool {
	if w.same {
		return false
	}
	for i := range w.r.Messages {
		for j := range w.r.Messages[i].Parts {
			if p := &w.r.Messages[i].Parts[j]; p.Kind == translate.ToolCall && p.Call.ID == id {
				return p.Call.Custom
			}
		}
	}
	return false
}
