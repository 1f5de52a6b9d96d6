// Package tokens counts the tokens of a request for providers that cannot be
// asked. Text is counted with a real vocabulary, OpenAI's newest public one, for
// all models: those of other makers have their own, which are not public, so the
// result is an estimate and says by what. Images count by the rule of the model's
// family, where their size can be read.
package tokens

import (
	"bytes"
	"encoding/base64"
	"image"
	_ "image/gif" // sizes of images
	_ "image/jpeg"
	_ "image/png"
	"io"
	"strings"
	"sync"

	"github.com/tiktoken-go/tokenizer/codec"

	"github.com/nine-router/nine-router/translate"
)

// vocabulary is loaded when it is first asked for: it takes some 30 MB.
var vocabulary = sync.OnceValue(codec.NewO200kBase)

// Overheads of what stands around the text, in tokens, as OpenAI states them for
// its own (https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken).
const (
	perMessage = 4
	perTool    = 8
	perCall    = 6
	perRequest = 3
)

// Rough estimates the tokens of a body from its length alone, for numbers that
// the provider corrects a moment later.
func Rough(bytes int) int64 { return int64(bytes+3) / 4 }

// Estimate counts the tokens of a request's input for a model, and names what it
// counted with.
func Estimate(r *translate.Request, model string) (n int64, by string) {
	c := counter{model: strings.ToLower(model)}
	for i := range r.Messages {
		c.n += perMessage
		c.text(r.Messages[i].Name)
		c.parts(r.Messages[i].Parts)
	}
	for i := range r.Tools {
		t := &r.Tools[i]
		c.n += perTool
		c.text(t.Namespace)
		c.text(t.Name)
		c.text(t.Description)
		c.text(t.Schema)
		if t.Grammar != nil {
			c.text(t.Grammar.Definition)
		}
	}
	c.text(r.Output.Schema)
	return c.n + perRequest, "o200k_base"
}

type counter struct {
	model string
	n     int64
}

// maxPiece bounds what is tokenised at a time, in bytes: a tokenizer's time can
// grow faster than the text where it is one long word.
const maxPiece = 4 << 10

func (c *counter) text(s string) {
	for len(s) > 0 {
		n := min(len(s), maxPiece)
		if n < len(s) {
			// Better between words, and never within a character.
			if i := strings.LastIndexAny(s[:n], " \n"); i > n/2 {
				n = i
			}
			for n > 1 && n < len(s) && s[n]&0xc0 == 0x80 {
				n--
			}
		}
		if count, err := vocabulary().Count(s[:n]); err == nil {
			c.n += int64(count)
		} else {
			c.n += Rough(n)
		}
		s = s[n:]
	}
}

func (c *counter) parts(parts []translate.Part) {
	for i := range parts {
		p := &parts[i]
		c.text(p.Text)
		switch p.Kind {
		case translate.ToolCall:
			c.n += perCall
			c.text(p.Call.Name)
			c.text(p.Call.Arguments)
		case translate.ToolResult:
			c.n += perCall
			c.parts(p.Result.Parts)
		case translate.Image:
			c.n += c.image(p.Media)
		case translate.File, translate.Audio:
			c.text(p.Media.Text)
			// A page of a document is a few kilobytes and some hundred tokens; a
			// second of sound is about as much.
			c.n += int64(len(p.Media.Data)) / 32
		case translate.Server:
			c.text(p.Raw)
		}
	}
}

// Sizes that are taken for an image that cannot be looked at.
const unknownSide = 1024

// image counts an image by its size.
func (c *counter) image(m *translate.Media) int64 {
	w, h := int64(unknownSide), int64(unknownSide)
	if m.Data != "" {
		head := io.LimitReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(m.Data)), 64<<10)
		var b bytes.Buffer
		b.ReadFrom(head)
		if config, _, err := image.DecodeConfig(&b); err == nil && config.Width > 0 && config.Height > 0 {
			w, h = int64(config.Width), int64(config.Height)
		}
	}
	switch {
	case strings.Contains(c.model, "claude"):
		return anthropicImage(w, h)
	case strings.Contains(c.model, "gemini"):
		return geminiImage(w, h)
	}
	return openaiImage(w, h, m.Detail)
}

// anthropicImage follows https://platform.claude.com/docs/en/build-with-claude/vision:
// one token for 750 pixels, after the image is made to fit 1568 pixels.
func anthropicImage(w, h int64) int64 {
	w, h = fit(w, h, 1568)
	return max(1, min(w*h/750, 1600))
}

// geminiImage follows https://ai.google.dev/gemini-api/docs/tokens: 258 for a
// small image, and for each tile of a larger one.
func geminiImage(w, h int64) int64 {
	if w <= 384 && h <= 384 {
		return 258
	}
	return 258 * ((w + 767) / 768) * ((h + 767) / 768)
}

// openaiImage follows https://platform.openai.com/docs/guides/images-vision: 85,
// and 170 for each tile of 512 pixels, after the image is made to fit.
func openaiImage(w, h int64, detail string) int64 {
	if detail == "low" {
		return 85
	}
	w, h = fit(w, h, 2048)
	if short := min(w, h); short > 768 {
		w, h = w*768/short, h*768/short
	}
	return 85 + 170*((w+511)/512)*((h+511)/512)
}

// fit makes an image fit a square.
func fit(w, h, side int64) (int64, int64) {
	if long := max(w, h); long > side {
		return max(1, w*side/long), max(1, h*side/long)
	}
	return w, h
}
