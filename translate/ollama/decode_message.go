package ollama

import (
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
)

// ownIDMark is the member of Part.Extra, without a value, that tells a call or a
// result whose id the client did not send.
const ownIDMark = "id"

func role(name string) translate.Role {
	switch name {
	case "system":
		return translate.RoleSystem
	case "developer":
		return translate.RoleDeveloper
	case "user":
		return translate.RoleUser
	case "assistant":
		return translate.RoleAssistant
	case "tool":
		return translate.RoleTool
	}
	return 0
}

func (d *requestDecoder) message(i int, v *fastjson.Value) {
	path := fmt.Sprintf("messages[%d]", i)
	if v.Type() != fastjson.TypeObject {
		d.Fail(path, "must be an object")
		return
	}
	m := translate.Message{Role: role(tree.Text(v, "role")), Plain: true}
	if m.Role == 0 {
		d.Fail(path+".role", "must be system, user, assistant or tool")
		return
	}
	content := ""
	if c := v.Get("content"); !tree.IsNull(c) {
		content = d.Text(path+".content", c)
	}
	if m.Role == translate.RoleTool {
		d.result(i, v, content, &m)
		d.r.Messages = append(d.r.Messages, m)
		return
	}
	if s := tree.Text(v, "thinking"); s != "" {
		m.Parts = append(m.Parts, translate.Part{Kind: translate.Reasoning, Text: s})
	}
	if content != "" {
		m.Parts = append(m.Parts, translate.Part{Kind: translate.Text, Text: content})
	}
	m.Parts = d.images(path+".images", v.Get("images"), m.Parts)
	if calls := v.Get("tool_calls"); !tree.IsNull(calls) {
		for n, c := range d.List(path+".tool_calls", calls) {
			d.call(i, n, c, &m)
		}
	}
	if len(m.Parts) == 0 {
		m.Parts = append(m.Parts, translate.Part{Kind: translate.Text})
	}
	m.Extra = d.Rest(v, "role", "content", "thinking", "images", "tool_calls")
	d.r.Messages = append(d.r.Messages, m)
}

func (d *requestDecoder) images(path string, v *fastjson.Value, parts []translate.Part) []translate.Part {
	if tree.IsNull(v) {
		return parts
	}
	for j, e := range d.List(path, v) {
		m := &translate.Media{URL: d.Name(fmt.Sprintf("%s[%d]", path, j), e)}
		m.SplitDataURL() // not documented, but some clients send them
		if m.URL != "" {
			m.Data, m.URL, m.Type = m.URL, "", imageType(m.URL)
		}
		parts = append(parts, translate.Part{Kind: translate.Image, Media: m})
	}
	return parts
}

// imageType tells what an image is by the beginning of its base64, because other
// formats have to be told.
func imageType(data string) string {
	switch {
	case strings.HasPrefix(data, "/9j/"):
		return "image/jpeg"
	case strings.HasPrefix(data, "R0lGOD"):
		return "image/gif"
	case strings.HasPrefix(data, "UklGR"):
		return "image/webp"
	}
	return "image/png"
}

// call reads a call. Other formats cannot do without an id, so one that has none
// gets it by its place, which is the same each time the conversation is sent.
func (d *requestDecoder) call(i, n int, v *fastjson.Value, m *translate.Message) {
	path := fmt.Sprintf("messages[%d].tool_calls[%d]", i, n)
	if v.Type() != fastjson.TypeObject {
		d.Fail(path, "must be an object")
		return
	}
	f := v.Get("function")
	d.Object(path+".function", f)
	if d.Err != nil {
		return
	}
	c := &translate.Call{ID: tree.Text(v, "id"), Name: d.Name(path+".function.name", f.Get("name")), Arguments: "{}"}
	if a := f.Get("arguments"); !tree.IsNull(a) {
		if s, ok := tree.String(a); ok { // the habit of another format
			c.Arguments = s
		} else {
			c.Arguments = d.Raw(a)
		}
	}
	p := translate.Part{Kind: translate.ToolCall, Call: c}
	if c.ID == "" {
		c.ID = fmt.Sprintf("call_%d_%d", i, n)
		p.Extra = append(p.Extra, translate.Field{Name: ownIDMark})
	}
	p.Extra = append(p.Extra, d.Rest(v, "id", "type", "function")...)
	d.waiting = append(d.waiting, c)
	m.Parts = append(m.Parts, p)
}

// result reads what a call gave.
func (d *requestDecoder) result(i int, v *fastjson.Value, content string, m *translate.Message) {
	res := &translate.Result{CallID: tree.Text(v, "tool_call_id"), Name: tree.Text(v, "tool_name"), Plain: true}
	p := translate.Part{Kind: translate.ToolResult, Result: res}
	if content != "" {
		res.Parts = append(res.Parts, translate.Part{Kind: translate.Text, Text: content})
	}
	res.Parts = d.images(fmt.Sprintf("messages[%d].images", i), v.Get("images"), res.Parts)
	d.match(i, &p)
	m.Parts = []translate.Part{p}
	m.Extra = d.Rest(v, "role", "content", "images", "tool_name", "tool_call_id")
}

// match finds the call of a result: by its id, else by the tool's name, else it
// is the first that waits for one.
func (d *requestDecoder) match(i int, p *translate.Part) {
	res, at := p.Result, -1
	for j, c := range d.waiting {
		if res.CallID != "" && c.ID == res.CallID || res.CallID == "" && (res.Name == "" || c.Name == res.Name) {
			at = j
			break
		}
	}
	if at < 0 && res.CallID == "" && len(d.waiting) > 0 {
		at = 0
	}
	if res.CallID == "" {
		p.Extra = append(p.Extra, translate.Field{Name: ownIDMark})
		res.CallID = fmt.Sprintf("call_%d_0", i) // of no call at all
		if at >= 0 {
			res.CallID = d.waiting[at].ID
		}
	}
	if at >= 0 {
		d.waiting = append(d.waiting[:at], d.waiting[at+1:]...)
	}
}
