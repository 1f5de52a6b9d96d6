package gemini

import (
	"strconv"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// A partialCall writes the arguments of a call that come as values with their
// places, such as "$.items[2].name", as the text of one JSON object, piece by
// piece. The model writes them in the order of the text, so that what is behind
// the last place can be closed.
type partialCall struct {
	begun  bool
	whole  bool   // the arguments came at once
	open   []step // where the last value stands, outermost first
	within bool   // the last value is a string that goes on
}

// A step is a member of an object, or an element of a list.
type step struct {
	name  string
	index int  // of an element
	list  bool // the step is into a list
}

// maxSteps bounds nested arguments.
const maxSteps = 200

var outOfOrder = answer.Broken("has arguments of a call that are out of order")

// place reads a path.
func place(path string) ([]step, bool) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, false
	}
	var steps []step
	for rest != "" {
		if len(steps) == maxSteps {
			return nil, false
		}
		switch {
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			steps, rest = append(steps, step{name: strings.Clone(rest[1 : end+1])}), rest[end+1:]
		case strings.HasPrefix(rest, "['"), strings.HasPrefix(rest, `["`):
			end := strings.Index(rest[2:], rest[1:2]+"]")
			if end < 0 {
				return nil, false
			}
			steps, rest = append(steps, step{name: strings.Clone(rest[2 : end+2])}), rest[end+4:]
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, false
			}
			n, err := strconv.Atoi(rest[1:end])
			if err != nil || n < 0 {
				return nil, false
			}
			steps, rest = append(steps, step{index: n, list: true}), rest[end+1:]
		default:
			return nil, false
		}
	}
	return steps, len(steps) > 0 && !steps[0].list
}

// append appends the text that a value adds.
func (c *partialCall) append(b []byte, v *fastjson.Value) ([]byte, error) {
	steps, ok := place(tree.Text(v, "jsonPath"))
	if !ok || c.whole {
		return b, outOfOrder
	}
	goesOn := v.GetBool("willContinue")
	same := 0
	for same < len(steps) && same < len(c.open) && steps[same] == c.open[same] {
		same++
	}
	s, isText := tree.String(v.Get("stringValue"))
	if c.within && same == len(steps) && same == len(c.open) {
		if !isText {
			return b, outOfOrder
		}
		b = rawjson.AppendEscaped(b, s)
		return c.leave(b, goesOn), nil
	}
	if c.within {
		b, c.within = append(b, '"'), false
	}
	if !c.begun {
		c.begun = true
		b = append(b, '{')
	} else {
		if same == len(steps) || same == len(c.open) {
			return b, outOfOrder // a value twice, or within another
		}
		// A step to where something was already closed would be a step back.
		if from, to := c.open[same], steps[same]; from.list != to.list || to.list && to.index <= from.index {
			return b, outOfOrder
		}
		b = append(closeSteps(b, c.open[same+1:]), ',')
	}
	for k := same; k < len(steps); k++ {
		st := steps[k]
		if k > same { // the first is within what is open
			if st.list {
				b = append(b, '[')
			} else {
				b = append(b, '{')
			}
		}
		if !st.list {
			b = append(rawjson.AppendString(b, st.name), ':')
		}
	}
	c.open = steps
	switch {
	case isText:
		b = rawjson.AppendEscaped(append(b, '"'), s)
		return c.leave(b, goesOn), nil
	case v.Get("numberValue") != nil:
		b = rawjson.AppendValue(b, v.Get("numberValue"))
	case v.Get("boolValue") != nil:
		b = rawjson.AppendValue(b, v.Get("boolValue"))
	default:
		b = append(b, "null"...)
	}
	return b, nil
}

func (c *partialCall) leave(b []byte, goesOn bool) []byte {
	c.within = goesOn
	if !goesOn {
		b = append(b, '"')
	}
	return b
}

// closeSteps closes what the steps went into, the innermost first.
func closeSteps(b []byte, steps []step) []byte {
	for k := len(steps) - 1; k >= 0; k-- {
		if steps[k].list {
			b = append(b, ']')
		} else {
			b = append(b, '}')
		}
	}
	return b
}

// end appends what closes the arguments.
func (c *partialCall) end(b []byte) []byte {
	switch {
	case c.whole:
		return b
	case !c.begun:
		return append(b, "{}"...)
	}
	if c.within {
		b = append(b, '"')
	}
	return closeSteps(b, c.open)
}
