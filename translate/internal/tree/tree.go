// Package tree reads JSON bodies with pooled parsers. Strings that it returns are
// views into the parser's memory, so they are free, and gone once the document is
// released.
package tree

import (
	"unsafe"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

var pool fastjson.ParserPool

// maxKept bounds the text whose parser is worth keeping, in bytes.
const maxKept = 1 << 20

// A Doc is a parsed document.
type Doc struct {
	Root   *fastjson.Value
	parser *fastjson.Parser
	size   int
	arena  []byte
}

// Parse parses a document that must be an object. The error is fit for the
// client who sent it. checked says that the body has passed [rawjson.Object].
func Parse(body []byte, checked bool) (*Doc, *translate.Error) {
	// The parser is lenient with numbers and depth; what it lets through would
	// go on to a provider.
	if !checked {
		if err := rawjson.Object(body, nil); err != nil {
			return nil, translate.Invalid("", "The body is not valid JSON: %v.", err)
		}
	}
	p := pool.Get()
	root, err := p.ParseBytes(body)
	if err != nil {
		pool.Put(p)
		return nil, translate.Invalid("", "The body is not valid JSON.")
	}
	if root.Type() != fastjson.TypeObject {
		pool.Put(p)
		return nil, translate.Invalid("", "The body is not a JSON object.")
	}
	return &Doc{Root: root, parser: p, size: len(body)}, nil
}

// Release gives the parser back.
func (d *Doc) Release() {
	if d.parser != nil && d.size <= maxKept {
		pool.Put(d.parser)
	}
	d.parser = nil
}

// Raw returns the value as JSON.
func (d *Doc) Raw(v *fastjson.Value) string {
	from := len(d.arena)
	d.arena = rawjson.AppendValue(d.arena, v)
	return View(d.arena[from:])
}

// Field keeps a member as it stood.
func (d *Doc) Field(name []byte, v *fastjson.Value) translate.Field {
	return translate.Field{Name: View(name), Value: d.Raw(v)}
}

// View returns b as a string without a copy.
func View(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// String returns the text of a string value, and false for any other.
func String(v *fastjson.Value) (string, bool) {
	if v == nil || v.Type() != fastjson.TypeString {
		return "", false
	}
	b, _ := v.StringBytes()
	return View(b), true
}

// Text returns the text of an object's member, empty if it is no string.
func Text(v *fastjson.Value, name string) string {
	s, _ := String(v.Get(name))
	return s
}

// TextAt returns the text at the end of a path, empty if there is no such string.
// The value itself may be absent.
func TextAt(v *fastjson.Value, path ...string) string {
	if v == nil {
		return ""
	}
	s, _ := String(v.Get(path...))
	return s
}

// Int returns an object's member as an integer, and whether it is a number.
func Int(v *fastjson.Value, path ...string) (int64, bool) {
	m := v.Get(path...)
	if m == nil || m.Type() != fastjson.TypeNumber {
		return 0, false
	}
	n, err := m.Int64()
	if err != nil {
		f, _ := m.Float64()
		n = int64(f)
	}
	return n, true
}

// Bool returns a pointer to a boolean, and false for any other value.
func Bool(v *fastjson.Value) (*bool, bool) {
	if v == nil {
		return nil, false
	}
	switch v.Type() {
	case fastjson.TypeTrue:
		b := true
		return &b, true
	case fastjson.TypeFalse:
		return new(bool), true
	}
	return nil, false
}

// IsNull says that the value is null or absent.
func IsNull(v *fastjson.Value) bool { return v == nil || v.Type() == fastjson.TypeNull }
