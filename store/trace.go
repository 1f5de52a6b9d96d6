package store

import "time"

// A Trace is why an exchange went where it went: who was considered, who was
// passed over and why, and what became of each attempt. It holds no secret and no
// text of the conversation.
type Trace struct {
	Requested string `json:"requested"`          // the model's name as the client sent it
	Resolved  string `json:"resolved,omitempty"` // the alias, combo or pattern that it was found by, if it was one
	// Affinity is "hit" if the conversation went where it was before, "moved" if
	// it could not, "new" if it was not known; empty if there was no choice.
	Affinity string        `json:"affinity,omitempty"`
	Passed   []PassedOver  `json:"passed_over,omitempty"` // in the order in which they were considered
	Attempts []Attempt     `json:"attempts,omitempty"`
	Queue    time.Duration `json:"queue_ns,omitempty"` // waited for a place, all in all
	Losses   []Loss        `json:"losses,omitempty"`   // of the request, on its way to the last one asked
}

// A PassedOver is somebody who was not asked. Connection is empty where the whole
// target was passed over.
type PassedOver struct {
	Provider   string    `json:"provider"`
	Model      string    `json:"model"`
	Connection string    `json:"connection,omitempty"`
	Reason     string    `json:"reason"`
	Until      time.Time `json:"until,omitzero"` // when it may be asked again
}

// An Attempt is one upstream call.
type Attempt struct {
	Provider   string `json:"provider"`
	Model      string `json:"model"`
	Connection string `json:"connection"`
	Format     string `json:"format"`           // of the provider
	Probe      bool   `json:"probe,omitempty"`  // it was to find out whether somebody is well again
	Hedge      bool   `json:"hedge,omitempty"`  // it was sent beside another that took long
	Status     int    `json:"status,omitempty"` // of the provider, 0 if it did not answer
	Scope      string `json:"scope,omitempty"`  // whose fault it was; empty if it was none
	Reason     string `json:"reason,omitempty"`

	// Times from the beginning of the exchange; 0 is never.
	Began        time.Duration `json:"began_ns"`
	Connected    time.Duration `json:"connected_ns,omitempty"` // a connection was there
	FirstByte    time.Duration `json:"first_byte_ns,omitempty"`
	FirstContent time.Duration `json:"first_content_ns,omitempty"`
	Ended        time.Duration `json:"ended_ns"`
}

// A Loss is something of a request that the provider's format cannot express.
type Loss struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}
