package translate

// An Event is one step of an answer. Decoders reuse events and the memory they
// refer to: a sink that keeps something copies it.
//
// The grammar, which every decoder keeps and every encoder may rely on:
//
//	answer  = AnswerStart { Ping | Usage | choice | Unknown } [ Failure | AnswerEnd ]
//	choice  = { block } Finish
//	block   = BlockStart { Delta | Signature | Citation | LogProbs } BlockStop
//
// Blocks of one choice may overlap (some providers stream parallel tool calls
// interleaved), and so may choices; Choice and Block tell them apart. Block
// numbers count up from 0 in the order of BlockStart within a choice. Every
// block is stopped before its choice's Finish. Usage may come at any place, is
// cumulative, and the last one holds. After AnswerEnd or Failure nothing follows.
// Log-probabilities of a choice without an open text block are sent with Block -1.
type Event struct {
	Kind   EventKind
	Choice int // number of the choice or candidate, from 0
	Block  int // number of the block in its choice

	// Part is the kind of the block: Text, Reasoning, Refusal, ToolCall, Server,
	// Image or Audio. It is set on BlockStart and repeated on the events within
	// the block.
	Part PartKind

	// ID is the answer's id on AnswerStart, the call's id on BlockStart of a
	// tool call (empty if the provider gives none), the id of an audio block.
	ID string

	// Name is the model on AnswerStart, the tool's name on BlockStart of a tool
	// call, and the event's type on Unknown.
	Name string

	// Namespace is the namespace of the tool, on BlockStart of a tool call.
	Namespace string

	// Text is, on Delta, a piece of the block's text: visible text, reasoning,
	// refusal, or the JSON text of a call's arguments. On Signature it is a
	// piece of the opaque value. On BlockStart of a redacted reasoning block it
	// is the redacted data.
	Text string

	// Custom marks, on BlockStart, a tool call with free text for its input
	// instead of JSON; Redacted a reasoning block that holds only opaque data.
	Custom, Redacted bool

	// SignedBy is whose signature it is, on Signature and on BlockStart of a
	// redacted reasoning block.
	SignedBy Format

	// Media is, on BlockStart, what an image or audio block holds, where that is
	// known at once.
	Media *Media

	// Created is the Unix time that the provider states on AnswerStart, or 0.
	Created int64

	// Raw is the JSON of what only one family of formats knows: the whole block
	// on BlockStart of a Server block, the citation on Citation, the content of
	// logprobs on LogProbs, the event on Unknown. RawFormat says whose it is.
	Raw       string
	RawFormat Format

	// Usage is set on Usage, and on AnswerStart where the provider tells the
	// input at once.
	Usage *Usage

	// Stop is why the choice ended, on Finish; Native is the provider's own word
	// for it, and StopSequence the sequence that matched, where it is told.
	Stop         StopReason
	Native       string
	StopSequence string

	// Err is what went wrong, on Failure.
	Err *Error
}

// An EventKind says what an event is.
type EventKind uint8

// The kinds of events. See [Event] for their order.
const (
	AnswerStart EventKind = iota + 1
	BlockStart
	Delta
	Signature
	Citation
	LogProbs
	BlockStop
	UsageUpdate
	Finish
	AnswerEnd
	Failure
	Ping
	Unknown
)

// A StopReason is why an answer ended.
type StopReason uint8

// The reasons, as far as formats tell them apart. A pause is not a stop: the
// provider wants to be called again. Filtered is an answer that was cut by a
// filter of the provider, Refused one that the model itself declined.
const (
	StopUnknown  StopReason = iota // the provider's word is not known; see Native
	StopEnd                        // the model was done
	StopSequence                   // a stop sequence matched
	StopLength                     // the limit of output tokens
	StopContext                    // the context window is full
	StopTools                      // the model waits for tool results
	StopPause                      // a long turn was paused; call again to go on
	StopFiltered                   // a content filter
	StopRefused                    // a refusal
	StopError                      // the provider says it failed
)
