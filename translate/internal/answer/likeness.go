package answer

import (
	"bytes"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// A likeness recognises events that differ from an earlier one in nothing but the
// text that they carry. Almost all events of a stream are such. JSON that is the
// same but for the characters of one string means the same but for that string, so
// these need no parsing: what the earlier one meant is told again with their text.
type likeness struct {
	meaning translate.Event // of the earlier one, without its text
	name    []byte          // of the event
	fixed   []byte          // what stands around the holes, one piece after the other
	holes   [maxHoles]hole
	n       int // holes
	known   bool
	missed  int // how often in a row what was learnt was of no use
	scratch []byte
}

// A hole is a place in which the events may differ.
type hole struct {
	before int // length of the fixed piece in front of it
	kind   holeKind
}

type holeKind uint8

const (
	none   holeKind = iota
	text            // a string: what the event says
	filler          // a string without meaning
	count           // a number that only counts the events
)

const (
	maxHoles = 4
	maxLike  = 4 << 10 // bytes of an event from which there is something to learn
	// maxMissed is after how many useless lessons a stream is not worth another.
	maxMissed = 16
)

// members says which members are holes, whichever format they are of. It matters
// not if a name means something else elsewhere: what text is has to be the text
// that the decoder found, there may be only one, and the rest has no meaning.
func members(name []byte) holeKind {
	switch string(name) {
	case "content", "reasoning_content", "reasoning", "refusal", "arguments", // OpenAI
		"text", "thinking", "partial_json", // Anthropic, Cohere
		"delta",    // Responses
		"response": // Ollama
		return text
	// Padding against guessing the text from its length:
	// https://platform.openai.com/docs/api-reference/chat/create (include_obfuscation).
	case "obfuscation",
		"created_at": // Ollama
		return filler
	case "sequence_number":
		return count
	}
	return none
}

// learn takes an event that meant one piece of text and nothing else.
func (l *likeness) learn(name, data []byte, meaning *translate.Event) {
	if l.missed++; l.missed > maxMissed || len(data) > maxLike {
		return
	}
	l.fixed, l.n = l.fixed[:0], 0
	texts, done := 0, 0 // done is how much of data is in fixed or a hole
	for i := 0; i < len(data); {
		j := bytes.IndexByte(data[i:], '"')
		if j < 0 {
			break
		}
		from := i + j + 1
		to := rawjson.StringEnd(data, from)
		if to < 0 {
			return
		}
		member := data[from:to]
		i = space(data, to+1)
		if i >= len(data) || data[i] != ':' {
			continue // it is a value
		}
		if bytes.IndexByte(member, '\\') >= 0 {
			return // it may be any name
		}
		kind := members(member)
		from = space(data, i+1)
		i = from
		switch kind {
		case none:
			continue
		case count:
			to = digits(data, from)
		default:
			if from >= len(data) || data[from] != '"' {
				continue
			}
			from++
			to = rawjson.StringEnd(data, from)
		}
		if to <= from { // an empty string is not where the text is
			continue
		}
		if kind == text {
			var ok bool
			if l.scratch, ok = rawjson.AppendUnescaped(l.scratch[:0], data[from:to]); !ok || string(l.scratch) != meaning.Text {
				return
			}
			texts++
		}
		if l.n == maxHoles {
			return
		}
		l.fixed = append(l.fixed, data[done:from]...)
		l.holes[l.n] = hole{before: from - done, kind: kind}
		l.n++
		done, i = to, to
		if kind != count {
			i++ // the closing quote is fixed, but does not open a string
		}
	}
	if texts != 1 {
		return
	}
	l.fixed = append(l.fixed, data[done:]...)
	l.name = append(l.name[:0], name...)
	l.meaning = *meaning
	l.meaning.Text = ""
	l.known = true
}

// match returns the text of an event if it is like the one that was learnt. It is
// valid until the next call, and as long as data is.
func (l *likeness) match(name, data []byte) (said []byte, ok bool) {
	if !l.known || !bytes.Equal(name, l.name) {
		return nil, false
	}
	fixed, escaped := l.fixed, false
	for _, h := range l.holes[:l.n] {
		if len(data) < h.before || !bytes.Equal(data[:h.before], fixed[:h.before]) {
			return nil, false
		}
		data, fixed = data[h.before:], fixed[h.before:]
		end := 0
		if h.kind == count {
			end = digits(data, 0)
		} else {
			end = rawjson.StringEnd(data, 0)
		}
		if end <= 0 {
			return nil, false
		}
		if h.kind == text {
			said = data[:end]
			escaped = bytes.IndexByte(said, '\\') >= 0
		}
		data = data[end:]
	}
	if !bytes.Equal(data, fixed) {
		return nil, false
	}
	l.missed = 0
	if escaped {
		l.scratch, ok = rawjson.AppendUnescaped(l.scratch[:0], said)
		return l.scratch, ok
	}
	return said, true
}

// space returns the place of the first byte from i on that is no white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// digits returns the end of the whole number that begins at i, which is i if there
// is none.
func digits(b []byte, i int) int {
	from := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i-from > 1 && b[from] == '0' {
		return from
	}
	return i
}
