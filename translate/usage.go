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
	Output       int64 // all output tokens
	Reasoning    int64 // of Output: reasoning

	InputAudio, OutputAudio int64 // of Input and Output: audio

	// HasInput and HasOutput say that the provider stated the number, so that a
	// stated zero can be told from silence.
	HasInput, HasOutput bool
}

// Total is Input plus Output.
func (u *Usage) Total() int64 { return u.Input + u.Output }
