package answer

import "github.com/nine-router/nine-router/translate"

// Texts is an [Input] for a format whose pieces of text have no blocks of their
// own: it opens a block with the first piece of a kind and closes it when another
// kind begins. A decoder embeds it and calls Init.
type Texts struct {
	Input

	// BeforeClose, if it is set, is called before open texts are closed.
	BeforeClose func() error

	next           int
	text, thoughts int // open blocks plus 1, 0 is none
}

// Piece hands on a piece of text of the kind, which is Text or Reasoning.
func (t *Texts) Piece(part translate.PartKind, s string) error {
	if s == "" {
		return nil
	}
	block := &t.text
	if part == translate.Reasoning {
		block = &t.thoughts
	}
	if *block == 0 {
		n, err := t.Open(part)
		if err != nil {
			return err
		}
		*block = n + 1
	}
	t.Ev.Kind, t.Ev.Part, t.Ev.Block, t.Ev.Text = translate.Delta, part, *block-1, s
	err := t.Emit()
	t.Ev.Text = ""
	return err
}

// Open starts a block that the caller stops, after the open texts are closed,
// and returns its number. What the caller has put into Ev goes with it.
func (t *Texts) Open(part translate.PartKind) (block int, err error) {
	if err := t.CloseTexts(); err != nil {
		return 0, err
	}
	block = t.next
	t.next++
	t.Ev.Kind, t.Ev.Part, t.Ev.Block = translate.BlockStart, part, block
	return block, t.Emit()
}

// TextBlock returns the number of the open text, -1 if there is none.
func (t *Texts) TextBlock() int { return t.text - 1 }

// OpenText opens a text if none is open.
func (t *Texts) OpenText() error {
	if t.text > 0 {
		return nil
	}
	n, err := t.Open(translate.Text)
	t.text = n + 1
	return err
}

// CloseTexts closes the texts that are open.
func (t *Texts) CloseTexts() error {
	if t.BeforeClose != nil {
		if err := t.BeforeClose(); err != nil {
			return err
		}
	}
	if n := t.thoughts; n > 0 {
		t.thoughts = 0
		if err := t.Stop(n-1, translate.Reasoning); err != nil {
			return err
		}
	}
	if n := t.text; n > 0 {
		t.text = 0
		return t.Stop(n-1, translate.Text)
	}
	return nil
}

// Stop closes a block.
func (t *Texts) Stop(block int, part translate.PartKind) error {
	t.Ev.Kind, t.Ev.Part, t.Ev.Block = translate.BlockStop, part, block
	return t.Emit()
}
