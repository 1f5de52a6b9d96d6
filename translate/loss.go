package translate

import (
	"slices"
	"strings"
)

// A Loss is one thing that the target format could not take as it was.
type Loss struct {
	// Path is where it stood in the source, such as "messages[3].content[0]".
	Path string `json:"path"`
	// Approximated says that something near took its place; otherwise it was
	// dropped.
	Approximated bool `json:"approximated,omitempty"`
	// Why says in a few words what happened and for what reason.
	Why string `json:"why"`
}

// Losses is a list of what was lost. The methods work on nil, to which they add
// nothing: a caller who does not want the list passes nil.
type Losses []Loss

// Drop notes that what stood at path is not in the result.
func (l *Losses) Drop(path, why string) {
	l.add(Loss{Path: path, Why: why})
}

// Approximate notes that something near took the place of what stood at path.
func (l *Losses) Approximate(path, why string) {
	l.add(Loss{Path: path, Approximated: true, Why: why})
}

// DropFields notes that members of another format are not in the result. prefix
// stands before their names.
func (l *Losses) DropFields(prefix string, fields []Field, why string) {
	for _, f := range fields {
		if !f.idle() {
			l.Drop(prefix+f.Name, why)
		}
	}
}

// idle says that a member asks for nothing that is not so without it; a mark of a
// decoder's own has no value.
func (f *Field) idle() bool {
	return f.Value == "" || (f.Name == "store" || f.Name == "background") && f.Value == "false"
}

// maxLosses bounds what a body or stream can make of this list.
const maxLosses = 1000

// add notes a loss once, however many pieces of a stream it is in.
func (l *Losses) add(loss Loss) {
	if l == nil || len(*l) == maxLosses || slices.Contains(*l, loss) {
		return
	}
	loss.Path = strings.Clone(loss.Path) // it may be a view of what is being read
	*l = append(*l, loss)
}
