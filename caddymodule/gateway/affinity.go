package gateway

import (
	"bytes"
	"container/list"
	"encoding/binary"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// Affinity remembers where conversations went, because the prompt caches of
// providers belong to one account. A conversation is known by what the client says
// of it, or by its beginning. It is bounded in size, and safe for concurrent use.
type Affinity struct {
	seed maphash.Seed

	mu    sync.Mutex
	known map[conversation]*list.Element
	order list.List // of *stay, the last used first
}

// maxConversations bounds how many are remembered.
const maxConversations = 50_000

// NewAffinity returns an empty memory.
func NewAffinity() *Affinity {
	return &Affinity{seed: maphash.MakeSeed(), known: map[conversation]*list.Element{}}
}

// A conversation is its hash; zero is one that is not known by anything.
type conversation uint64

// A stay is where a conversation was last.
type stay struct {
	conversation                conversation
	provider, model, connection string
	until                       time.Time
}

func (a *Affinity) find(c conversation, now time.Time) (stay, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.known[c]
	if e == nil {
		return stay{}, false
	}
	s := e.Value.(*stay)
	if now.After(s.until) {
		a.order.Remove(e)
		delete(a.known, c)
		return stay{}, false
	}
	return *s, true
}

func (a *Affinity) note(s stay) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.known[s.conversation]; e != nil {
		*e.Value.(*stay) = s
		a.order.MoveToFront(e)
		return
	}
	a.known[s.conversation] = a.order.PushFront(&s)
	if len(a.known) > maxConversations {
		last := a.order.Back()
		a.order.Remove(last)
		delete(a.known, last.Value.(*stay).conversation)
	}
}

// prefer lets a conversation go where it was before.
func (x *exchange) prefer(p *schedule.Pass) {
	if x.conversation == 0 {
		var known bool
		if x.conversation, known = x.g.o.Affinity.conversation(x); x.conversation == 0 {
			return
		}
		x.trace.Affinity, x.begins = "new", !known
	}
	if x.begins {
		return // it is whoever's turn, in every round
	}
	s, ok := x.g.o.Affinity.find(x.conversation, time.Now())
	if !ok {
		return
	}
	m := x.snap.byName[s.provider]
	if m == nil {
		return
	}
	c := m.Connection(s.connection)
	target := schedule.Target{Provider: m.Provider, Model: s.model}
	if c == nil || !x.meaning.plan.Has(target, c) {
		return
	}
	x.trace.Affinity = "moved"
	p.Prefer = schedule.Candidate{Target: target, Connection: c}
}

// stayed notes where the conversation went.
func (x *exchange) stayed(c schedule.Candidate) {
	if x.conversation == 0 {
		return
	}
	x.g.o.Affinity.note(stay{conversation: x.conversation, provider: c.Provider.Name, model: c.Model, connection: c.Connection.ID,
		until: time.Now().Add(x.g.o.Keeping.Affinity)})
}

// conversation names the conversation that a request belongs to, for its key and
// the model that it asks for. known says that it may have been here before: the
// client names it, or an assistant has spoken in it already.
func (a *Affinity) conversation(x *exchange) (c conversation, known bool) {
	var h maphash.Hash
	h.SetSeed(a.seed)
	put := func(b []byte) {
		var n [4]byte
		binary.LittleEndian.PutUint32(n[:], uint32(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	put([]byte(x.key.id))
	put([]byte(x.env.model))
	if id := x.env.session(x.r.Header); len(id) > 0 {
		put(id)
		return sum(&h), true
	}
	first, known := x.env.beginning()
	if first == nil {
		return 0, false
	}
	put(x.env.instructions[:min(len(x.env.instructions), maxBeginning)])
	put(first)
	return sum(&h), known
}

func sum(h *maphash.Hash) conversation { return conversation(max(h.Sum64(), 1)) }

// maxBeginning bounds what is looked at of a conversation's beginning, in bytes. The
// instructions of an agent alone have tens of thousands, and are the same for all.
const maxBeginning = 256 << 10

// sessionHeaders are where clients name a conversation: our own, Codex's and
// opencode's, Claude Code's.
var sessionHeaders = [...]string{"X-Session-Id", "Session-Id", "Session_id", "Conversation_id", "X-Conversation-Id", "X-Claude-Code-Session-Id"}

// session is what the client says which conversation this is, nil if nothing.
func (e *envelope) session(h http.Header) []byte {
	for _, name := range sessionHeaders {
		if v := h[name]; len(v) > 0 && v[0] != "" {
			return []byte(v[0])
		}
	}
	if len(e.said) > 0 {
		return e.said
	}
	if e.previous != "" {
		return nil // it changes with every turn; what stands before it does not
	}
	return nil
}

// userID is what Anthropic's metadata says of the user. Claude Code names its
// session there.
func userID(metadata []byte) []byte {
	v, err := fastjson.ParseBytes(metadata)
	if err != nil {
		return nil
	}
	return v.GetStringBytes("user_id")
}

// beginning is the conversation up to the user's first message, as it stood, and
// whether an assistant has answered in it. It looks no further than it must.
func (e *envelope) beginning() (first []byte, answered bool) {
	t := e.turns
	if len(t) == 0 {
		return nil, false
	}
	if t[0] != '[' {
		return t[:min(len(t), maxBeginning)], false
	}
	seen := t[:min(len(t), maxBeginning)]
	depth, inString, start := 0, false, 0
	for i := 0; i < len(seen); i++ {
		switch c := seen[i]; {
		case inString:
			switch c {
			case '\\':
				i++
			case '"':
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{', c == '[':
			if depth++; depth == 2 {
				start = i
			}
		case c == '}', c == ']':
			depth--
			if depth == 1 && userSpeaks(seen[start:i+1]) {
				return seen[:i+1], spoken(t[i+1:])
			}
		}
	}
	return seen, spoken(t[len(seen):])
}

// spoken says that somebody else than the user has a turn in what follows. Within a
// text the quotation marks would be escaped, so that it is not taken for one.
func spoken(rest []byte) bool {
	for _, mark := range [...]string{`"assistant"`, `"model"`, `"function_call_output"`, `"reasoning"`} {
		if bytes.Contains(rest, []byte(mark)) {
			return true
		}
	}
	return false
}

// userSpeaks says that a message is the user's.
func userSpeaks(message []byte) bool {
	user := true // Gemini's contents need not say it
	rawjson.Object(message, func(name []byte, start, end int) error {
		if string(name) == "role" {
			user = string(message[start:end]) == `"user"`
			return errFound
		}
		return nil
	})
	return user
}

// turnsMember is the member that holds the conversation in a format's requests.
func turnsMember(f translate.Format) string {
	switch f {
	case translate.Responses:
		return "input"
	case translate.Gemini:
		return "contents"
	}
	return "messages"
}
