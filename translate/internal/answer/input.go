package answer

import (
	"errors"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/sse"
)

// Input takes the bytes of an answer, whichever way they come, and hands them on
// in whole pieces. A decoder embeds it, sets the functions and calls Init.
type Input struct {
	Sink    translate.Sink
	Options translate.DecodeOptions

	// OnEvent takes one event of a stream; OnDocument takes a whole answer; OnEnd
	// is asked when the provider sent no more, and says what is missing. It is
	// called for both.
	OnEvent    func(name, data []byte) error
	OnDocument func(v *fastjson.Value) error
	OnEnd      func() error
	// OnStray takes a line of a stream that is none of an event stream's; nil
	// skips them.
	OnStray func(line []byte) error

	// Again, if it is set, is asked before a piece of text is handed on that is
	// like the last one but for the text, so that the decoder can keep count. It
	// says whether the piece means the same.
	Again func(e *translate.Event) bool

	Parser fastjson.Parser
	// Ev is the event that is handed on; it is used again for the next.
	Ev translate.Event

	reader sse.Reader
	body   []byte

	like    likeness
	heard   bool            // there was a piece of text
	foreign bool            // the piece that is being taken is no JSON
	emitted int             // events of the piece of the answer that is being taken
	meant   translate.Event // the last of them, if it is a piece of text
}

// Init makes the input ready.
func (in *Input) Init(sink translate.Sink, o translate.DecodeOptions) {
	if o.MaxBody <= 0 {
		o.MaxBody = translate.DefaultMaxBody
	}
	if o.MaxEvent <= 0 {
		o.MaxEvent = translate.DefaultMaxEvent
	}
	in.Sink, in.Options = sink, o
	in.reader.Max = o.MaxEvent
	in.reader.Stray = func(line []byte) error {
		if in.OnStray == nil {
			return nil
		}
		return in.OnStray(line)
	}
	in.reader.Emit = func(name, data []byte) error { return in.Take(name, data) }
}

// Emit hands on Ev.
func (in *Input) Emit() error {
	if in.emitted++; in.Ev.Kind == translate.Delta {
		in.meant, in.heard = in.Ev, true
	}
	return in.Sink.Event(&in.Ev)
}

// Take takes a piece of a stream. OnEvent sees only those that are not like the
// one before.
func (in *Input) Take(name, data []byte) error {
	if said, ok := in.like.match(name, data); ok {
		e := &in.like.meaning
		e.Text = tree.View(said)
		if in.Again == nil || in.Again(e) {
			return in.Sink.Event(e)
		}
	}
	if len(data) == 0 { // some servers keep a connection alive so
		return nil
	}
	in.like.known, in.emitted, in.foreign = false, 0, false
	in.meant = translate.Event{}
	if err := in.OnEvent(name, data); err != nil {
		if in.foreign && in.heard && in.Options.Listen {
			return nil // the bytes are the client's business
		}
		return err
	}
	if in.emitted == 1 && in.meant.Kind == translate.Delta && in.meant.Raw == "" {
		in.like.learn(name, data, &in.meant)
	}
	return nil
}

// Write implements [translate.Decoder].
func (in *Input) Write(p []byte) (int, error) {
	if !in.Options.Stream {
		if len(in.body)+len(p) > in.Options.MaxBody {
			return 0, Broken("is longer than the gateway takes")
		}
		in.body = append(in.body, p...)
		return len(p), nil
	}
	if _, err := in.reader.Write(p); err != nil {
		return 0, readable(err)
	}
	return len(p), nil
}

// Close implements [translate.Decoder].
func (in *Input) Close() error {
	if in.Options.Stream {
		if err := in.reader.Close(); err != nil {
			return readable(err)
		}
		return in.OnEnd()
	}
	v, err := in.Parser.ParseBytes(in.body)
	if err != nil || v.Type() != fastjson.TypeObject {
		return Broken("is not JSON")
	}
	if err := in.OnDocument(v); err != nil {
		return err
	}
	return in.OnEnd()
}

// readable turns what a reader found into an error for the client.
func readable(err error) error {
	if errors.Is(err, sse.ErrTooLong) {
		return Broken("has an event longer than the gateway takes")
	}
	return err
}

// Object parses one event's data, which must be an object.
func (in *Input) Object(data []byte) (*fastjson.Value, error) {
	v, err := in.Parser.ParseBytes(data)
	if err != nil || v.Type() != fastjson.TypeObject {
		in.foreign = true
		return nil, Broken("has an event that is not JSON")
	}
	return v, nil
}
