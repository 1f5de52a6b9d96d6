package openai

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// AppendRequest implements [translate.Codec].
func (Codec) AppendRequest(dst []byte, r *translate.Request, losses *translate.Losses) ([]byte, error) {
	if len(r.Messages) == 0 {
		return nil, translate.Invalid("messages", "messages must not be empty.")
	}
	w := requestWriter{b: dst, r: r, losses: losses, same: r.Format == translate.OpenAI}
	w.b = append(w.b, '{')
	w.b = rawjson.AppendMember(w.b, "model", r.Model)
	w.b = append(rawjson.AppendName(w.b, "messages"), '[')
	for i := 0; i < len(r.Messages); {
		j := i + 1
		// What an assistant did in one turn is one message here; other formats
		// have an item for each.
		for !w.same && j < len(r.Messages) && r.Messages[i].Role == translate.RoleAssistant && r.Messages[j].Role == translate.RoleAssistant {
			j++
		}
		if j > i+1 {
			w.turn(i, joined(r.Messages[i:j]))
		} else {
			w.message(i, &r.Messages[i])
		}
		i = j
	}
	if w.b = append(w.b, ']'); !w.same && strings.HasSuffix(tree.View(w.b), "[]") {
		return nil, translate.NothingLeft("messages")
	}
	w.tools()
	w.options()
	if w.same {
		w.b = appendFields(w.b, r.Extra)
	} else {
		losses.DropFields("", r.Extra, "Chat Completions has no such member")
	}
	return append(w.b, '}'), nil
}

func appendFields(b []byte, fields []translate.Field) []byte {
	for _, f := range fields {
		if f.Value != "" {
			b = rawjson.AppendMemberRaw(b, f.Name, f.Value)
		}
	}
	return b
}

type requestWriter struct {
	b      []byte
	r      *translate.Request
	losses *translate.Losses
	same   bool // the request came in this format
}

// joined returns messages of an assistant as one.
func joined(messages []translate.Message) *translate.Message {
	one := translate.Message{Role: translate.RoleAssistant}
	for i := range messages {
		one.Parts = append(one.Parts, messages[i].Parts...)
		one.Extra = append(one.Extra, messages[i].Extra...)
	}
	return &one
}

// message writes one message, or several: each tool result is a message of its
// own here, and what such a message cannot hold follows in one of the user.
func (w *requestWriter) message(i int, m *translate.Message) {
	var rest, moved []translate.Part
	for j := range m.Parts {
		p := &m.Parts[j]
		if p.Kind != translate.ToolResult {
			rest = append(rest, *p)
			continue
		}
		moved = append(moved, w.toolResult(fmt.Sprintf("messages[%d].content[%d]", i, j), p, m)...)
	}
	if m.Role == translate.RoleTool || len(rest) == 0 && len(m.Parts) > 0 {
		if len(moved) > 0 {
			w.turn(i, &translate.Message{Role: translate.RoleUser, Parts: moved})
		}
		return
	}
	if len(rest) == len(m.Parts) {
		w.turn(i, m)
		return
	}
	split := *m
	split.Parts, split.Plain = append(moved, rest...), false
	w.turn(i, &split)
}

// toolResult writes a tool message and returns the media that it cannot hold.
func (w *requestWriter) toolResult(path string, p *translate.Part, m *translate.Message) (moved []translate.Part) {
	w.b = append(rawjson.AppendComma(w.b), '{')
	if len(p.Extra) == 1 && p.Extra[0].Name == legacyCall[0].Name {
		w.b = rawjson.AppendMember(w.b, "role", "function")
	} else {
		w.b = rawjson.AppendMember(w.b, "role", "tool")
		w.b = rawjson.AppendMember(w.b, "tool_call_id", p.Result.CallID)
		if !w.same {
			w.fields(path, p.Extra)
		}
	}
	if p.Result.Name != "" {
		w.b = rawjson.AppendMember(w.b, "name", p.Result.Name)
	}
	w.b = rawjson.AppendName(w.b, "content")
	var texts []translate.Part
	for _, c := range p.Result.Parts {
		switch {
		case c.Kind == translate.Text:
			texts = append(texts, c)
		case w.same:
			texts = append(texts, c)
		case c.Kind == translate.Image || c.Kind == translate.File || c.Kind == translate.Audio:
			moved = append(moved, c)
			w.losses.Approximate(path, "media of a tool result moved into the user message after it")
		default:
			texts = append(texts, translate.Part{Kind: translate.Text, Text: c.Raw})
			w.losses.Approximate(path, "a block that only its own format knows became text")
		}
	}
	if p.Result.IsError {
		w.losses.Drop(path+".is_error", "a tool message cannot say that it is an error")
	}
	switch {
	case len(texts) == 0:
		w.b = append(w.b, `""`...)
	case len(texts) == 1 && texts[0].Kind == translate.Text && (p.Result.Plain || !w.same):
		w.cache(path, &texts[0])
		w.b = rawjson.AppendString(w.b, texts[0].Text)
	default:
		w.parts(path, texts)
	}
	if w.same {
		w.b = appendFields(w.b, m.Extra)
	}
	w.cache(path, p)
	w.b = append(w.b, '}')
	return moved
}

func (w *requestWriter) cache(path string, p *translate.Part) {
	if p.Cache != nil && !w.same {
		w.losses.Drop(path+".cache_control", "the provider caches on its own")
	}
}

func (w *requestWriter) fields(path string, fields []translate.Field) {
	w.losses.DropFields(path+".", fields, "Chat Completions has no such member")
}

var roleNames = map[translate.Role]string{
	translate.RoleSystem: "system", translate.RoleDeveloper: "developer",
	translate.RoleUser: "user", translate.RoleAssistant: "assistant",
}

// turn writes a message without tool results.
func (w *requestWriter) turn(i int, m *translate.Message) {
	path := fmt.Sprintf("messages[%d]", i)
	var content []translate.Part
	var calls, thoughts []*translate.Part
	refusal := ""
	for j := range m.Parts {
		p := &m.Parts[j]
		switch p.Kind {
		case translate.ToolCall:
			calls = append(calls, p)
		case translate.Reasoning:
			if p.Raw != "" && p.RawFormat == translate.OpenAI && strings.Contains(p.Raw, `"type":"thinking"`) {
				content = append(content, *p)
			} else {
				thoughts = append(thoughts, p)
			}
		case translate.Refusal:
			if m.Role == translate.RoleAssistant {
				refusal += p.Text
			} else {
				content = append(content, *p)
			}
		case translate.Server:
			if p.RawFormat == translate.OpenAI {
				content = append(content, *p)
			} else {
				w.losses.Drop(fmt.Sprintf("%s.content[%d]", path, j), "a block that only its own format knows")
			}
		default:
			content = append(content, *p)
		}
	}
	mark := len(w.b)
	w.b = append(rawjson.AppendComma(w.b), '{')
	w.b = rawjson.AppendMember(w.b, "role", roleNames[m.Role])
	if m.Name != "" {
		w.b = rawjson.AppendMember(w.b, "name", m.Name)
	}
	silent := len(w.b)
	w.thoughts(path, thoughts)
	if !w.same && len(w.b) == silent && len(content) == 0 && len(calls) == 0 && refusal == "" && m.Role == translate.RoleAssistant {
		w.b = w.b[:mark] // nothing is left of it, and the API refuses that
		return
	}
	w.b = rawjson.AppendName(w.b, "content")
	switch {
	case len(content) == 0 && m.Role == translate.RoleAssistant:
		w.b = append(w.b, "null"...)
	case len(content) == 0:
		w.b = append(w.b, `""`...)
	case len(content) == 1 && content[0].Kind == translate.Text && len(content[0].Extra) == 0 && (m.Plain || !w.same):
		w.cache(path+".content[0]", &content[0])
		w.citations(path+".content[0]", &content[0])
		w.b = rawjson.AppendString(w.b, content[0].Text)
	default:
		w.parts(path+".content", content)
	}
	if refusal != "" {
		w.b = rawjson.AppendMember(w.b, "refusal", refusal)
	}
	w.calls(path, calls)
	if w.same {
		w.b = appendFields(w.b, m.Extra)
	} else {
		w.fields(path, m.Extra)
	}
	w.b = append(w.b, '}')
}

// thoughts writes an assistant's earlier reasoning. OpenAI's own models never
// show theirs, so it comes from a provider that does; those of them that want it
// back (https://api-docs.deepseek.com/guides/thinking_mode) read it from
// reasoning_content.
func (w *requestWriter) thoughts(path string, parts []*translate.Part) {
	var text strings.Builder
	name := "reasoning_content"
	for _, p := range parts {
		if p.Raw != "" && p.RawFormat == translate.OpenAI {
			continue
		}
		if len(p.Extra) > 0 && w.same {
			name = p.Extra[0].Name
		}
		text.WriteString(p.Text)
		if p.Signature != "" || p.Redacted != "" {
			w.losses.Drop(path+".content", "signature of another provider, which nobody else takes")
		}
	}
	if text.Len() > 0 && !w.same && ownModel(w.r.Model) {
		w.losses.Drop(path+".content", "reasoning of another provider, which OpenAI takes none of")
	} else if text.Len() > 0 {
		w.b = rawjson.AppendMember(w.b, name, text.String())
	}
	begun := false
	for _, p := range parts {
		if p.Raw == "" || p.RawFormat != translate.OpenAI {
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "reasoning_details"), '['), true
		}
		w.b = append(rawjson.AppendComma(w.b), p.Raw...)
	}
	if begun {
		w.b = append(w.b, ']')
	}
}

func (w *requestWriter) calls(path string, calls []*translate.Part) {
	begun := false
	for j, p := range calls {
		at := fmt.Sprintf("%s.tool_calls[%d]", path, j)
		w.cache(at, p)
		if !w.same {
			w.fields(at, p.Extra)
		}
		if len(p.Extra) == 1 && p.Extra[0].Name == legacyCall[0].Name {
			w.b = append(rawjson.AppendName(w.b, "function_call"), '{')
			w.b = rawjson.AppendMember(w.b, "name", p.Call.Name)
			w.b = append(rawjson.AppendMember(w.b, "arguments", p.Call.Arguments), '}')
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "tool_calls"), '['), true
		}
		w.b = append(rawjson.AppendComma(w.b), '{')
		w.b = rawjson.AppendMember(w.b, "id", p.Call.ID)
		kind, text, arguments := "function", "arguments", p.Call.Arguments
		if p.Call.Custom {
			kind, text = "custom", "input"
		} else if arguments == "" {
			arguments = "{}"
		}
		w.b = rawjson.AppendMember(w.b, "type", kind)
		w.b = append(rawjson.AppendName(w.b, kind), '{')
		w.b = rawjson.AppendMember(w.b, "name", p.Call.Name)
		w.b = append(rawjson.AppendMember(w.b, text, arguments), '}')
		if w.same {
			w.b = appendFields(w.b, p.Extra)
		}
		w.b = append(w.b, '}')
	}
	if begun {
		w.b = append(w.b, ']')
	}
}

func (w *requestWriter) citations(path string, p *translate.Part) {
	if p.Citations != "" {
		w.losses.Drop(path+".citations", "Chat Completions takes no citations")
	}
}

func (w *requestWriter) parts(path string, parts []translate.Part) {
	w.b = append(w.b, '[')
	for j := range parts {
		p := &parts[j]
		at := fmt.Sprintf("%s[%d]", path, j)
		if (p.Kind == translate.Server || p.Kind == translate.Reasoning) && p.RawFormat == translate.OpenAI {
			w.b = append(rawjson.AppendComma(w.b), p.Raw...)
			continue
		}
		mark := len(w.b)
		w.b = append(rawjson.AppendComma(w.b), '{')
		if !w.part(at, p) {
			w.b = w.b[:mark]
			continue
		}
		w.citations(at, p)
		if w.same {
			if p.Cache != nil {
				w.b = append(rawjson.AppendName(w.b, "cache_control"), `{"type":"ephemeral"`...)
				if p.Cache.TTL != "" {
					w.b = rawjson.AppendMember(w.b, "ttl", p.Cache.TTL)
				}
				w.b = append(w.b, '}')
			}
			w.b = appendFields(w.b, p.Extra)
		} else {
			w.cache(at, p)
			w.fields(at, p.Extra)
		}
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

func (w *requestWriter) part(path string, p *translate.Part) bool {
	switch p.Kind {
	case translate.Text:
		w.b = rawjson.AppendMember(w.b, "type", "text")
		w.b = rawjson.AppendMember(w.b, "text", p.Text)
	case translate.Refusal:
		w.b = rawjson.AppendMember(w.b, "type", "refusal")
		w.b = rawjson.AppendMember(w.b, "refusal", p.Text)
	case translate.Image:
		if p.Media.FileID != "" {
			w.losses.Drop(path, "an upload at another provider")
			return false
		}
		w.b = rawjson.AppendMember(w.b, "type", "image_url")
		w.b = append(rawjson.AppendName(w.b, "image_url"), '{')
		w.b = appendDataURL(rawjson.AppendName(w.b, "url"), p.Media)
		if p.Media.Detail != "" {
			w.b = rawjson.AppendMember(w.b, "detail", p.Media.Detail)
		}
		w.b = append(w.b, '}')
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
		w.losses.Drop(path, "Chat Completions has no such part")
		return false
	}
	return true
}

func (w *requestWriter) file(path string, m *translate.Media) bool {
	switch {
	case m.Text != "":
		w.b = rawjson.AppendMember(w.b, "type", "text")
		w.b = rawjson.AppendMember(w.b, "text", m.Text)
		w.losses.Approximate(path, "a text document became text")
		return true
	case m.FileID != "" && !w.same:
		w.losses.Drop(path, "an upload at another provider")
		return false
	case m.URL != "" && !w.same:
		w.losses.Drop(path, "Chat Completions takes no documents by URL")
		return false
	}
	w.b = rawjson.AppendMember(w.b, "type", "file")
	w.b = append(rawjson.AppendName(w.b, "file"), '{')
	if m.FileID != "" {
		w.b = rawjson.AppendMember(w.b, "file_id", m.FileID)
	} else {
		w.b = appendDataURL(rawjson.AppendName(w.b, "file_data"), m)
	}
	name := m.Name
	if name == "" && !w.same {
		name = "document"
	}
	if name != "" {
		w.b = rawjson.AppendMember(w.b, "filename", name)
	}
	w.b = append(w.b, '}')
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
