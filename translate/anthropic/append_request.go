package anthropic

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// DefaultMaxTokens is the limit of output tokens for a request that names none.
// The API demands one, and this is the least that its models of today allow for.
const DefaultMaxTokens = 8192

// AppendRequest implements [translate.Codec].
func (Codec) AppendRequest(dst []byte, r *translate.Request, losses *translate.Losses) ([]byte, error) {
	w := requestWriter{b: dst, r: r, losses: losses, same: r.Format == translate.Anthropic}
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
		for _, f := range r.Extra {
			losses.Drop(f.Name, "Messages has no such member")
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

func (w *requestWriter) drop(path string, fields []translate.Field) {
	for _, f := range fields {
		w.losses.Drop(path+"."+f.Name, "Messages has no such member")
	}
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
	if n == 0 {
		return all
	}
	w.b = rawjson.AppendName(w.b, "system")
	if n == 1 && len(all[0].Parts) == 1 && all[0].Plain && all[0].Parts[0].Kind == translate.Text {
		w.b = rawjson.AppendString(w.b, all[0].Parts[0].Text)
		w.drop("messages[0]", all[0].Extra)
		return all[n:]
	}
	w.b = append(w.b, '[')
	for i := range all[:n] {
		w.blocks(fmt.Sprintf("messages[%d]", i), &all[i])
		w.drop(fmt.Sprintf("messages[%d]", i), all[i].Extra)
	}
	w.b = append(w.b, ']')
	return all[n:]
}

var roleNames = map[translate.Role]string{
	translate.RoleUser: "user", translate.RoleTool: "user", translate.RoleAssistant: "assistant",
	translate.RoleSystem: "system", translate.RoleDeveloper: "system",
}

// messages writes the conversation. Turns of one side that follow each other are
// one message here, because all results of a turn's calls must stand together in
// the message after it.
func (w *requestWriter) messages(all []translate.Message, offset int) {
	w.b = append(rawjson.AppendName(w.b, "messages"), '[')
	for i := 0; i < len(all); {
		j := i + 1
		role := roleNames[all[i].Role]
		for !w.same && j < len(all) && role != "system" && roleNames[all[j].Role] == role {
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
	w.b = rawjson.AppendMember(w.b, "role", roleNames[m.Role])
	w.b = rawjson.AppendName(w.b, "content")
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
		w.cache(p.Cache)
	}
	if w.same {
		for _, f := range p.Extra {
			w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
		}
	} else {
		for _, f := range p.Extra {
			if f.Value != "" {
				w.losses.Drop(path+"."+f.Name, "Messages has no such member")
			}
		}
	}
	w.b = append(w.b, '}')
}

func (w *requestWriter) cache(m *translate.CacheMark) {
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
			w.losses.Drop(path, "an empty text, which the API refuses")
			return false
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
	if r.Name != "" {
		w.losses.Drop(path+".name", "a result has no name here")
	}
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

func (w *requestWriter) tools() {
	begun := false
	for i := range w.r.Tools {
		t := &w.r.Tools[i]
		path := fmt.Sprintf("tools[%d]", i)
		if t.Kind == translate.ServerTool && t.RawFormat != translate.Anthropic {
			w.losses.Drop(path, "a tool that only another provider runs")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "tools"), '['), true
		}
		w.b = rawjson.AppendComma(w.b)
		if t.Kind == translate.ServerTool {
			w.b = append(w.b, t.Raw...)
			continue
		}
		w.b = append(w.b, '{')
		w.b = rawjson.AppendMember(w.b, "name", t.Name)
		if t.Description != "" {
			w.b = rawjson.AppendMember(w.b, "description", t.Description)
		}
		w.b = rawjson.AppendName(w.b, "input_schema")
		switch {
		case t.Schema == "":
			w.b = append(w.b, `{"type":"object","properties":{}}`...) // required
		default:
			w.b = append(w.b, t.Schema...)
		}
		if t.Strict != nil && (w.same || *t.Strict) {
			w.b = rawjson.AppendBool(w.b, "strict", *t.Strict)
		}
		if t.Deferred {
			w.b = rawjson.AppendBool(w.b, "defer_loading", true)
		}
		if t.Cache != nil {
			w.cache(t.Cache)
		}
		if w.same {
			for _, f := range t.Extra {
				w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
			}
		} else {
			w.drop(path, t.Extra)
		}
		w.b = append(w.b, '}')
	}
	if begun {
		w.b = append(w.b, ']')
		w.toolChoice()
	}
}

func (w *requestWriter) toolChoice() {
	c := w.r.ToolChoice
	if w.thinks() && !w.same && (c.Mode == translate.ToolRequired || c.Mode == translate.ToolNamed) {
		w.losses.Approximate("tool_choice", "a model that thinks cannot be forced to call a tool")
		c.Mode = translate.ToolAuto
	}
	kind := ""
	switch c.Mode {
	case translate.ToolAuto:
		kind = "auto"
	case translate.ToolRequired:
		kind = "any"
	case translate.ToolNone:
		kind = "none"
	case translate.ToolNamed:
		kind = "tool"
	case translate.ToolOther:
		w.losses.Drop("tool_choice", "a form that only its own format knows")
	}
	p := w.r.ParallelTools
	if kind == "" && p != nil && !*p {
		kind = "auto"
	}
	if kind == "" {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "tool_choice"), '{')
	w.b = rawjson.AppendMember(w.b, "type", kind)
	if kind == "tool" {
		w.b = rawjson.AppendMember(w.b, "name", c.Name)
	}
	if p != nil && kind != "none" && (w.same || !*p) {
		w.b = rawjson.AppendBool(w.b, "disable_parallel_tool_use", !*p)
	}
	w.b = append(w.b, '}')
}

// thinks says that the request turns extended thinking on.
func (w *requestWriter) thinks() bool {
	return w.r.Reasoning.Mode == translate.ReasoningOn || w.r.Reasoning.Mode == translate.ReasoningAdaptive
}

func (w *requestWriter) number(name string, n translate.Number) {
	if n.IsSet() {
		w.b = rawjson.AppendRaw(w.b, name, string(n))
	}
}

func (w *requestWriter) options() {
	r := w.r
	switch {
	case r.CountOnly:
	case r.MaxTokens.IsSet():
		w.number("max_tokens", r.MaxTokens)
	case !w.same:
		w.b = strconv.AppendInt(rawjson.AppendName(w.b, "max_tokens"), DefaultMaxTokens, 10)
		w.losses.Approximate("max_tokens", "the API demands a limit and the request has none")
	}
	if r.CountOnly {
		w.thinking()
		return
	}
	w.temperature()
	w.number("top_p", r.TopP)
	w.number("top_k", r.TopK)
	for _, o := range [...]struct {
		name string
		n    translate.Number
	}{{"frequency_penalty", r.FrequencyPenalty}, {"presence_penalty", r.PresencePenalty}, {"seed", r.Seed}, {"top_logprobs", r.TopLogProbs}} {
		if o.n.IsSet() {
			w.losses.Drop(o.name, "Messages has no such option")
		}
	}
	if r.N.IsSet() && r.N.Int() != 1 {
		w.losses.Drop("n", "Messages gives one answer")
	}
	if r.LogProbs != nil && *r.LogProbs {
		w.losses.Drop("logprobs", "Messages tells no probabilities")
	}
	w.stop()
	if r.User != "" {
		w.b = append(rawjson.AppendMember(append(rawjson.AppendName(w.b, "metadata"), '{'), "user_id", r.User), '}')
	}
	if r.CacheKey != "" {
		w.losses.Drop("prompt_cache_key", "Messages has no such option")
	}
	if r.Cache != nil {
		w.cache(r.Cache)
	}
	w.tier()
	w.thinking()
	w.outputConfig()
	if r.Stream {
		w.b = rawjson.AppendBool(w.b, "stream", true)
	}
}

// temperature is at most 1 here, and only 1 for a model that thinks.
func (w *requestWriter) temperature() {
	t := w.r.Temperature
	if !t.IsSet() {
		return
	}
	if !w.same {
		switch {
		case w.thinks() && t.Float() != 1:
			w.losses.Drop("temperature", "a model that thinks has a fixed temperature")
			return
		case t.Float() > 1:
			w.losses.Approximate("temperature", "the highest temperature is 1")
			t = "1"
		}
	}
	w.number("temperature", t)
}

func (w *requestWriter) stop() {
	begun := false
	for i, s := range w.r.Stop {
		if strings.TrimSpace(s) == "" && !w.same {
			w.losses.Drop(fmt.Sprintf("stop[%d]", i), "a stop sequence of white space, which the API refuses")
			continue
		}
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "stop_sequences"), '['), true
		}
		w.b = rawjson.AppendString(rawjson.AppendComma(w.b), s)
	}
	if begun {
		w.b = append(w.b, ']')
	}
}

func (w *requestWriter) tier() {
	switch t := w.r.ServiceTier; {
	case t == "":
	case w.same || t == "auto":
		w.b = rawjson.AppendMember(w.b, "service_tier", t)
	case t == "default":
		w.b = rawjson.AppendMember(w.b, "service_tier", "standard_only")
	default:
		w.losses.Drop("service_tier", "a tier of another provider")
	}
}

func (w *requestWriter) thinking() {
	c := &w.r.Reasoning
	kind := ""
	switch c.Mode {
	case translate.ReasoningOn:
		kind = "enabled"
	case translate.ReasoningOff:
		kind = "disabled"
	case translate.ReasoningAdaptive:
		kind = "adaptive"
	default:
		if c.Effort == "none" {
			kind = "disabled"
		}
	}
	if kind == "" {
		return
	}
	w.b = append(rawjson.AppendName(w.b, "thinking"), '{')
	if len(c.Extra) == 0 || c.Extra[0].Name != "type" {
		w.b = rawjson.AppendMember(w.b, "type", kind)
	}
	w.number("budget_tokens", c.Budget)
	if c.Display != "" {
		w.b = rawjson.AppendMember(w.b, "display", c.Display)
	}
	for _, f := range c.Extra {
		w.b = rawjson.AppendMemberRaw(w.b, f.Name, f.Value)
	}
	w.b = append(w.b, '}')
}

// outputConfig writes the effort and the form of the output, see
// https://platform.claude.com/docs/en/build-with-claude/effort and
// https://platform.claude.com/docs/en/build-with-claude/structured-outputs.
func (w *requestWriter) outputConfig() {
	r := w.r
	begun := false
	open := func() {
		if !begun {
			w.b, begun = append(rawjson.AppendName(w.b, "output_config"), '{'), true
		}
	}
	switch e := r.Reasoning.Effort; {
	case e == "" || e == "none" && !w.same:
	case e == "minimal" && !w.same:
		open()
		w.b = rawjson.AppendMember(w.b, "effort", "low")
		w.losses.Approximate("reasoning_effort", "the least effort is low")
	default:
		open()
		w.b = rawjson.AppendMember(w.b, "effort", e)
	}
	switch r.Output.Kind {
	case translate.OutputJSONSchema:
		if r.Output.Schema == "" || r.Output.Schema[0] != '{' {
			w.losses.Drop("response_format", "a form of output without a schema")
			break
		}
		open()
		w.b = append(rawjson.AppendName(w.b, "format"), `{"type":"json_schema"`...)
		w.b = append(rawjson.AppendRaw(w.b, "schema", r.Output.Schema), '}')
	case translate.OutputJSON:
		w.losses.Drop("response_format", "JSON without a schema cannot be asked for but in the prompt, which is the user's")
	}
	if w.same {
		for _, f := range r.Extra {
			if name, ok := strings.CutPrefix(f.Name, "output_config."); ok {
				open()
				w.b = rawjson.AppendMemberRaw(w.b, name, f.Value)
			}
		}
	}
	if begun {
		w.b = append(w.b, '}')
	}
}
