package gemini

import (
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate/rawjson"
)

// schema returns a schema as JSON Schema. Google's older dialect is OpenAPI's with
// types in capitals, "nullable" and numbers in strings
// (https://ai.google.dev/api/caching#Schema); some clients send that where JSON
// Schema belongs. What is JSON Schema already stays as it stands.
func (d *requestDecoder) schema(v *fastjson.Value) string {
	if !isDialect(v, 0) {
		return d.Raw(v)
	}
	return string(appendSchema(nil, v, 0))
}

// maxDepth bounds nested schemas; deeper ones stay as they are.
const maxDepth = 100

// Members of a schema that hold a schema, a list of them, or an object of them.
var (
	oneSchema   = map[string]bool{"items": true, "additionalProperties": true, "not": true, "contains": true, "if": true, "then": true, "else": true, "propertyNames": true}
	someSchemas = map[string]bool{"anyOf": true, "oneOf": true, "allOf": true, "prefixItems": true}
	allSchemas  = map[string]bool{"properties": true, "$defs": true, "definitions": true, "patternProperties": true, "defs": true}
	counts      = map[string]bool{"minItems": true, "maxItems": true, "minLength": true, "maxLength": true, "minProperties": true, "maxProperties": true}
)

// visitSchemas calls f for each schema directly within v.
func visitSchemas(v *fastjson.Value, f func(*fastjson.Value)) {
	v.GetObject().Visit(func(key []byte, m *fastjson.Value) {
		switch name := camel(string(key)); {
		case oneSchema[name] && m.Type() == fastjson.TypeObject:
			f(m)
		case someSchemas[name]:
			for _, e := range m.GetArray() {
				f(e)
			}
		case allSchemas[name] && m.Type() == fastjson.TypeObject:
			m.GetObject().Visit(func(_ []byte, e *fastjson.Value) { f(e) })
		}
	})
}

// isDialect says that a schema has something of Google's dialect.
func isDialect(v *fastjson.Value, depth int) bool {
	if v.Type() != fastjson.TypeObject || depth > maxDepth {
		return false
	}
	found := v.Get("nullable") != nil
	v.GetObject().Visit(func(key []byte, m *fastjson.Value) {
		name := string(key)
		switch {
		case name == "type":
			s := string(m.GetStringBytes())
			found = found || s != strings.ToLower(s)
		case counts[camel(name)]:
			found = found || m.Type() == fastjson.TypeString
		case name != camel(name):
			c := camel(name)
			found = found || counts[c] || someSchemas[c]
		}
	})
	if !found {
		visitSchemas(v, func(e *fastjson.Value) { found = found || isDialect(e, depth+1) })
	}
	return found
}

// appendSchema appends a schema of Google's dialect as JSON Schema.
func appendSchema(b []byte, v *fastjson.Value, depth int) []byte {
	if v.Type() != fastjson.TypeObject || depth > maxDepth {
		return rawjson.AppendValue(b, v)
	}
	nullable := v.GetBool("nullable")
	b = append(b, '{')
	v.GetObject().Visit(func(key []byte, m *fastjson.Value) {
		name := string(key)
		if c := camel(name); counts[c] || someSchemas[c] || oneSchema[c] {
			name = c
		}
		switch {
		case name == "nullable":
			return
		case name == "type" && m.Type() == fastjson.TypeString:
			kind := strings.ToLower(string(m.GetStringBytes()))
			if kind == "type_unspecified" {
				return
			}
			if nullable && kind != "null" {
				b = rawjson.AppendRaw(b, name, `["`+kind+`","null"]`)
			} else {
				b = rawjson.AppendMember(b, name, kind)
			}
			return
		case name == "enum" && nullable && m.Type() == fastjson.TypeArray:
			b = rawjson.AppendValue(rawjson.AppendName(b, name), m)
			b = append(rawjson.AppendComma(b[:len(b)-1]), "null]"...)
			return
		case counts[name] && m.Type() == fastjson.TypeString && isNumber(m.GetStringBytes()):
			b = rawjson.AppendRaw(b, name, m.GetStringBytes())
			return
		}
		b = appendKey(b, name)
		switch {
		case oneSchema[name]:
			b = appendSchema(b, m, depth+1)
		case someSchemas[name] && m.Type() == fastjson.TypeArray:
			b = append(b, '[')
			for _, e := range m.GetArray() {
				b = appendSchema(rawjson.AppendComma(b), e, depth+1)
			}
			b = append(b, ']')
		case allSchemas[name] && m.Type() == fastjson.TypeObject:
			b = append(b, '{')
			m.GetObject().Visit(func(key []byte, e *fastjson.Value) {
				b = appendSchema(appendKey(b, string(key)), e, depth+1)
			})
			b = append(b, '}')
		default:
			b = rawjson.AppendValue(b, m)
		}
	})
	return append(b, '}')
}

func isNumber(s []byte) bool {
	return rawjson.Valid(s) == nil && len(s) > 0 && (s[0] == '-' || '0' <= s[0] && s[0] <= '9')
}

// appendKey appends a member's name, whatever is in it.
func appendKey(b []byte, name string) []byte {
	return append(rawjson.AppendString(rawjson.AppendComma(b), name), ':')
}
