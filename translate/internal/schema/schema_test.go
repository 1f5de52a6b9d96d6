package schema

import "testing"

func TestObject(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		out   string
		exact bool
	}{
		"":                                 {Empty, true},
		`{"type":"object"}`:                {`{"type":"object"}`, true},
		`{"properties":{}}`:                {`{"properties":{},"type":"object"}`, true},
		`{"type":["object","null"],"x":1}`: {`{"type":"object","x":1}`, false},
		// A property that is called like a keyword is a property.
		`{"type":"object","properties":{"anyOf":{"type":"string"}}}`: {`{"type":"object","properties":{"anyOf":{"type":"string"}}}`, true},
		`{"anyOf":[{"properties":{"a":{},"b":{}},"required":["a","b"]},{"properties":{"a":{},"c":{}},"required":["a"]}]}`: {
			`{"type":"object","properties":{"a":{},"b":{},"c":{}},"required":["a"]}`, false},
		`{"allOf":[{"properties":{"a":{}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}],"$defs":{"x":{}}}`: {
			`{"$defs":{"x":{}},"type":"object","properties":{"a":{},"b":{}},"required":["a","b"]}`, false},
		`nonsense`: {Empty, false},
	} {
		if out, exact := Object(in); out != want.out || exact != want.exact {
			t.Errorf("%s gives %s, %v", in, out, exact)
		}
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		out   string
		exact bool
	}{
		`{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`: {`{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`, true},
		`{"type":"object","properties":{"minimum":{"type":"integer","minimum":1,"description":"d"},"list":{"type":"array","items":{"properties":{}}}}}`: {
			`{"type":"object","properties":{"minimum":{"type":"integer","description":"d (minimum: 1)"},"list":{"type":"array","items":{"properties":{},"additionalProperties":false}}},"additionalProperties":false}`, false},
		`{"anyOf":[{"type":["object","null"],"additionalProperties":{"type":"string"}},{"type":"string","maxLength":3}]}`: {
			`{"anyOf":[{"type":["object","null"],"additionalProperties":false},{"type":"string","description":"(maxLength: 3)"}]}`, false},
	} {
		if out, exact := Closed(in); out != want.out || exact != want.exact {
			t.Errorf("%s gives %s, %v", in, out, exact)
		}
	}
}
