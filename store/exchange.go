package store

import "time"

// An Exchange is the record of one client request with all its attempts.
// Numbers of tokens follow the arithmetic of translate.Usage: input includes
// what was read from and written to a cache, output includes reasoning.
type Exchange struct {
	ID        string    `json:"id"` // "nrx_…", see NewID
	Began     time.Time `json:"began"`
	KeyID     string    `json:"key_id,omitempty"` // empty where no key is required
	Operation string    `json:"operation"`        // "chat", "count_tokens"
	Stream    bool      `json:"stream,omitempty"`

	ClientFormat string `json:"client_format"`
	Requested    string `json:"requested"` // the model name that the client sent

	// Who answered, or was tried last; empty if nobody was.
	Provider       string `json:"provider,omitempty"`
	Model          string `json:"model,omitempty"` // upstream
	ConnectionID   string `json:"connection_id,omitempty"`
	ProviderFormat string `json:"provider_format,omitempty"`
	Attempts       int    `json:"attempts"`

	Outcome Outcome `json:"outcome"`
	Status  int     `json:"status"`          // what the client got
	Scope   string  `json:"scope,omitempty"` // whose fault a failure was
	Reason  string  `json:"reason,omitempty"`

	// UsageReported says that the provider told the tokens. Without it they are
	// the gateway's estimate of what it sent and got, by their size.
	UsageReported bool  `json:"usage_reported"`
	Input         int64 `json:"input"`
	CacheRead     int64 `json:"cache_read,omitempty"`
	CacheWrite    int64 `json:"cache_write,omitempty"`
	Output        int64 `json:"output"`
	Reasoning     int64 `json:"reasoning,omitempty"`

	// Cost is what the tokens cost by Price, which is per million of them. Priced
	// says that a price was known; without it the cost is not zero but unknown.
	Priced bool  `json:"priced"`
	Price  Price `json:"price,omitzero"`
	Cost   Money `json:"cost_nano_usd"`

	Losses int `json:"losses,omitempty"` // things that the translation lost

	// Trace is the JSON of a [Trace], nil if none was kept, of at most [MaxTrace]
	// bytes. Whoever lists exchanges does without; see [Store.Exchange].
	Trace []byte `json:"-"`

	FirstContent time.Duration `json:"first_content_ns,omitempty"` // from Began
	Duration     time.Duration `json:"duration_ns"`
	BytesIn      int64         `json:"bytes_in"`
	BytesOut     int64         `json:"bytes_out"`
}

// An Outcome is how an exchange ended.
type Outcome string

// The outcomes.
const (
	Finished  Outcome = "finished"  // the whole answer was there
	Failed    Outcome = "failed"    // an error was told instead of an answer
	Broken    Outcome = "broken"    // an error was told after a part of the answer
	Cancelled Outcome = "cancelled" // the client left
)
