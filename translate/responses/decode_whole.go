package responses

import (
	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/openai"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// response takes the whole of a response: a document, or the end of a stream.
func (d *decoder) response(r *fastjson.Value) error {
	if r.Type() != fastjson.TypeObject || r.Get("output") == nil && r.Get("error") == nil {
		return answer.Broken("is not a response")
	}
	status := tree.Text(r, "status")
	if e := r.Get("error"); status == "failed" || status == "cancelled" || !tree.IsNull(e) && len(r.GetArray("output")) == 0 {
		return d.fail(r)
	}
	if o := r.Get("output"); !tree.IsNull(o) && o.Type() != fastjson.TypeArray {
		return answer.Broken("has an output of a wrong type")
	}
	if err := d.start(r); err != nil {
		return err
	}
	for i, v := range r.GetArray("output") {
		if i >= maxItems {
			return answer.Broken("has too many items")
		}
		for len(d.items) <= i {
			d.items = append(d.items, item{block: -1, index: -1, last: -1})
		}
		if d.Options.Listen && d.items[i].kind != "" {
			continue
		}
		d.Ev = translate.Event{}
		if err := d.done(&d.items[i], v); err != nil {
			return err
		}
	}
	for i := range d.items {
		if err := d.close(&d.items[i]); err != nil {
			return err
		}
	}
	d.takeUsage(r.Get("usage"))
	if d.usage.HasInput || d.usage.HasOutput {
		d.Ev = translate.Event{Kind: translate.UsageUpdate, Usage: &d.usage}
		if err := d.Emit(); err != nil {
			return err
		}
	}
	d.Ev = translate.Event{Kind: translate.Finish}
	d.Ev.Stop, d.Ev.Native = d.stop(r, status)
	if err := d.Emit(); err != nil {
		return err
	}
	if d.Options.Whole {
		d.whole = rawjson.AppendValue(nil, r)
	}
	d.over = true
	d.Ev = translate.Event{Kind: translate.AnswerEnd}
	return d.Emit()
}

// stop tells why the answer ended. A call ends it under "completed" here.
func (d *decoder) stop(r *fastjson.Value, status string) (translate.StopReason, string) {
	reason := tree.TextAt(r, "incomplete_details", "reason")
	switch {
	case reason == "max_output_tokens":
		return translate.StopLength, reason
	case reason == "content_filter":
		return translate.StopFiltered, reason
	case reason == "pause_turn": // ours
		return translate.StopPause, reason
	case reason != "":
		return translate.StopUnknown, reason
	case status == "queued" || status == "in_progress": // runs in the background
		return translate.StopPause, status
	case d.calls:
		return translate.StopTools, status
	case d.refused:
		return translate.StopRefused, status
	case status == "completed" || status == "":
		return translate.StopEnd, status
	}
	return translate.StopUnknown, status
}

func (d *decoder) takeUsage(u *fastjson.Value) {
	if tree.IsNull(u) || u.Type() != fastjson.TypeObject {
		return
	}
	n := &d.usage
	take := func(to *int64, path ...string) bool {
		v, ok := tree.Int(u, path...)
		if ok && v >= 0 {
			*to = v
		}
		return ok
	}
	n.HasInput = take(&n.Input, "input_tokens")
	n.HasOutput = take(&n.Output, "output_tokens")
	take(&n.CacheRead, "input_tokens_details", "cached_tokens")
	take(&n.CacheWrite, "input_tokens_details", "cache_write_tokens")
	take(&n.Reasoning, "output_tokens_details", "reasoning_tokens")
	if total, ok := tree.Int(u, "total_tokens"); ok {
		n.Apart = n.Reasoning > 0 && total == n.Input+n.Output+n.Reasoning
	}
}

func (d *decoder) fail(v *fastjson.Value) error {
	e := &translate.Error{Kind: translate.ServerError}
	openai.ReadError(v, e)
	switch e.Code {
	case "rate_limit_exceeded":
		e.Kind = translate.RateLimited
	case "insufficient_quota":
		e.Kind = translate.Billing
	case "server_is_overloaded", "slow_down":
		e.Kind = translate.Overloaded
	case "context_length_exceeded", "invalid_prompt", "invalid_image":
		e.Kind = translate.InvalidRequest
	}
	if e.Message == "" {
		e.Message = "The provider failed without an explanation."
	}
	d.over = true
	d.Ev = translate.Event{Kind: translate.Failure, Err: e}
	return d.Emit()
}
