package rawjson_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nine-router/nine-router/translate/rawjson"
)

func TestObjectVisitsMembersInOrder(t *testing.T) {
	t.Parallel()
	text := []byte(" {\"a\" : 1, \"m\\u006fdel\":\"x\\\"y\",\n\"list\":[1,{\"model\":2}],\"e\":{}} ")
	var got []string
	err := rawjson.Object(text, func(name []byte, start, end int) error {
		got = append(got, string(name)+"="+string(text[start:end]))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `a=1|model="x\"y"|list=[1,{"model":2}]|e={}`
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("members %s, want %s", s, want)
	}
}

func TestObjectReturnsTheVisitorsError(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	if err := rawjson.Object([]byte(`{"a":1}`), func([]byte, int, int) error { return stop }); err != stop {
		t.Errorf("got %v", err)
	}
}

func TestFaultsAreNamedWithTheirPlace(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	for _, c := range []struct{ name, text, want string }{
		{"nothing", ``, "unexpected end of JSON at byte 0"},
		{"array", `[1]`, "expected a JSON object at byte 0"},
		{"cut", `{"a":`, "unexpected end of JSON at byte 5"},
		{"cut string", `{"a`, "unexpected end of JSON at byte 3"},
		{"trailing comma", `{"a":1,}`, "expected a member name at byte 7"},
		{"two values", `{} {}`, "unexpected text after the JSON value at byte 3"},
		{"leading zero", `{"a":01}`, "expected a comma or the end of the object at byte 6"},
		{"bare word", `{"a":nul}`, "expected a value at byte 5"},
		{"escape", `{"a":"\x"}`, "bad escape in a string at byte 6"},
		{"control", "{\"a\":\"0123456789\n\"}", "control character in a string at byte 16"},
		{"utf8", "{\"a\":\"\xff\"}", "invalid UTF-8 at byte 6"},
		{"deep", deep(rawjson.MaxDepth), "nested too deep at byte 132"},
		{"very deep", `{"a":` + strings.Repeat("[", 10_000), "nested too deep at byte 132"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := rawjson.Object([]byte(c.text), nil)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if err := rawjson.Object([]byte(deep(rawjson.MaxDepth-1)), nil); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

// What the scanner accepts is exactly what encoding/json accepts, within the
// bounds of depth and UTF-8 that are ours.
func FuzzValid(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,"x\u00e9\ud83d",true,false,null,{}]}`, `"`, `-`, `1.`, `{"":0}`, "[\"12345678\"]", `"\\"`, "\"a long enough text to be taken in steps of four words, \xc3\xa9\"", "\"\xff\"", "\"12345678901234567890123456789012\xff345678901234567890123456789012345678901234567890\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := rawjson.Valid(text)
		if err != nil && (strings.Contains(err.Error(), "too deep") || !utf8.Valid(text)) {
			return
		}
		if err == nil && !utf8.Valid(text) {
			t.Error("what is not UTF-8 was accepted")
		}
		if ok := json.Valid(text); ok != (err == nil) {
			t.Errorf("valid %v, but %v", ok, err)
		}
	})
}

// A string comes back as it went in, but for bytes that are not UTF-8.
func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\n\t\"\\\u2028 é 🙂 \xff\xf0\x9f")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(rawjson.AppendString(nil, s), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); strings.ReplaceAll(got, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func BenchmarkObject(b *testing.B) {
	message := `{"role":"user","content":"` + strings.Repeat("All work and no play makes a dull day. ", 128) + `"}`
	text := []byte(`{"model":"m","messages":[` + strings.TrimSuffix(strings.Repeat(message+",", 100), ",") + `]}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := rawjson.Object(text, nil); err != nil {
			b.Fatal(err)
		}
	}
}
