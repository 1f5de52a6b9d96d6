package translate

// Usage is what an answer cost in tokens, in one arithmetic for all formats:
// Input counts every input token, those read from and written to a prompt cache
// included; Output counts every output token, reasoning included. Decoders map
// their provider's arithmetic onto this one and encoders map it back.
type Usage struct {
	Input        int64 // all input tokens
	CacheRead    int64 // of Input: read from a prompt cache
	CacheWrite   int64 // of Input: written to a prompt cache, any lifetime
	CacheWrite1h int64 // of CacheWrite: with a lifetime of one hour
	ToolInput    int64 // beside Input: what the provider's own tools put in
	Output       int64 // all output tokens
	Reasoning    int64 // of Output: reasoning

	// Apart says that the provider counts reasoning beside Output, not in it,
	// and that Output is left as it states it. Billed has both.
	Apart bool

	InputAudio, OutputAudio int64 // of Input and Output: audio

	// HasInput and HasOutput say that the provider stated the number, so that a
	// stated zero can be told from silence.
	HasInput, HasOutput bool
}

// Billed is every output token there was, reasoning included.
func (u *Usage) Billed() int64 {
	if u.Apart {
		return u.Output + u.Reasoning
	}
	return u.Output
}

// Total is every token there was.
func (u *Usage) Total() int64 { return u.Input + u.ToolInput + u.Billed() }
