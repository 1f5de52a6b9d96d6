package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unsafe"

	"github.com/nine-router/nine-router/translate/rawjson"
)

// ToolRules say what a format lets the tools of a request be.
type ToolRules struct {
	Own        Format // whose rules they are: what came in this format obeys them
	Custom     bool   // tools with free text for input
	Namespaces bool   // names within namespaces
	References bool   // results that refer to tools, and tools that are loaded later
	MaxName    int    // bytes of a name
	// NameByte says whether a byte may stand in a name.
	NameByte func(c byte, first bool) bool
}

// WordByte allows letters, digits, underscores and dashes.
func WordByte(c byte, _ bool) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// Names is the way back from the names that a request's tools got for one
// provider to what the client calls them. Nil changes nothing.
type Names struct {
	wire map[toolKey]string
	back map[string]backName
}

type toolKey struct{ namespace, name string }

type backName struct {
	toolKey
	custom bool
}

// freeText is the member that holds the input of a custom tool that became a
// function.
const freeText = "input"

// Adapt returns the request with its tools, and all that speaks of them, as the
// rules allow, and the way back for the answer. The request itself stays as it
// is; it is returned where there is nothing to do.
func Adapt(r *Request, rules ToolRules, losses *Losses) (*Request, *Names) {
	if r.Format == rules.Own {
		return r, nil
	}
	a := adapter{rules: rules, losses: losses, names: &Names{map[toolKey]string{}, map[string]backName{}}}
	if !a.needed(r) {
		return r, nil
	}
	out := *r
	out.release = nil
	out.Tools = make([]Tool, len(r.Tools))
	for i := range r.Tools {
		out.Tools[i] = a.tool(fmt.Sprintf("tools[%d]", i), r.Tools[i])
	}
	if c := &out.ToolChoice; c.Mode == ToolNamed {
		c.Name, c.Namespace = a.name(c.Namespace, c.Name, false)
	}
	out.Messages = make([]Message, len(r.Messages))
	for i, m := range r.Messages {
		m.Parts = a.parts(fmt.Sprintf("messages[%d].content", i), m.Parts)
		out.Messages[i] = m
	}
	return &out, a.names
}

type adapter struct {
	rules  ToolRules
	losses *Losses
	names  *Names
}

func (a *adapter) nameFits(namespace, name string) bool {
	if namespace != "" && !a.rules.Namespaces || a.rules.MaxName > 0 && len(name) > a.rules.MaxName {
		return false
	}
	if f := a.rules.NameByte; f != nil {
		for i := range len(name) {
			if !f(name[i], i == 0) {
				return false
			}
		}
	}
	return true
}

// needed says that something in the request breaks the rules.
func (a *adapter) needed(r *Request) bool {
	for i := range r.Tools {
		t := &r.Tools[i]
		if t.Kind != ServerTool && !a.nameFits(t.Namespace, t.Name) || t.Kind == CustomTool && !a.rules.Custom || t.Deferred && !a.rules.References {
			return true
		}
	}
	for i := range r.Messages {
		for j := range r.Messages[i].Parts {
			switch p := &r.Messages[i].Parts[j]; p.Kind {
			case ToolCall:
				if !a.nameFits(p.Call.Namespace, p.Call.Name) || p.Call.Custom && !a.rules.Custom {
					return true
				}
			case ToolReference:
				if !a.rules.References {
					return true
				}
			case ToolResult:
				if !a.nameFits("", p.Result.Name) {
					return true
				}
				for k := range p.Result.Parts {
					if p.Result.Parts[k].Kind == ToolReference && !a.rules.References {
						return true
					}
				}
			}
		}
	}
	return false
}

// name returns the name for the provider, and remembers the way back. Two
// different tools never get the same one.
func (a *adapter) name(namespace, name string, custom bool) (wire, wireNamespace string) {
	if a.rules.Namespaces && namespace != "" {
		// The name alone has to obey the rules; it is unique in its namespace.
		return name, namespace
	}
	key := toolKey{namespace, name}
	if w, ok := a.names.wire[key]; ok {
		if custom {
			a.names.back[w] = backName{key, true}
		}
		return w, ""
	}
	wire = name
	if namespace != "" {
		wire = namespace + "__" + name
	}
	if _, taken := a.names.back[wire]; taken || !a.nameFits("", wire) {
		wire = a.distinct(wire, key)
	}
	a.names.wire[key] = wire
	a.names.back[wire] = backName{key, custom}
	return wire, ""
}

// distinct makes a name that obeys the rules, with a piece of a hash of the
// whole.
func (a *adapter) distinct(name string, key toolKey) string {
	sum := sha256.Sum256([]byte(key.namespace + "\x00" + key.name))
	tail := "_" + hex.EncodeToString(sum[:5])
	b := []byte(name)
	for i := range b {
		if f := a.rules.NameByte; f != nil && !f(b[i], i == 0) {
			b[i] = '_'
		}
	}
	if limit := a.rules.MaxName - len(tail); a.rules.MaxName > 0 && len(b) > limit {
		b = b[:limit]
	}
	if f := a.rules.NameByte; f != nil && len(b) > 0 && !f(b[0], true) {
		b[0] = 'x'
	}
	return string(b) + tail
}

func (a *adapter) tool(path string, t Tool) Tool {
	if t.Kind == ServerTool {
		return t
	}
	custom := t.Kind == CustomTool && !a.rules.Custom
	wire, ns := a.name(t.Namespace, t.Name, custom)
	if wire != t.Name || ns != t.Namespace {
		t.Name, t.Namespace, t.Raw = wire, ns, ""
	}
	if t.Deferred && !a.rules.References {
		a.losses.Approximate(path+".defer_loading", "a tool that is loaded later is there from the start")
		t.Deferred = false
	}
	if custom {
		a.losses.Approximate(path, "a tool with free text became one with a string")
		about := ""
		if g := t.Grammar; g != nil {
			about = "Text by this grammar (" + g.Syntax + "):\n" + g.Definition
		}
		b := []byte(`{"type":"object","properties":{"` + freeText + `":{"type":"string"`)
		if about != "" {
			b = rawjson.AppendMember(b, "description", about)
		}
		b = append(b, `}},"required":["`+freeText+`"],"additionalProperties":false}`...)
		t.Kind, t.Schema, t.Raw, t.RawFormat, t.Grammar = FunctionTool, string(b), "", "", nil
	}
	return t
}

func (a *adapter) parts(path string, parts []Part) []Part {
	var out []Part // a copy, from the first change on
	for j := range parts {
		p := parts[j]
		at := fmt.Sprintf("%s[%d]", path, j)
		changed := true
		switch {
		case p.Kind == ToolCall:
			c := *p.Call
			custom := c.Custom && !a.rules.Custom
			c.Name, c.Namespace = a.name(c.Namespace, c.Name, custom)
			if custom {
				c.Arguments = string(append(rawjson.AppendMember([]byte("{"), freeText, c.Arguments), '}'))
				c.Custom = false
			}
			changed = c != *p.Call
			p.Call = &c
		case p.Kind == ToolResult:
			res := *p.Result
			if res.Name != "" {
				res.Name, _ = a.name("", res.Name, false)
			}
			res.Parts = a.parts(at+".content", res.Parts)
			p.Result = &res
		case p.Kind == ToolReference && !a.rules.References:
			a.losses.Approximate(at, "a reference to a tool became its name")
			p = Part{Kind: Text, Text: p.Text, Cache: p.Cache}
		default:
			changed = false
		}
		if changed && out == nil {
			out = append(make([]Part, 0, len(parts)), parts[:j]...)
		}
		if out != nil {
			out = append(out, p)
		}
	}
	if out == nil {
		return parts
	}
	return out
}

// Restore returns a sink that gives the tools of an answer the names they have
// for the client, and hands all events on to next.
func (n *Names) Restore(next Sink) Sink {
	if n == nil {
		return next
	}
	return &restorer{names: n, next: next}
}

type restorer struct {
	names *Names
	next  Sink
	open  map[[2]int]*textMember // calls of custom tools, by choice and block
}

// Event implements [Sink].
func (s *restorer) Event(e *Event) error {
	if e.Part != ToolCall {
		return s.next.Event(e)
	}
	key := [2]int{e.Choice, e.Block}
	if e.Kind == BlockStart {
		b, ok := s.names.back[e.Name]
		if !ok {
			return s.next.Event(e)
		}
		changed := *e
		changed.Name, changed.Namespace = b.name, b.namespace
		if b.custom && !e.Custom {
			changed.Custom = true
			if s.open == nil {
				s.open = map[[2]int]*textMember{}
			}
			s.open[key] = &textMember{}
		}
		return s.next.Event(&changed)
	}
	m := s.open[key]
	if m == nil {
		return s.next.Event(e)
	}
	changed := *e
	changed.Custom = true
	switch e.Kind {
	case Delta:
		m.out = m.out[:0]
		m.write(e.Text)
		if len(m.out) == 0 {
			return nil
		}
		changed.Text = view(m.out)
	case BlockStop:
		delete(s.open, key)
	}
	return s.next.Event(&changed)
}

// A textMember takes the text out of the one member of an object that comes in
// pieces. What is not such an object is handed on as it is.
type textMember struct {
	state  int // 0 before the value, 1 in it, 2 after it
	head   []byte
	quoted []byte // an escape that is not whole yet
	out    []byte
}

func (m *textMember) write(s string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch m.state {
		case 0:
			m.head = append(m.head, c)
			if c == '"' && strings.HasSuffix(strings.Join(strings.Fields(view(m.head)), ""), `{"`+freeText+`":"`) {
				m.state = 1
			} else if len(m.head) > 64 { // not what was asked for
				m.state, m.out = 3, append(m.out, m.head...)
			}
		case 1:
			switch {
			case len(m.quoted) == 6 && c != '\\':
				m.flush() // half of a pair, alone
				i--
			case len(m.quoted) > 0:
				m.quoted = append(m.quoted, c)
				if m.escaped() {
					m.flush()
				}
			case c == '\\':
				m.quoted = append(m.quoted, c)
			case c == '"':
				m.state = 2
			default:
				m.out = append(m.out, c)
			}
		case 3:
			m.out = append(m.out, c)
		}
	}
}

// escaped says that the escape is whole. The first half of a pair of surrogates
// waits for the second.
func (m *textMember) escaped() bool {
	q := m.quoted
	if q[1] != 'u' {
		return true
	}
	if len(q) < 6 {
		return false
	}
	if q[2]|0x20 != 'd' || strings.IndexByte("89abAB", q[3]) < 0 {
		return true
	}
	return len(q) == 8 && q[7] != 'u' || len(q) == 12
}

func (m *textMember) flush() {
	m.out = append(m.out, rawjson.Unquote(append(append([]byte{'"'}, m.quoted...), '"'))...)
	m.quoted = m.quoted[:0]
}

// view returns b as a string without a copy.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
