package translate

import "strings"

// An Answer is a whole answer, collected from its events. It owns its memory.
type Answer struct {
	ID      string
	Model   string
	Created int64
	Choices []Choice
	Usage   Usage
	Unknown []UnknownEvent
	Err     *Error // the answer failed; what came before it is here
	Ended   bool   // AnswerEnd was seen
}

// A Choice is one of the alternatives of an answer, mostly the only one.
type Choice struct {
	Blocks       []Block
	Finished     bool
	Stop         StopReason
	Native       string
	StopSequence string
	LogProbs     []LogProb
}

// An UnknownEvent is one that only its format knows, as it stood.
type UnknownEvent struct {
	Choice    int
	Name      string
	Raw       string
	RawFormat Format
}

// A LogProb is the content of one logprobs event, as it stood.
type LogProb struct {
	Raw       string
	RawFormat Format
}

// A CitedSource is a source of a text, as it stood.
type CitedSource struct {
	Raw       string
	RawFormat Format
}

// A Block is one block of a choice: see [Event] for the meaning of the fields.
type Block struct {
	Part      PartKind
	ID, Name  string
	Namespace string
	Text      []byte
	Signature []byte
	SignedBy  Format
	Media     *Media
	Custom    bool
	Redacted  bool // Text is opaque
	Citations []CitedSource
	Raw       string
	RawFormat Format
}

// A Collector is a sink that builds an Answer. The zero value is ready for use.
type Collector struct {
	Answer Answer
}

// Event implements [Sink].
func (c *Collector) Event(e *Event) error {
	a := &c.Answer
	switch e.Kind {
	case AnswerStart:
		a.ID, a.Model, a.Created = strings.Clone(e.ID), strings.Clone(e.Name), e.Created
		if e.Usage != nil {
			a.Usage = *e.Usage
		}
	case UsageUpdate:
		a.Usage = *e.Usage
	case AnswerEnd:
		a.Ended = true
	case Failure:
		err := *e.Err
		a.Err = &err
	case Unknown:
		a.Unknown = append(a.Unknown, UnknownEvent{e.Choice, strings.Clone(e.Name), strings.Clone(e.Raw), e.RawFormat})
	case Ping:
	case Finish:
		choice := a.choice(e.Choice)
		choice.Finished = true
		choice.Stop, choice.Native, choice.StopSequence = e.Stop, strings.Clone(e.Native), strings.Clone(e.StopSequence)
	case LogProbs:
		choice := a.choice(e.Choice)
		choice.LogProbs = append(choice.LogProbs, LogProb{strings.Clone(e.Raw), e.RawFormat})
	default:
		a.choice(e.Choice).take(e)
	}
	return nil
}

func (a *Answer) choice(n int) *Choice {
	for len(a.Choices) <= n {
		a.Choices = append(a.Choices, Choice{})
	}
	return &a.Choices[n]
}

func (c *Choice) take(e *Event) {
	if e.Kind == BlockStart {
		b := Block{
			Part: e.Part, ID: strings.Clone(e.ID), Name: strings.Clone(e.Name),
			Namespace: strings.Clone(e.Namespace), Custom: e.Custom, Redacted: e.Redacted, SignedBy: e.SignedBy,
			Raw: strings.Clone(e.Raw), RawFormat: e.RawFormat,
		}
		b.Text = append(b.Text, e.Text...)
		if e.Media != nil {
			m := *e.Media
			m.Type, m.Data, m.URL, m.Text, m.Name = strings.Clone(m.Type), strings.Clone(m.Data), strings.Clone(m.URL), strings.Clone(m.Text), strings.Clone(m.Name)
			b.Media = &m
		}
		c.Blocks = append(c.Blocks, b)
		return
	}
	if e.Block < 0 || e.Block >= len(c.Blocks) {
		return
	}
	b := &c.Blocks[e.Block]
	switch e.Kind {
	case Delta:
		b.Text = append(b.Text, e.Text...)
	case Signature:
		b.Signature = append(b.Signature, e.Text...)
		b.SignedBy = e.SignedBy
	case Citation:
		b.Citations = append(b.Citations, CitedSource{strings.Clone(e.Raw), e.RawFormat})
	}
}
