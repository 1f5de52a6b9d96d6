package gemini

import (
	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
)

// takeUsage reads what was counted. Pieces in between may lack most of it.
func (d *decoder) takeUsage(v *fastjson.Value) error {
	if tree.IsNull(v) {
		return nil
	}
	u := &d.usage
	prompt, hasPrompt := tree.Int(v, "promptTokenCount")
	candidates, hasCandidates := tree.Int(v, "candidatesTokenCount")
	thoughts, hasThoughts := tree.Int(v, "thoughtsTokenCount")
	if !hasPrompt && !hasCandidates && !hasThoughts {
		return nil
	}
	tools, _ := tree.Int(v, "toolUsePromptTokenCount")
	cached, _ := tree.Int(v, "cachedContentTokenCount")
	*u = translate.Usage{
		Input: prompt, HasInput: hasPrompt, CacheRead: cached, ToolInput: tools,
		Output: candidates + thoughts, HasOutput: hasCandidates || hasThoughts, Reasoning: thoughts,
		InputAudio: audio(v.Get("promptTokensDetails")), OutputAudio: audio(v.Get("candidatesTokensDetails")),
	}
	d.Ev = translate.Event{Kind: translate.UsageUpdate, Usage: u}
	err := d.Emit()
	d.Ev = translate.Event{}
	return err
}

func audio(v *fastjson.Value) int64 {
	for _, e := range v.GetArray() {
		if tree.Text(e, "modality") == "AUDIO" {
			n, _ := tree.Int(e, "tokenCount")
			return n
		}
	}
	return 0
}
