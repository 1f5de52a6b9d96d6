package rawjson_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate/rawjson"
)

func TestArrayVisitsElementsInOrder(t *testing.T) {
	t.Parallel()
	text := []byte(" [ 1 ,\"a,]\" ,[2,[3]],\n{\"x\":[4]}, null ] ")
	var got []string
	if err := rawjson.Array(text, func(start, end int) error {
		got = append(got, string(text[start:end]))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if s, want := strings.Join(got, "|"), `1|"a,]"|[2,[3]]|{"x":[4]}|null`; s != want {
		t.Errorf("elements %s, want %s", s, want)
	}
	if err := rawjson.Array([]byte(" [ ] "), func(int, int) error { return errors.New("there is none") }); err != nil {
		t.Error(err)
	}
}

func TestArrayReturnsTheVisitorsError(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	if err := rawjson.Array([]byte(`[1`), func(int, int) error { return stop }); err != stop {
		t.Errorf("got %v", err)
	}
}

func TestArrayNamesFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:       "unexpected end of JSON at byte 0",
		`{}`:     "expected a JSON array at byte 0",
		`[1,]`:   "expected a value at byte 3",
		`[1 2]`:  "expected a comma or the end of the array at byte 3",
		`[1`:     "unexpected end of JSON at byte 2",
		`[] x`:   "unexpected text after the JSON value at byte 3",
		"[\xff]": "invalid UTF-8 at byte 1",
	} {
		if err := rawjson.Array([]byte(text), func(int, int) error { return nil }); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// What is taken for an array is exactly what encoding/json takes for one, and
// has as many elements.
func FuzzArray(f *testing.F) {
	for _, s := range []string{`[]`, `[1,"a",[2],{"b":[3]}]`, `[1,]`, `[`, ` [ null ] `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		err := rawjson.Array(text, func(int, int) error { n++; return nil })
		if rawjson.Valid(text) != nil {
			if err == nil {
				t.Errorf("%q is not valid", text)
			}
			return
		}
		var list []json.RawMessage
		if json.Unmarshal(text, &list) != nil || list == nil {
			if err == nil {
				t.Errorf("%q is no array", text)
			}
			return
		}
		if err != nil || n != len(list) {
			t.Errorf("%q: %d elements, %v, want %d", text, n, err, len(list))
		}
	})
}
