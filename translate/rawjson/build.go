package rawjson

import "github.com/valyala/fastjson"

// AppendName appends a member's name to an object that is being written, with
// the comma that it may need. The name must need no escapes.
func AppendName(dst []byte, name string) []byte {
	dst = AppendComma(dst)
	dst = append(append(append(dst, '"'), name...), '"', ':')
	return dst
}

// AppendComma appends the comma before a further element, if what is being
// written has one already.
func AppendComma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' && dst[n-1] != '[' {
		return append(dst, ',')
	}
	return dst
}

// AppendMember appends a member whose value is a string.
func AppendMember[S ~string | ~[]byte](dst []byte, name string, value S) []byte {
	return AppendString(AppendName(dst, name), value)
}

// AppendRaw appends a member whose value is JSON already.
func AppendRaw[S ~string | ~[]byte](dst []byte, name string, value S) []byte {
	return append(AppendName(dst, name), value...)
}

// AppendBool appends a member whose value is true or false.
func AppendBool(dst []byte, name string, value bool) []byte {
	if value {
		return AppendRaw(dst, name, "true")
	}
	return AppendRaw(dst, name, "false")
}

// AppendValue appends a parsed value as JSON. Strings are escaped anew: fastjson
// itself would write some of them as Go does, which is not JSON.
func AppendValue(dst []byte, v *fastjson.Value) []byte {
	switch v.Type() {
	case fastjson.TypeObject:
		dst = append(dst, '{')
		o, _ := v.Object()
		o.Visit(func(key []byte, m *fastjson.Value) {
			dst = append(AppendString(AppendComma(dst), key), ':')
			dst = AppendValue(dst, m)
		})
		return append(dst, '}')
	case fastjson.TypeArray:
		dst = append(dst, '[')
		list, _ := v.Array()
		for i, e := range list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendValue(dst, e)
		}
		return append(dst, ']')
	case fastjson.TypeString:
		s, _ := v.StringBytes()
		return AppendString(dst, s)
	}
	from := len(dst)
	dst = v.MarshalTo(dst)
	if Valid(dst[from:]) != nil { // fastjson takes for a number what is none
		dst = append(dst[:from], "null"...)
	}
	return dst
}

// AppendMemberRaw appends a member whose name may need escapes and whose value is
// JSON already.
func AppendMemberRaw(dst []byte, name, value string) []byte {
	dst = append(AppendString(AppendComma(dst), name), ':')
	return append(dst, value...)
}
