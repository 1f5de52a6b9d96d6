package tree

import (
	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
)

// A Reader reads the members of a client's request and keeps the first fault. It
// goes on after one with zero values, so that callers need not check each step.
type Reader struct {
	*Doc
	// Colon says how the format words its faults: "path: problem" instead of
	// "path problem.".
	Colon bool
	// Err is the first fault.
	Err *translate.Error
}

// Fail notes a fault of the member at path.
func (r *Reader) Fail(path, problem string) {
	switch {
	case r.Err != nil:
	case r.Colon:
		r.Err = translate.Invalid(path, "%s: %s", path, problem)
	default:
		r.Err = translate.Invalid(path, "%s %s.", path, problem)
	}
}

// Text reads a string.
func (r *Reader) Text(path string, v *fastjson.Value) string {
	s, ok := String(v)
	if !ok {
		r.Fail(path, "must be a string")
	}
	return s
}

// Name reads a string that must not be empty: a name or an id.
func (r *Reader) Name(path string, v *fastjson.Value) string {
	s := r.Text(path, v)
	if s == "" {
		r.Fail(path, "must not be empty")
	}
	return s
}

// Number reads a number.
func (r *Reader) Number(path string, v *fastjson.Value) translate.Number {
	if v == nil || v.Type() != fastjson.TypeNumber {
		r.Fail(path, "must be a number")
		return ""
	}
	return translate.Number(r.Raw(v))
}

// Bool reads true or false; it returns nil after a fault.
func (r *Reader) Bool(path string, v *fastjson.Value) *bool {
	b, ok := Bool(v)
	if !ok {
		r.Fail(path, "must be true or false")
	}
	return b
}

// List reads the elements of a list.
func (r *Reader) List(path string, v *fastjson.Value) []*fastjson.Value {
	if v == nil || v.Type() != fastjson.TypeArray {
		r.Fail(path, "must be a list")
		return nil
	}
	return v.GetArray()
}

// Object reads an object; it returns an empty one after a fault.
func (r *Reader) Object(path string, v *fastjson.Value) *fastjson.Object {
	if v == nil || v.Type() != fastjson.TypeObject {
		r.Fail(path, "must be an object")
		return &fastjson.Object{}
	}
	return v.GetObject()
}

// Rest keeps the members of an object that are not among the known ones, as they
// stood. Members that are null are as good as absent.
func (r *Reader) Rest(v *fastjson.Value, known ...string) []translate.Field {
	var rest []translate.Field
	v.GetObject().Visit(func(name []byte, m *fastjson.Value) {
		if m.Type() == fastjson.TypeNull {
			return
		}
		for _, k := range known {
			if k == string(name) {
				return
			}
		}
		rest = append(rest, r.Field(name, m))
	})
	return rest
}
