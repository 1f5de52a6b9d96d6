package answer

import "github.com/nine-router/nine-router/translate"

// A DocumentEncoder collects an answer and has it written as one document at the
// end. It implements [translate.Encoder] for every format.
type DocumentEncoder struct {
	// Write appends the document, and notes what it cannot express.
	Write func(b []byte, a *translate.Answer, losses *translate.Losses) []byte
	// Own is the format whose unknown events Write puts into the document; those
	// of others are losses.
	Own translate.Format
	// AppendError appends an error body of the format.
	AppendError func(b []byte, e *translate.Error) []byte

	all    translate.Collector
	b      []byte
	losses translate.Losses
	over   bool
}

// Bytes implements [translate.Encoder].
func (w *DocumentEncoder) Bytes() []byte { return w.b }

// Reset implements [translate.Encoder].
func (w *DocumentEncoder) Reset() { w.b = w.b[:0] }

// Losses implements [translate.Encoder].
func (w *DocumentEncoder) Losses() translate.Losses { return w.losses }

// Fail implements [translate.Encoder].
func (w *DocumentEncoder) Fail(e *translate.Error) {
	if !w.over {
		w.over = true
		w.b = w.AppendError(w.b, e)
	}
}

// Event implements [translate.Sink].
func (w *DocumentEncoder) Event(e *translate.Event) error {
	if w.over {
		return nil
	}
	switch e.Kind {
	case translate.Failure:
		w.Fail(e.Err)
		return nil
	case translate.Unknown:
		if w.Own != "" && e.RawFormat == w.Own {
			break
		}
		w.losses.Drop(e.Name, "an event that only its own format knows")
	}
	if err := w.all.Event(e); err != nil {
		return err
	}
	if e.Kind == translate.AnswerEnd {
		w.over = true
		w.b = w.Write(w.b, &w.all.Answer, &w.losses)
	}
	return nil
}
