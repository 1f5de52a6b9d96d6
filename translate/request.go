package translate

import "strconv"

// A Request asks for an answer to a conversation. Strings may refer to memory
// that Release gives back, so nothing of a request outlives it. A request is not
// changed once it is decoded: every attempt encodes afresh from the same one.
type Request struct {
	Format Format // the format that it was decoded from
	Model  string
	Stream bool

	// IncludeUsage says that the client of a stream asked for usage, in a format
	// where it has to.
	IncludeUsage bool

	// CountOnly says that only the tokens of the input are asked for: options of
	// the answer are left out.
	CountOnly bool

	// Messages is the conversation in order. Instructions that a format keeps
	// apart (Anthropic's system) come first, as messages of RoleSystem.
	Messages []Message

	Tools      []Tool
	Namespaces []Namespace // of tools, where they have a description
	ToolChoice ToolChoice
	// ParallelTools says whether the model may call several tools at once; nil
	// leaves it to the provider.
	ParallelTools *bool

	MaxTokens Number // limit of output tokens
	// OldMaxTokens says that the limit was sent under the name that OpenAI has
	// retired, max_tokens, so that the same format writes it so again.
	OldMaxTokens     bool
	Temperature      Number
	TopP             Number
	TopK             Number
	FrequencyPenalty Number
	PresencePenalty  Number
	Seed             Number
	N                Number // choices to produce
	TopLogProbs      Number
	LogProbs         *bool
	Stop             []string

	Output    Output
	Reasoning ReasoningConfig

	// User is an opaque id of the end user (OpenAI's user or safety_identifier,
	// Anthropic's metadata.user_id).
	User string
	// CacheKey groups requests that share a beginning (OpenAI's
	// prompt_cache_key).
	CacheKey    string
	ServiceTier string
	// Verbosity is how long the answer's text shall be: "low", "medium", "high".
	Verbosity string

	// Cache is a mark for the whole request (Anthropic's top-level
	// cache_control).
	Cache *CacheMark

	// Extra are members that the model has no place for, as they stood. They
	// return in the same format and are losses in every other.
	Extra []Field

	release func()
}

// OnRelease sets what Release calls. Decoders use it to give back parsers.
func (r *Request) OnRelease(f func()) { r.release = f }

// Release gives back the memory that the request refers to. Nothing of it may be
// used afterwards.
func (r *Request) Release() {
	if f := r.release; f != nil {
		r.release = nil
		f()
	}
}

// A Field is a member of a JSON object as it stood.
type Field struct {
	Name  string
	Value string // JSON
}

// A Number is a JSON number as it was written, so that it goes out as it came
// in. The empty string means that there is none.
type Number string

// IsSet says that there is a number.
func (n Number) IsSet() bool { return n != "" }

// Float returns the number's value, 0 if there is none.
func (n Number) Float() float64 {
	f, _ := strconv.ParseFloat(string(n), 64)
	return f
}

// Int returns the number's value without its fraction, 0 if there is none. A
// number beyond the range of int64 gives the nearest end.
func (n Number) Int() int64 {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i
	}
	f := n.Float()
	switch {
	case f >= 1<<63-1:
		return 1<<63 - 1
	case f <= -1<<63:
		return -1 << 63
	}
	return int64(f)
}

// A Role is who speaks.
type Role uint8

// The roles. RoleDeveloper is OpenAI's later word for instructions; formats that
// know only one kind take both for the same. RoleTool is a message that holds
// only tool results; results may as well stand in a message of RoleUser.
const (
	RoleSystem Role = iota + 1
	RoleDeveloper
	RoleUser
	RoleAssistant
	RoleTool
)

// A Message is one turn, or a part of one.
type Message struct {
	Role  Role
	Name  string // of the speaker, where the format has one
	Parts []Part

	// Plain says that the content was a bare string, so that the same format
	// writes it so again.
	Plain bool

	Extra []Field // see Request.Extra
}

// A PartKind is what a part of a message, or a block of an answer, holds.
type PartKind uint8

// The kinds of parts.
const (
	Text       PartKind = iota + 1
	Image               // Media
	Audio               // Media
	File                // Media: a document
	Reasoning           // Text, Signature; or only Redacted
	Refusal             // Text
	ToolCall            // Call
	ToolResult          // Result
	// ToolReference names, in a result, a tool that the model may now use: Text.
	ToolReference
	// Server is what a provider's own tools did (a call or its result), and any
	// other block that only RawFormat's family knows: Raw as it stood.
	Server
)

// A Part is one piece of a message. The fields that are set follow from Kind.
type Part struct {
	Kind PartKind
	Text string

	Media *Media

	// Signature is opaque state of the provider that belongs to a reasoning part
	// (or, in some formats, to a tool call), to be returned unchanged. Redacted
	// is reasoning that is nothing but such state.
	Signature string
	Redacted  string
	// SignedBy is the format of the provider that made Signature or Redacted: no
	// other takes it.
	SignedBy Format

	Call   *Call
	Result *Result

	// Citations is the JSON array of sources of a text, as it stood.
	Citations string

	Cache *CacheMark

	// Raw is the JSON of a Server part, or of a reasoning part in the form of
	// one format (OpenRouter's reasoning_details).
	Raw       string
	RawFormat Format

	Extra []Field // see Request.Extra
}

// Media is an image, a sound or a document: exactly one of Data, URL and FileID
// is set, or for a plain text document Text.
type Media struct {
	Type   string // MIME type, empty if not told
	Data   string // base64
	URL    string
	FileID string // names an upload at the provider
	Text   string // the text of a plain text document
	Name   string // file name or title
	Detail string // OpenAI's resolution hint for images
	Format string // OpenAI's audio format word, such as "wav"
}

// A Call is a use of one of the client's tools.
type Call struct {
	ID        string
	Namespace string // of the tool, in formats that have them
	Name      string
	// Arguments is the JSON text of the arguments as the model wrote it, which
	// may be invalid or empty; or, if Custom is set, free text.
	Arguments string
	Custom    bool
}

// A Result is what a call gave.
type Result struct {
	CallID  string
	Name    string // the tool's name, in formats that repeat it
	Parts   []Part
	Plain   bool // as Message.Plain
	IsError bool
	Custom  bool // of a call with free text, in formats that tell
}

// A CacheMark asks the provider to cache the prompt up to the part that bears it.
type CacheMark struct {
	TTL string // "5m", "1h", or empty for the provider's default
}

// A ToolKind says what a tool is.
type ToolKind uint8

// The kinds of tools.
const (
	FunctionTool ToolKind = iota + 1 // arguments by JSON schema
	CustomTool                       // free text, possibly with a grammar
	ServerTool                       // run by the provider: Raw as it stood
)

// A Tool is something that the model may call.
type Tool struct {
	Kind        ToolKind
	Namespace   string // see Call.Namespace
	Name        string
	Description string
	Schema      string // JSON schema of the arguments as it stood, empty if absent
	Strict      *bool
	Grammar     *Grammar // of a custom tool's text, nil for any text
	Deferred    bool     // not shown to the model until it is searched for
	Cache       *CacheMark
	Raw         string // JSON of server tools
	RawFormat   Format
	Extra       []Field // see Request.Extra
}

// A Namespace groups tools.
type Namespace struct{ Name, Description string }

// A Grammar is what the text for a custom tool has to obey.
type Grammar struct {
	Syntax     string // "lark" or "regex"
	Definition string
}

// A ToolMode says which tools the model may or must call.
type ToolMode uint8

// The modes of tool choice.
const (
	ToolUnset    ToolMode = iota // not said: the provider's default
	ToolAuto                     // as the model likes
	ToolNone                     // no tool
	ToolRequired                 // at least one
	ToolNamed                    // the one named
	ToolOther                    // a form that only one format knows: Raw
)

// A ToolChoice says which tools the model may or must call.
type ToolChoice struct {
	Mode      ToolMode
	Namespace string
	Name      string
	Raw       string
}

// An OutputKind is the form of the answer's text.
type OutputKind uint8

// The forms of output.
const (
	OutputUnset OutputKind = iota
	OutputText
	OutputJSON       // any JSON object
	OutputJSONSchema // JSON by Schema
)

// Output is the form that the answer's text must have.
type Output struct {
	Kind        OutputKind
	Name        string
	Description string
	Schema      string // JSON
	Strict      *bool
}

// A ReasoningMode says whether the model shall reason before it answers.
type ReasoningMode uint8

// The modes of reasoning.
const (
	ReasoningUnset    ReasoningMode = iota
	ReasoningOff                    // not at all
	ReasoningOn                     // with Budget or Effort
	ReasoningAdaptive               // as the model sees fit
)

// ReasoningConfig says how much the model shall reason and what is shown of it.
type ReasoningConfig struct {
	Mode    ReasoningMode
	Effort  string // "none", "minimal", "low", "medium", "high", "xhigh", "max"; as it stood
	Budget  Number // tokens
	Display string // Anthropic's thinking.display: "summarized" or "omitted"
	Summary string // Responses' reasoning.summary: "auto", "concise", "detailed"
	// Include says, in formats where it has to be asked for (Gemini's
	// includeThoughts), whether the answer shall show the reasoning.
	Include *bool
	// Encrypted says that the client wants the provider's opaque state of the
	// reasoning, to return it.
	Encrypted bool
	Extra     []Field
}

// Shown says that the client asked for reasoning and wants to see it.
func (c *ReasoningConfig) Shown() bool {
	if c.Include != nil {
		return *c.Include
	}
	on := c.Mode == ReasoningOn || c.Mode == ReasoningAdaptive
	return c.Summary != "" || on && c.Display != "omitted"
}

// IsSet says that the client asked for anything.
func (c *ReasoningConfig) IsSet() bool {
	return c.Mode != ReasoningUnset || c.Effort != "" || c.Budget.IsSet()
}
