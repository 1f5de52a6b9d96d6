package openai

import (
	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
)

// takeUsage reads the usage from where the dialect has it.
func (d *decoder) takeUsage(v *fastjson.Value) error {
	u := v.Get("usage")
	if tree.IsNull(u) {
		u = v.Get("x_groq", "usage")
	}
	if tree.IsNull(u) || u.Type() != fastjson.TypeObject {
		return nil
	}
	n := &d.usage
	take := func(to *int64, path ...string) bool {
		v, ok := tree.Int(u, path...)
		if ok && v >= 0 {
			*to = v
		}
		return ok
	}
	n.HasInput = take(&n.Input, "prompt_tokens") || n.HasInput
	n.HasOutput = take(&n.Output, "completion_tokens") || n.HasOutput
	if !take(&n.CacheRead, "prompt_tokens_details", "cached_tokens") {
		take(&n.CacheRead, "prompt_cache_hit_tokens") // DeepSeek
	}
	take(&n.CacheWrite, "prompt_tokens_details", "cache_write_tokens")
	take(&n.InputAudio, "prompt_tokens_details", "audio_tokens")
	take(&n.OutputAudio, "completion_tokens_details", "audio_tokens")
	take(&n.Reasoning, "completion_tokens_details", "reasoning_tokens")
	// xAI counts reasoning beside the completion; the total tells.
	if total, ok := tree.Int(u, "total_tokens"); ok {
		n.Apart = n.Reasoning > 0 && total == n.Input+n.Output+n.Reasoning
	}
	d.Ev = translate.Event{Kind: translate.UsageUpdate, Usage: n}
	return d.Emit()
}
