package store

import "time"

// A Node is a provider that the user defines.
type Node struct {
	Name    string            `json:"name"`             // its id, and what it is called
	Prefix  string            `json:"prefix,omitempty"` // before the slash of a model name; Name if empty
	Format  string            `json:"format"`           // wire format, such as "openai"
	BaseURL string            `json:"base_url"`         // up to and including the version, such as "http://localhost:11434/v1"
	Headers map[string]string `json:"headers,omitempty"`
	Models  []string          `json:"models,omitempty"` // what it offers; empty if not known
	// Private allows the base URL to lead to this machine or a private network.
	// Link-local and metadata addresses are never allowed.
	Private bool   `json:"private,omitempty"`
	Rev     uint64 `json:"rev,omitempty"`
}

// A Connection is one credential at one provider.
type Connection struct {
	ID       string   `json:"id"`               // "conn_…", see NewID
	Provider string   `json:"provider"`         // an entry of the catalogue or a node
	Name     string   `json:"name"`             // for people; unique within the provider
	Priority int      `json:"priority"`         // lower goes first
	Weight   int      `json:"weight,omitempty"` // share among those of equal priority; 0 counts as 1
	Disabled bool     `json:"disabled,omitempty"`
	Models   []string `json:"models,omitempty"` // what it offers, where that differs from the provider's list
	// MaxConcurrent is how many exchanges it has at a time; 0 is any number.
	MaxConcurrent int `json:"max_concurrent,omitempty"`
	// Proxies are URLs of proxies, tried in turn when one fails: http, https,
	// socks5 or socks5h. They may hold a password, so they are sealed on disk.
	Proxies []Secret `json:"-"`

	APIKey  Secret    `json:"-"` // sealed on disk; empty for a server without one
	Created time.Time `json:"created"`
	Rev     uint64    `json:"rev,omitempty"`
}

// An Alias is another name for a model.
type Alias struct {
	Name  string `json:"name"`  // its id
	Model string `json:"model"` // "provider/model", another alias or a combo
	Rev   uint64 `json:"rev,omitempty"`
}

// A Combo is a list of models that is named like a model.
type Combo struct {
	Name     string   `json:"name"`               // its id
	Models   []string `json:"models"`             // tried in this order, unless the strategy has another
	Weights  []int    `json:"weights,omitempty"`  // of the models, in their order; 0 or missing counts as 1
	Strategy string   `json:"strategy,omitempty"` // see schedule.Strategy; empty is priority
	Sticky   int      `json:"sticky,omitempty"`   // of round_robin: exchanges before it is the next one's turn
	// Deadline bounds all attempts together, until the first content. 0 is none
	// beside that of the exchange.
	Deadline time.Duration `json:"deadline_ns,omitempty"`
	Rev      uint64        `json:"rev,omitempty"`
}

// A Key is what a client authenticates with. The secret itself is not kept.
type Key struct {
	ID      string    `json:"id"`   // "key_…", see NewID
	Name    string    `json:"name"` // for people; unique among active keys
	Hash    KeyHash   `json:"-"`
	Hint    string    `json:"hint"` // its first and last characters, to recognise it by
	Revoked bool      `json:"revoked,omitempty"`
	Limits  Limits    `json:"limits,omitzero"`
	Created time.Time `json:"created"`
	Rev     uint64    `json:"rev,omitempty"`
}

// A Setting is one choice of the user that has no entity of its own.
type Setting struct {
	Name  string `json:"name"` // its id
	Value string `json:"value"`
	Rev   uint64 `json:"rev,omitempty"`
}

// RecordID implements [Record].
func (n *Node) RecordID() string { return "node/" + n.Name }

// RecordID implements [Record].
func (c *Connection) RecordID() string { return "connection/" + c.ID }

// RecordID implements [Record].
func (a *Alias) RecordID() string { return "alias/" + a.Name }

// RecordID implements [Record].
func (c *Combo) RecordID() string { return "combo/" + c.Name }

// RecordID implements [Record].
func (k *Key) RecordID() string { return "key/" + k.ID }

// RecordID implements [Record].
func (s *Setting) RecordID() string { return "setting/" + s.Name }
