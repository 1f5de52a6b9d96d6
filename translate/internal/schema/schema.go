// Package schema makes the schema of a tool's arguments fit for providers that want
// an object described at its top: not a choice of several, and not in silence.
package schema

import (
	"slices"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate/rawjson"
)

// Empty is the schema of a tool without arguments.
const Empty = `{"type":"object","properties":{}}`

// Object returns a schema that says at its top that it is of an object, and
// whether it says what the given one does. A choice of several objects at the top
// (https://json-schema.org/understanding-json-schema/reference/combining) becomes
// one object that has the members of all.
func Object(s string) (_ string, exact bool) {
	if s == "" {
		return Empty, true
	}
	typed, combined := false, false
	err := rawjson.Object([]byte(s), func(name []byte, start, end int) error {
		switch string(name) {
		case "type":
			typed = s[start:end] == `"object"`
		case "anyOf", "oneOf", "allOf":
			combined = true
		}
		return nil
	})
	if err != nil {
		return Empty, false
	}
	if typed && !combined {
		return s, true
	}
	v, err := fastjson.Parse(s)
	if err != nil {
		return Empty, false
	}
	var a fastjson.Arena
	if !combined {
		// What has no type, or may be null as well, is still an object here:
		// arguments are nothing else.
		exact = v.Get("type") == nil
		v.Set("type", a.NewString("object"))
		return string(rawjson.AppendValue(nil, v)), exact
	}
	return string(rawjson.AppendValue(nil, merge(&a, v))), false
}

// merge takes the members of all alternatives into one object. A member is required
// where each alternative requires it, or one of those that hold together.
func merge(a *fastjson.Arena, v *fastjson.Value) *fastjson.Value {
	properties, required := v.Get("properties"), names(v.Get("required"))
	if properties == nil || properties.Type() != fastjson.TypeObject {
		properties = a.NewObject()
	}
	for _, kind := range [...]string{"anyOf", "oneOf", "allOf"} {
		var common []string
		for i, branch := range v.GetArray(kind) {
			branch.GetObject("properties").Visit(func(name []byte, p *fastjson.Value) {
				if properties.Get(string(name)) == nil {
					properties.Set(string(name), p)
				}
			})
			own := names(branch.Get("required"))
			switch {
			case kind == "allOf", i == 0:
				common = append(common, own...)
			default:
				common = slices.DeleteFunc(common, func(n string) bool { return !slices.Contains(own, n) })
			}
		}
		required = append(required, common...)
		v.Del(kind)
	}
	v.Set("type", a.NewString("object"))
	v.Set("properties", properties)
	slices.Sort(required)
	if required = slices.Compact(required); len(required) > 0 {
		list := a.NewArray()
		for i, n := range required {
			list.SetArrayItem(i, a.NewString(n))
		}
		v.Set("required", list)
	}
	return v
}

func names(v *fastjson.Value) (list []string) {
	for _, e := range v.GetArray() {
		if e.Type() == fastjson.TypeString {
			list = append(list, string(e.GetStringBytes()))
		}
	}
	return list
}
