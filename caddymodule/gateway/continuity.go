package gateway

import (
	"container/list"
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"github.com/nine-router/nine-router/translate"
)

// Continuity remembers the opaque state that providers put to their reasoning,
// for clients whose format has no place for it, so that a provider that wants its
// state back gets it on the next turn. What was remembered is found only by the
// same key, by the ids of the turn's tool calls or by its text. It is bounded in
// size and age. It is safe for concurrent use.
type Continuity struct {
	mu    sync.Mutex
	turns map[turnID]*list.Element
	order list.List // of *turn, the last used first
	size  int
}

// Bounds of what is remembered.
const (
	continuityBytes = 64 << 20
	continuityAge   = 24 * time.Hour
)

// NewContinuity returns an empty memory.
func NewContinuity() *Continuity { return &Continuity{turns: map[turnID]*list.Element{}} }

type turnID [sha256.Size]byte

// turnOf names a turn of a key's by one of its calls or by its text.
func turnOf(keyID, kind, value string) turnID {
	h := sha256.New()
	for _, s := range [...]string{keyID, kind, value} {
		h.Write([]byte{byte(len(s) >> 24), byte(len(s) >> 16), byte(len(s) >> 8), byte(len(s))})
		h.Write([]byte(s))
	}
	return turnID(h.Sum(nil))
}

// A turn is the reasoning of one turn of an assistant.
type turn struct {
	id    turnID
	parts []thought
	size  int
	until time.Time
}

// A thought is a part of the reasoning, and the call that it stands before, if it
// does.
type thought struct {
	text, signature, redacted string
	by                        translate.Format
	before                    string
}

func (c *Continuity) remember(ids []turnID, parts []thought, now time.Time) {
	size := 256
	for _, p := range parts {
		size += len(p.text) + len(p.signature) + len(p.redacted) + 64
	}
	if size > continuityBytes/16 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if e := c.turns[id]; e != nil {
			c.drop(e)
		}
		c.turns[id] = c.order.PushFront(&turn{id, parts, size, now.Add(continuityAge)})
		c.size += size
	}
	for c.size > continuityBytes {
		c.drop(c.order.Back())
	}
}

func (c *Continuity) drop(e *list.Element) {
	t := c.order.Remove(e).(*turn)
	delete(c.turns, t.id)
	c.size -= t.size
}

func (c *Continuity) recall(id turnID, now time.Time) []thought {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.turns[id]
	if e == nil {
		return nil
	}
	t := e.Value.(*turn)
	if now.After(t.until) {
		c.drop(e)
		return nil
	}
	c.order.MoveToFront(e)
	return t.parts
}

// forgetful says that a format's clients do not return the reasoning they were
// sent.
func forgetful(f translate.Format) bool { return f == translate.OpenAI || f == translate.Ollama }

// A rememberer collects an answer's reasoning on its way to a forgetful client.
type rememberer struct {
	parts []thought
	texts [][]byte    // of the parts
	open  map[int]int // number of the block → index in parts
	calls []string
	text  strings.Builder
}

// Event takes what is of interest in an event.
func (m *rememberer) Event(e *translate.Event) {
	if e.Choice > 0 {
		return
	}
	switch {
	case e.Part == translate.Reasoning:
		m.reasoning(e)
	case e.Part == translate.ToolCall && e.Kind == translate.BlockStart && e.ID != "":
		id := strings.Clone(e.ID)
		for i := range m.parts {
			if p := &m.parts[i]; p.before == "" && (p.signature != "" || p.redacted != "") {
				p.before = id
			}
		}
		m.calls = append(m.calls, id)
	case e.Part == translate.Text && e.Kind == translate.Delta:
		m.text.WriteString(e.Text)
	}
}

func (m *rememberer) reasoning(e *translate.Event) {
	if e.Kind == translate.BlockStart {
		if m.open == nil {
			m.open = map[int]int{}
		}
		m.open[e.Block] = len(m.parts)
		p := thought{}
		if e.Redacted {
			p.redacted, p.by = strings.Clone(e.Text), e.SignedBy
		}
		m.parts, m.texts = append(m.parts, p), append(m.texts, nil)
		return
	}
	i, ok := m.open[e.Block]
	if !ok {
		return
	}
	switch p := &m.parts[i]; e.Kind {
	case translate.Delta:
		m.texts[i] = append(m.texts[i], e.Text...) // never the event's own memory
	case translate.Signature:
		p.signature = string(append([]byte(p.signature), e.Text...))
		p.by = e.SignedBy
	}
}

// remember keeps what was collected of an answer, if there is anything to return.
func (x *exchange) remember(m *rememberer) {
	var parts []thought
	for i, p := range m.parts {
		p.text = string(m.texts[i])
		if p.signature != "" || p.redacted != "" {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return
	}
	var ids []turnID
	for _, call := range m.calls {
		ids = append(ids, turnOf(x.rec.KeyID, "call", call))
	}
	if text := strings.TrimSpace(m.text.String()); len(ids) == 0 && text != "" {
		ids = append(ids, turnOf(x.rec.KeyID, "text", text))
	}
	x.g.o.Continuity.remember(ids, parts, time.Now())
}

// recall returns the request with the reasoning that its client did not return.
// The request itself stays as it is.
func (x *exchange) recall(r *translate.Request) {
	if !forgetful(r.Format) {
		return
	}
	var messages []translate.Message
	for i := range r.Messages {
		m := &r.Messages[i]
		if m.Role != translate.RoleAssistant {
			continue
		}
		thoughts := x.recallTurn(m)
		if len(thoughts) == 0 {
			continue
		}
		if messages == nil {
			messages = append(messages, r.Messages...)
		}
		messages[i].Parts = withThoughts(m.Parts, thoughts)
		messages[i].Plain = false
	}
	if messages != nil {
		r.Messages = messages
	}
}

func (x *exchange) recallTurn(m *translate.Message) []thought {
	now := time.Now()
	var text strings.Builder
	called := false
	for i := range m.Parts {
		switch p := &m.Parts[i]; p.Kind {
		case translate.Reasoning:
			if p.Signature != "" || p.Redacted != "" {
				return nil // it has what it needs
			}
		case translate.ToolCall:
			called = true
			if t := x.g.o.Continuity.recall(turnOf(x.rec.KeyID, "call", p.Call.ID), now); t != nil {
				return t
			}
		case translate.Text:
			text.WriteString(p.Text)
		}
	}
	if s := strings.TrimSpace(text.String()); !called && s != "" {
		return x.g.o.Continuity.recall(turnOf(x.rec.KeyID, "text", s), now)
	}
	return nil
}

// withThoughts puts the reasoning where it stood: before its call, or first.
func withThoughts(parts []translate.Part, thoughts []thought) []translate.Part {
	out := make([]translate.Part, 0, len(parts)+len(thoughts))
	put := func(before string) {
		for _, t := range thoughts {
			if t.before == before {
				out = append(out, translate.Part{Kind: translate.Reasoning, Text: t.text, Signature: t.signature, Redacted: t.redacted, SignedBy: t.by})
			}
		}
	}
	put("")
	for i := range parts {
		switch p := &parts[i]; p.Kind {
		case translate.Reasoning:
			continue // the same, without its state
		case translate.ToolCall:
			put(p.Call.ID)
		}
		out = append(out, parts[i])
	}
	return out
}
