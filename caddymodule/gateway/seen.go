package gateway

import (
	"strconv"
	"strings"

	"github.com/nine-router/nine-router/translate"
)

// observer is the sink that learns from the events what the exchange has to
// know, and hands them on to an encoder.
type observer struct {
	next     translate.Sink
	usage    translate.Usage
	reported bool
	content  bool
	letters  int // of the content, roughly
	finished bool
	stop     translate.StopReason
	ended    bool
	failure  *translate.Error
	memory   *rememberer      // nil if there is nothing to remember
	answer   string           // id of the answer, for the ids of its calls
	begun    *translate.Event // the answer's start, if it is wanted
	calls    int
}

// Event implements translate.Sink.
func (o *observer) Event(e *translate.Event) error {
	switch e.Kind {
	case translate.Delta:
		o.content = o.content || e.Text != ""
		o.letters += len(e.Text)
	case translate.BlockStart:
		switch e.Part {
		case translate.Text, translate.Reasoning, translate.Refusal:
			o.content = o.content || e.Text != ""
			o.letters += len(e.Text)
		default:
			o.content = true
		}
	case translate.Signature:
		o.content = true
	case translate.AnswerStart:
		o.take(e.Usage)
		if o.begun != nil {
			*o.begun = translate.Event{Kind: e.Kind, ID: strings.Clone(e.ID), Name: strings.Clone(e.Name), Created: e.Created}
		}
	case translate.UsageUpdate:
		o.take(e.Usage)
	case translate.Finish:
		o.finished, o.stop = true, e.Stop
	case translate.AnswerEnd:
		o.ended = true
	case translate.Failure:
		// An error is told by the exchange, which may yet ask somebody else.
		err := *e.Err
		o.failure = &err
		return nil
	}
	if o.next == nil {
		return nil
	}
	if e.Kind == translate.BlockStart && e.Part == translate.ToolCall {
		o.calls++
		if e.ID == "" {
			// Calls without an id get one here, so that it is the same for the
			// client and for whatever is remembered of the turn.
			e.ID = "call_" + o.answer + "_" + strconv.Itoa(o.calls)
		}
	}
	if o.memory != nil {
		o.memory.Event(e)
	}
	return o.next.Event(e)
}

func (o *observer) take(u *translate.Usage) {
	if u != nil {
		o.usage, o.reported = *u, o.reported || u.HasInput || u.HasOutput
	}
}

// empty says that the answer has nothing in it, and that the provider gave no
// reason for which that may be.
func (o *observer) empty() bool {
	if o.content {
		return false
	}
	return !o.finished || o.stop == translate.StopEnd || o.stop == translate.StopUnknown || o.stop == translate.StopTools
}
