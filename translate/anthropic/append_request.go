package anthropic

import (
	"fmt"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/effort"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// AppendRequest implements [translate.Codec].
func (Codec) AppendRequest(dst []byte, r *translate.Request, losses *translate.Losses) ([]byte, error) {
	w := requestWriter{b: dst, r: r, losses: losses, same: r.Format == translate.Anthropic}
	w.plan, w.limit = planThinking(r, w.same, losses)
	w.marks = countMarks(r)
	w.b = append(w.b, '{')
	w.b = rawjson.AppendMember(w.b, "model", r.Model)
	rest := w.system()
	if len(rest) == 0 {
		return nil, translate.Invalid("messages", "The conversation has instructions only: it needs a message of the user.")
	}
	if w.messages(rest, len(r.Messages)-len(rest)); strings.HasSuffix(tree.View(w.b), "[]") {
		return nil, translate.NothingLeft("messages")
	}
	w.tools()
	w.options()
	if w.same {
		for _, f := range r.Extra {
			if !strings.HasPrefix(f.Name, "output_config.") {
				w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
			}
		}
	} else {
		losses.DropFields("", r.Extra, "Messages has no such member")
	}
	return append(w.b, '}'), nil
}

type requestWriter struct {
	b      []byte
	r      *translate.Request
	losses *translate.Losses
	same   bool // the request came in this format
	plan   plan
	limit  translate.Number // of output tokens
	marks  int              // cache marks that are still to be written
}

func (w *requestWriter) drop(path string, fields []translate.Field) {
	w.losses.DropFields(path+".", fields, "Messages has no such member")
}

// system writes the instructions that stand before the conversation and returns
// the rest of it.
func (w *requestWriter) system() []translate.Message {
	all := w.r.Messages
	n := 0
	for n < len(all) && (all[n].Role == translate.RoleSystem || all[n].Role == translate.RoleDeveloper) {
		if w.same && (n > 0 || len(all[n].Extra) > 0) {
			break // Only the first was the member; the others stood in place.
		}
		n++
	}
	instruction := told(w.r, w.same)
	if n == 0 && instruction == "" {
		return all
	}
	w.b = rawjson.AppendName(w.b, "system")
	if instruction == "" && n == 1 && len(all[0].Parts) == 1 && all[0].Plain && all[0].Parts[0].Kind == translate.Text {
		w.b = rawjson.AppendString(w.b, all[0].Parts[0].Text)
		w.drop("messages[0]", all[0].Extra)
		return all[n:]
	}
	w.b = append(w.b, '[')
	for i := range all[:n] {
		w.blocks(fmt.Sprintf("messages[%d]", i), &all[i])
		w.drop(fmt.Sprintf("messages[%d]", i), all[i].Extra)
	}
	if instruction != "" {
		w.losses.Approximate("response_format", "the form of the answer became an instruction: the model cannot be held to it")
		w.b = rawjson.AppendMember(append(rawjson.AppendComma(w.b), `{"type":"text"`...), "text", instruction)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
	return all[n:]
}

var roleNames = map[translate.Role]string{
	translate.RoleUser: "user", translate.RoleTool: "user", translate.RoleAssistant: "assistant",
	translate.RoleSystem: "system", translate.RoleDeveloper: "system",
}

// role returns the side that a message is of here. Instructions amid the
// conversation are for the models of the fifth generation and later.
func (w *requestWriter) role(m *translate.Message) string {
	name := roleNames[m.Role]
	if name == "system" && !w.same && effort.AnthropicVersion(w.r.Model) < 5 {
		return "user"
	}
	return name
}

// messages writes the conversation. Turns of one side that follow each other are
// one message here, because all results of a turn's calls must stand together in
// the message after it.
func (w *requestWriter) messages(all []translate.Message, offset int) {
	w.b = append(rawjson.AppendName(w.b, "messages"), '[')
	for i := 0; i < len(all); {
		j := i + 1
		role := w.role(&all[i])
		for !w.same && j < len(all) && role != "system" && w.role(&all[j]) == role {
			j++
		}
		w.turn(all[i:j], offset+i)
		i = j
	}
	w.b = append(w.b, ']')
}

func (w *requestWriter) turn(messages []translate.Message, first int) {
	mark := len(w.b)
	m := &messages[0]
	w.b = append(rawjson.AppendComma(w.b), '{')
	w.b = rawjson.AppendMember(w.b, "role", w.role(m))
	w.b = rawjson.AppendName(w.b, "content")
	for k := range messages {
		if roleNames[messages[k].Role] == "system" && w.role(&messages[k]) != "system" {
			w.losses.Approximate(fmt.Sprintf("messages[%d]", first+k), "instructions amid the conversation became the user's words")
		}
	}
	if len(messages) == 1 && m.Plain && len(m.Parts) == 1 && m.Parts[0].Kind == translate.Text && (w.same || m.Parts[0].Text != "") {
		w.b = rawjson.AppendString(w.b, m.Parts[0].Text)
	} else {
		w.b = append(w.b, '[')
		from := len(w.b)
		// Results come before whatever else is in the message.
		for pass := range 2 {
			for k := range messages {
				w.results(fmt.Sprintf("messages[%d]", first+k), &messages[k], pass == 0)
			}
		}
		if len(w.b) == from && !w.same {
			w.b = w.b[:mark] // The API refuses messages without content.
			w.losses.Drop(fmt.Sprintf("messages[%d]", first), "a message without content")
			return
		}
		w.b = append(w.b, ']')
	}
	for k := range messages {
		if w.same {
			for _, f := range messages[k].Extra {
				if f.Value != "" {
					w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
				}
			}
			continue
		}
		w.drop(fmt.Sprintf("messages[%d]", first+k), messages[k].Extra)
		if messages[k].Name != "" {
			w.losses.Drop(fmt.Sprintf("messages[%d].name", first+k), "messages have no names here")
		}
	}
	w.b = append(w.b, '}')
}

// results writes the tool results of a message, or all but them. In the same
// format the order is the client's own.
func (w *requestWriter) results(path string, m *translate.Message, results bool) {
	for j := range m.Parts {
		p := &m.Parts[j]
		if w.same && results || !w.same && (p.Kind == translate.ToolResult) != results {
			continue
		}
		w.block(fmt.Sprintf("%s.content[%d]", path, j), p)
	}
}

func (w *requestWriter) blocks(path string, m *translate.Message) {
	for j := range m.Parts {
		w.block(fmt.Sprintf("%s.content[%d]", path, j), &m.Parts[j])
	}
}

// block writes one block, or nothing but a loss.
func (w *requestWriter) block(path string, p *translate.Part) {
	if p.Kind == translate.Server {
		if p.RawFormat == translate.Anthropic {
			w.b = append(rawjson.AppendComma(w.b), p.Raw...)
		} else {
			w.losses.Drop(path, "a part that only its own format knows")
		}
		return
	}
	mark := len(w.b)
	w.b = append(rawjson.AppendComma(w.b), '{')
	if !w.inner(path, p) {
		w.b = w.b[:mark]
		return
	}
	if p.Cache != nil {
		w.cache(path, p.Cache)
	}
	if w.same {
		for _, f := range p.Extra {
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
		}
	} else {
		w.drop(path, p.Extra)
	}
	w.b = append(w.b, '}')
}

// maxMarks is how many cache marks the API takes in a request
// (https://platform.claude.com/docs/en/build-with-claude/prompt-caching).
const maxMarks = 4

// cache writes a cache mark. Of too many in a translated request the first are left
// out: a later one covers what they do.
func (w *requestWriter) cache(path string, m *translate.CacheMark) {
	if w.marks--; !w.same && w.marks >= maxMarks {
		w.losses.Drop(path+".cache_control", "there are at most four cache marks")
		return
	}
	w.b = append(rawjson.AppendName(w.b, "cache_control"), `{"type":"ephemeral"`...)
	if m.TTL != "" {
		w.b = rawjson.AppendMember(w.b, "ttl", m.TTL)
	}
	w.b = append(w.b, '}')
}

func (w *requestWriter) inner(path string, p *translate.Part) bool {
	switch p.Kind {
	case translate.Text, translate.Refusal:
		if p.Text == "" && !w.same {
			return false // which the API refuses
		}
		if p.Kind == translate.Refusal {
			w.losses.Approximate(path, "a refusal became text")
		}
		w.b = rawjson.AppendMember(w.b, "type", "text")
		w.b = rawjson.AppendMember(w.b, "text", p.Text)
		if p.Citations != "" {
			w.b = rawjson.AppendRaw(w.b, "citations", p.Citations)
		}
	case translate.Reasoning:
		return w.reasoning(path, p)
	case translate.ToolReference:
		w.b = rawjson.AppendMember(w.b, "type", "tool_reference")
		w.b = rawjson.AppendMember(w.b, "tool_name", p.Text)
	case translate.ToolCall:
		w.call(path, p.Call)
	case translate.ToolResult:
		w.result(path, p.Result)
	case translate.Image:
		w.b = rawjson.AppendMember(w.b, "type", "image")
		return w.source(path, p.Media)
	case translate.File:
		w.b = rawjson.AppendMember(w.b, "type", "document")
		if p.Media.Name != "" {
			w.b = rawjson.AppendMember(w.b, "title", p.Media.Name)
		}
		return w.source(path, p.Media)
	default:
		w.losses.Drop(path, "Messages has no such part")
		return false
	}
	return true
}

// reasoning writes earlier reasoning if the signature is Anthropic's own: the
// API takes no other, and none is invented.
func (w *requestWriter) reasoning(path string, p *translate.Part) bool {
	switch {
	case p.SignedBy != translate.Anthropic:
		w.losses.Drop(path, "reasoning of another provider, without a signature that Anthropic takes")
		return false
	case p.Redacted != "":
		w.b = rawjson.AppendMember(w.b, "type", "redacted_thinking")
		w.b = rawjson.AppendMember(w.b, "data", p.Redacted)
	default:
		w.b = rawjson.AppendMember(w.b, "type", "thinking")
		w.b = rawjson.AppendMember(w.b, "thinking", p.Text)
		w.b = rawjson.AppendMember(w.b, "signature", p.Signature)
	}
	return true
}

func (w *requestWriter) call(path string, c *translate.Call) {
	w.b = rawjson.AppendMember(w.b, "type", "tool_use")
	w.b = appendID(rawjson.AppendName(w.b, "id"), c.ID)
	w.b = rawjson.AppendMember(w.b, "name", c.Name)
	w.b = rawjson.AppendName(w.b, "input")
	var ok bool
	if w.b, ok = answer.AppendArguments(w.b, c.Arguments, c.Custom); !ok {
		w.losses.Approximate(path+".arguments", "arguments that are not a JSON object were wrapped in one")
	}
}

func (w *requestWriter) result(path string, r *translate.Result) {
	w.b = rawjson.AppendMember(w.b, "type", "tool_result")
	w.b = appendID(rawjson.AppendName(w.b, "tool_use_id"), r.CallID)
	switch {
	case len(r.Parts) == 1 && r.Plain && r.Parts[0].Kind == translate.Text:
		w.b = rawjson.AppendMember(w.b, "content", r.Parts[0].Text)
	case len(r.Parts) > 0 || !r.Plain && w.same && r.Parts != nil:
		w.b = append(rawjson.AppendName(w.b, "content"), '[')
		for j := range r.Parts {
			w.block(fmt.Sprintf("%s.content[%d]", path, j), &r.Parts[j])
		}
		w.b = append(w.b, ']')
	}
	if r.IsError {
		w.b = rawjson.AppendBool(w.b, "is_error", true)
	}
}

func (w *requestWriter) source(path string, m *translate.Media) bool {
	w.b = append(rawjson.AppendName(w.b, "source"), '{')
	switch {
	case m.Data != "":
		w.b = rawjson.AppendMember(w.b, "type", "base64")
		w.b = rawjson.AppendMember(w.b, "media_type", m.Type)
		w.b = rawjson.AppendMember(w.b, "data", m.Data)
	case m.Text != "":
		w.b = rawjson.AppendMember(w.b, "type", "text")
		w.b = rawjson.AppendMember(w.b, "media_type", "text/plain")
		w.b = rawjson.AppendMember(w.b, "data", m.Text)
	case m.FileID != "" && w.same:
		w.b = rawjson.AppendMember(w.b, "type", "file")
		w.b = rawjson.AppendMember(w.b, "file_id", m.FileID)
	case m.URL != "":
		w.b = rawjson.AppendMember(w.b, "type", "url")
		w.b = rawjson.AppendMember(w.b, "url", m.URL)
	default:
		w.losses.Drop(path, "an upload at another provider")
		return false
	}
	if m.Detail != "" {
		w.losses.Drop(path+".detail", "images have no resolution hint here")
	}
	w.b = append(w.b, '}')
	return true
}

// countMarks counts the cache marks of a request.
func countMarks(r *translate.Request) (n int) {
	var count func(parts []translate.Part)
	count = func(parts []translate.Part) {
		for i := range parts {
			if parts[i].Cache != nil {
				n++
			}
			if res := parts[i].Result; res != nil {
				count(res.Parts)
			}
		}
	}
	for i := range r.Messages {
		count(r.Messages[i].Parts)
	}
	for i := range r.Tools {
		if r.Tools[i].Cache != nil {
			n++
		}
	}
	if r.Cache != nil {
		n++
	}
	return n
}
