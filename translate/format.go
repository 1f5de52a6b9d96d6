// Package translate holds one model of a conversation and the rules to carry it
// between the wire formats of AI services.
//
// A format package (openai, anthropic, …) decodes its requests and answers into
// this model and encodes them out of it, so that N formats cost N packages and
// not N². A request is a [Request]; an answer is a run of [Event] values,
// whether it was streamed or not, so one decoder and one encoder serve every
// combination. The model is the union of what the formats can say. What a target
// cannot say is listed as a [Loss], never dropped in silence.
//
// The package and those below it know no HTTP, no storage and no web server.
package translate

// A Format names a wire format.
type Format string

// The wire formats that the gateway knows by name.
const (
	OpenAI    Format = "openai"    // Chat Completions
	Responses Format = "responses" // OpenAI Responses
	Anthropic Format = "anthropic" // Messages
	Gemini    Format = "gemini"    // generateContent
	Ollama    Format = "ollama"    // /api/chat
)

// A Codec is everything the gateway needs of one format. It has no state and is
// safe for concurrent use; the decoders and encoders that it makes are not.
type Codec interface {
	// Format is the name of the format.
	Format() Format

	// ToolRules are what the format lets tools be for a model. AppendRequest is
	// given only requests that obey them: see [Adapt].
	ToolRules(model string) ToolRules

	// DecodeRequest reads a client's request. The result refers to memory that
	// [Request.Release] gives back. An error is always an [*Error] that is fit
	// to be shown to the client.
	DecodeRequest(body []byte, o RequestOptions) (*Request, error)

	// AppendRequest appends the request in this format to dst. What the format
	// cannot express is added to losses. An error is an [*Error] and means that
	// there is no meaningful request in this format at all.
	AppendRequest(dst []byte, r *Request, losses *Losses) ([]byte, error)

	// NewDecoder returns a decoder of one answer, which hands its events to sink.
	NewDecoder(sink Sink, o DecodeOptions) Decoder

	// NewEncoder returns an encoder of one answer.
	NewEncoder(o EncodeOptions) Encoder

	// DecodeError reads the body of an answer with an error status. It never
	// fails: a body that is not of this format (HTML, plain text, nothing)
	// gives an Error with the status and as much of the text as is fit to show.
	DecodeError(status int, body []byte) *Error

	// AppendError appends the error as a body in this format.
	AppendError(dst []byte, e *Error) []byte
}

// RequestOptions say how a client's request is to be read.
type RequestOptions struct {
	// Checked says that the body has passed [rawjson.Object] already. If it has
	// not, what JSON parsers differ in would go on to a provider.
	//
	// [rawjson.Object]: https://pkg.go.dev/github.com/nine-router/nine-router/translate/rawjson#Object
	Checked bool
}

// DecodeOptions say how an answer is to be read.
type DecodeOptions struct {
	// Stream says that the answer comes as a stream of events, not as one
	// document.
	Stream bool

	// Listen asks only for what a bystander needs to know of a stream that
	// is passed on untouched: the start, the first content, usage, the finish,
	// errors, the end, and how much text there is. The rest may be left out, and
	// an event that is not JSON is no fault once there was text.
	Listen bool

	// Whole asks the decoder of a stream to keep the answer as one document, if
	// the format tells it so at the end: see [Documenter].
	Whole bool

	// MaxEvent bounds one event of a stream, and MaxBody a whole document, in
	// bytes. Zero means [DefaultMaxEvent] and [DefaultMaxBody].
	MaxEvent, MaxBody int
}

// Bounds of what a decoder keeps of a provider's answer at one time, in bytes.
const (
	DefaultMaxEvent = 16 << 20
	DefaultMaxBody  = 64 << 20
)

// EncodeOptions say how an answer is to be written.
type EncodeOptions struct {
	// Stream asks for a stream of events; otherwise the encoder collects the
	// events and yields one document at the end.
	Stream bool

	// IncludeUsage asks for usage in a stream of a format that sends it only on
	// demand (OpenAI's stream_options.include_usage).
	IncludeUsage bool

	// Model is named in the answer where the provider named none.
	Model string

	// ID is given to the answer where the provider gave none. It has no prefix;
	// the encoder puts its format's own in front.
	ID string

	// Created is the time of the answer in Unix seconds, where the provider
	// gave none.
	Created int64

	// Sequence is the number of the first event, for formats that count them
	// (Responses).
	Sequence int64

	// InputEstimate is the number of input tokens to announce at the start
	// where the provider tells the input only at the end. Zero announces zero.
	InputEstimate int64

	// Whole asks the encoder of a stream to keep the answer as one document: see
	// [Documenter].
	Whole bool

	// List asks for the stream as one JSON list, where the format has that
	// framing too (Gemini).
	List bool

	// Previous is the id of the answer that this one goes on from, for formats
	// that repeat it (Responses) where it is no longer in the request.
	Previous string

	// Request is what is answered, for formats whose answers repeat parts of it;
	// nil where it was not decoded. It must outlive the encoder.
	Request *Request
}

// A Documenter is a decoder or an encoder of a streamed answer that has it as one
// document too, once it has ended, in formats that have such a thing.
type Documenter interface {
	Document() []byte
}

// A Decoder turns the bytes of one answer into events. Bytes may be cut anywhere.
type Decoder interface {
	// Write decodes what is complete and keeps the rest. An error is an
	// [*Error]: the answer broke its format or a bound, or the sink refused an
	// event; the decoder is spent then. It never keeps p.
	Write(p []byte) (int, error)

	// Close says that the provider sent no more. It returns nil if the answer
	// was whole, and otherwise an [*Error] that says what was missing.
	Close() error
}

// A Sink takes the events of one answer in order. An event and all that it
// refers to are valid only during the call. See [Event] for the grammar that
// decoders keep to.
type Sink interface {
	Event(*Event) error
}

// An Encoder is a sink that writes events as the bytes of one answer.
type Encoder interface {
	Sink

	// Bytes returns what has been written since the last call of Reset. The
	// slice is valid until the next call of any method.
	Bytes() []byte

	// Reset forgets the bytes that Bytes returned, after they were sent on.
	Reset()

	// Fail writes an error and ends the answer: in a stream the format's own
	// error event, else an error document in place of the answer.
	Fail(*Error)

	// Losses lists what the format could not express so far.
	Losses() Losses
}
