package schema

import (
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate/rawjson"
)

// maxDepth bounds nested schemas; what is deeper stays as it is.
const maxDepth = 100

// constraints are keywords that Anthropic's structured outputs refuse
// (https://platform.claude.com/docs/en/build-with-claude/structured-outputs).
var constraints = [...]string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties"}

// Closed returns a schema as Anthropic's structured outputs take it, and whether it
// says what the given one does: no object has members beyond those that are named,
// and constraints of values stand in the description, for the model to read.
func Closed(s string) (_ string, exact bool) {
	v, err := fastjson.Parse(s)
	if err != nil {
		return s, true
	}
	c := closer{exact: true}
	c.schema(v, 0)
	if c.exact {
		return s, true
	}
	return string(rawjson.AppendValue(nil, v)), false
}

type closer struct {
	arena fastjson.Arena
	exact bool
}

func (c *closer) schema(v *fastjson.Value, depth int) {
	if v.Type() != fastjson.TypeObject || depth > maxDepth {
		return
	}
	if isObject(v) {
		if a := v.Get("additionalProperties"); a == nil || a.Type() != fastjson.TypeFalse {
			v.Set("additionalProperties", c.arena.NewFalse())
			c.exact = false
		}
	}
	var said []string
	for _, name := range constraints {
		if m := v.Get(name); m != nil {
			said = append(said, name+": "+string(rawjson.AppendValue(nil, m)))
			v.Del(name)
		}
	}
	if m := v.Get("minItems"); m != nil && m.GetInt() > 1 {
		said = append(said, "minItems: "+m.String())
		v.Del("minItems")
	}
	if len(said) > 0 {
		c.exact = false
		about := strings.TrimSpace(string(v.GetStringBytes("description")) + " (" + strings.Join(said, ", ") + ")")
		v.Set("description", c.arena.NewString(about))
	}
	for _, name := range [...]string{"properties", "$defs", "definitions"} {
		if o := v.Get(name); o != nil && o.Type() == fastjson.TypeObject {
			o.GetObject().Visit(func(_ []byte, e *fastjson.Value) { c.schema(e, depth+1) })
		}
	}
	for _, name := range [...]string{"anyOf", "oneOf", "allOf", "prefixItems"} {
		for _, e := range v.GetArray(name) {
			c.schema(e, depth+1)
		}
	}
	if items := v.Get("items"); items != nil {
		c.schema(items, depth+1)
	}
}

// isObject says that a schema is of an object, or may be.
func isObject(v *fastjson.Value) bool {
	if t := v.Get("type"); t != nil {
		if string(t.GetStringBytes()) == "object" {
			return true
		}
		for _, e := range t.GetArray() {
			if string(e.GetStringBytes()) == "object" {
				return true
			}
		}
		return false
	}
	return v.Get("properties") != nil
}
