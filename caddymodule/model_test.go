package caddymodule

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

func parse(t *testing.T, text string) (string, *Model, error) {
	t.Helper()
	d := caddyfile.NewTestDispenser(text)
	d.Next()
	return parseModel(d)
}

func TestWhatIsSaidOfAModel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]provider.Model{
		"context 200k":             {Context: 200_000},
		"context 1M":               {Context: 1_000_000},
		"context 1.05M":            {Context: 1_050_000},
		"context 131072":           {Context: 131_072},
		"max_output 64K":           {MaxOutput: 64_000},
		"lacks vision tools":       {Lacks: []provider.Ability{provider.Vision, provider.Tools}},
		"lacks nothing":            {Lacks: []provider.Ability{}},
		"price free":               {Price: &store.Price{}},
		"price 0 0":                {Price: &store.Price{}},
		"price 3 15":               {Price: &store.Price{Input: 3e9, Output: 15e9}},
		"price 0.075 0.3 0.0375":   {Price: &store.Price{Input: 75e6, Output: 3e8, CacheRead: 37_500_000}},
		"price 5 25 0.5 6.25":      {Price: &store.Price{Input: 5e9, Output: 25e9, CacheRead: 5e8, CacheWrite: 6_250_000_000}},
		"context 8k\nlacks audio":  {Context: 8000, Lacks: []provider.Ability{provider.Audio}},
		"price 1 2\nmax_output 1k": {MaxOutput: 1000, Price: &store.Price{Input: 1e9, Output: 2e9}},
	} {
		name, m, err := parse(t, "model some/model* {\n"+text+"\n}")
		if err != nil || name != "some/model*" {
			t.Errorf("%s: %q, %v", text, name, err)
			continue
		}
		// It is the same after a journey through Caddy's JSON.
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back Model
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if got, err := back.known(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestWhatCannotBeSaidOfAModel(t *testing.T) {
	t.Parallel()
	const number = "is not a number of tokens"
	for text, want := range map[string]string{
		"context":               "wrong argument count",
		"context 1k 2k":         "wrong argument count",
		"context 0":             number,
		"context -5":            number,
		"context k":             number,
		"context 1.5":           number,
		"context 1.k":           number,
		"context .5M":           number,
		"context 1.0005k":       number,
		"context 1e6":           number,
		"context 1001M":         number,
		"context 99999999999M":  number,
		"max_output lots":       number,
		"lacks humour":          `expected vision, audio, files, tools, structured or nothing, not "humour"`,
		"lacks vision nothing":  `not "nothing"`,
		"lacks vision vision":   "vision stands there twice",
		"price":                 "wrong argument count",
		"price 1":               "wrong argument count",
		"price 1 2 3 4 5":       "wrong argument count",
		"price cheap 2":         `price of input "cheap": not a plain decimal number`,
		"price 1 $2":            `price of output "$2"`,
		"price 1 2 -1":          `price of cache_read "-1"`,
		"price 1 2 1 1.5e1":     `price of cache_write "1.5e1"`,
		"price 0.0000000001 1":  "more than nine decimal places",
		"price 1 2\nprice free": "price was given before",
		"speed high":            `model has no option "speed"`,
		"":                      "nothing is said of it",
	} {
		if _, m, err := parse(t, "model m {\n"+text+"\n}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %s", text, m, err, want)
		}
	}
	if _, _, err := parse(t, "model"); err == nil {
		t.Error("a model without a name was taken")
	}
}

func TestAmountsMayBeNumbersInJSON(t *testing.T) {
	t.Parallel()
	var m Model
	if err := json.Unmarshal([]byte(`{"price":{"input":0.1,"output":"0.30","cache_read":0.0125}}`), &m); err != nil {
		t.Fatal(err)
	}
	known, err := m.known()
	if err != nil || *known.Price != (store.Price{Input: 1e8, Output: 3e8, CacheRead: 12_500_000}) {
		t.Errorf("%+v, %v", known.Price, err)
	}
	for _, text := range []string{`{"price":{"input":true}}`, `{"price":{"input":[1]}}`, `{"price":{"input":1.5.1}}`} {
		if err := json.Unmarshal([]byte(text), &m); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func TestDeclaredModels(t *testing.T) {
	t.Parallel()
	catalogue, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	declare := func(text string) (map[string]map[string]provider.Model, int, error) {
		var a App
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatal(err)
		}
		d, err := a.declared(caddy.NewReplacer(), catalogue)
		return d.Models, len(d.Connections), err
	}
	// A provider whose connections are in the dashboard may be named for its
	// models alone.
	models, connections, err := declare(`{"providers":{"openai":{"model_info":{"gpt-5":{"context":9}}},"lab":{"base_url":"http://localhost:1","model_info":{"*":null}},"ollama":{}}}`)
	want := map[string]map[string]provider.Model{"openai": {"gpt-5": {Context: 9}}, "lab": {"*": {}}}
	if err != nil || connections != 1 || !reflect.DeepEqual(models, want) {
		t.Errorf("%+v, %d connections, %v", models, connections, err)
	}
	if models, _, err := declare(`{"providers":{"ollama":{}}}`); err != nil || models != nil {
		t.Errorf("nothing was said, but %+v, %v", models, err)
	}
	for text, want := range map[string]string{
		`{"context":-1}`:                              `provider "openai": model "m": -1 is not a number of tokens`,
		`{"max_output":10000000000}`:                  "is not a number of tokens",
		`{"lacks":["wit"]}`:                           `lacks: expected vision, audio, files, tools, structured, not "wit"`,
		`{"price":{"input":1}}`:                       `price of output ""`,
		`{"price":{"input":"1e400000","output":"1"}}`: "not a plain decimal number",
	} {
		if _, _, err := declare(`{"providers":{"openai":{"model_info":{"m":` + text + `}}}}`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
