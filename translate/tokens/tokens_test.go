package tokens_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/tokens"
)

func request(parts ...translate.Part) *translate.Request {
	return &translate.Request{Messages: []translate.Message{{Role: translate.RoleUser, Parts: parts}}}
}

func count(t *testing.T, r *translate.Request, model string) int64 {
	t.Helper()
	n, by := tokens.Estimate(r, model)
	if by == "" {
		t.Error("the estimate does not say what it counted with")
	}
	return n
}

func TestTextIsCountedInTokens(t *testing.T) {
	t.Parallel()
	few := count(t, request(translate.Part{Kind: translate.Text, Text: "The quick brown fox jumps over the lazy dog."}), "gpt-5")
	if few < 10 || few > 20 {
		t.Errorf("a sentence of ten words has %d tokens", few)
	}
	many := count(t, request(translate.Part{Kind: translate.Text, Text: strings.Repeat("The quick brown fox jumps over the lazy dog. ", 1000)}), "gpt-5")
	if many < 9_500 || many > 11_000 {
		t.Errorf("a thousand of them have %d", many)
	}
}

// A tokenizer that is handed one endless word must not take endless time.
func TestOneLongWord(t *testing.T) {
	t.Parallel()
	n := count(t, request(translate.Part{Kind: translate.Text, Text: strings.Repeat("äb", 200_000)}), "gpt-5")
	if n < 10_000 {
		t.Errorf("%d tokens", n)
	}
}

func TestToolsCallsAndResultsCount(t *testing.T) {
	t.Parallel()
	r := request(translate.Part{Kind: translate.Text, Text: "hi"})
	plain := count(t, r, "m")
	r.Tools = []translate.Tool{{Kind: translate.FunctionTool, Name: "get_weather", Description: "Tells the weather.", Schema: `{"type":"object","properties":{"city":{"type":"string"}}}`}}
	tools := count(t, r, "m")
	r.Messages = append(r.Messages, translate.Message{Role: translate.RoleAssistant, Parts: []translate.Part{{Kind: translate.ToolCall, Call: &translate.Call{Name: "get_weather", Arguments: `{"city":"Oslo"}`}}}},
		translate.Message{Role: translate.RoleTool, Parts: []translate.Part{{Kind: translate.ToolResult, Result: &translate.Result{Parts: []translate.Part{{Kind: translate.Text, Text: "Rain all day long."}}}}}})
	if all := count(t, r, "m"); !(plain < tools && tools < all) {
		t.Errorf("%d, with tools %d, with a call %d", plain, tools, all)
	}
}

func TestImagesCountByTheFamilysRule(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1000, 500))); err != nil {
		t.Fatal(err)
	}
	data := base64.StdEncoding.EncodeToString(b.Bytes())
	for model, want := range map[string]int64{"claude-opus-5-5": 1000 * 500 / 750, "gemini-3-pro": 2 * 258, "gpt-5": 85 + 2*170} {
		r := request(translate.Part{Kind: translate.Image, Media: &translate.Media{Type: "image/png", Data: data}})
		if got := count(t, r, model) - count(t, request(), model); got != want {
			t.Errorf("%s: %d tokens, want %d", model, got, want)
		}
	}
}
