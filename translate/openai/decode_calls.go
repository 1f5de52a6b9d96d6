package openai

import (
	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

type openCall struct {
	index   int // the provider's number
	block   int
	id      string
	open    bool
	balance answer.Balance
}

func (d *decoder) call(c *choice, position int, v *fastjson.Value) error {
	index := position
	if n, ok := tree.Int(v, "index"); ok {
		index = int(n)
	}
	id := tree.Text(v, "id")
	if f := v.Get("custom"); !tree.IsNull(f) && tree.Text(f, "name")+tree.Text(f, "input") != "" {
		return d.function(c, index, id, f, "input", true)
	}
	f := v.Get("function")
	if tree.IsNull(f) {
		if id == "" {
			return nil
		}
		return answer.Broken("has a tool call without a function")
	}
	return d.function(c, index, id, f, "arguments", false)
}

// maxCalls bounds what a provider can make the gateway remember.
const maxCalls = 1024

// function takes a piece of a call. An index that comes with another id than
// before is another call.
func (d *decoder) function(c *choice, index int, id string, v *fastjson.Value, member string, custom bool) error {
	var t *openCall
	for i := len(c.calls) - 1; i >= 0; i-- {
		if c.calls[i].index == index {
			t = &c.calls[i]
			break
		}
	}
	name := tree.Text(v, "name")
	if t == nil || id != "" && t.id != id && (t.id != "" || t.balance.Complete()) || id == "" && name != "" && !d.Options.Stream {
		if len(c.calls) >= maxCalls {
			return answer.Broken("has too many tool calls")
		}
		if err := d.closeOthers(c); err != nil {
			return err
		}
		c.calls = append(c.calls, openCall{index: index, block: c.next, id: string(append([]byte(nil), id...)), open: true})
		t = &c.calls[len(c.calls)-1]
		c.next++
		c.any = true
		d.Ev.Kind, d.Ev.Part, d.Ev.Block = translate.BlockStart, translate.ToolCall, t.block
		d.Ev.ID, d.Ev.Name, d.Ev.Text, d.Ev.Custom = id, name, "", custom
		if err := d.Emit(); err != nil {
			return err
		}
		d.Ev.ID, d.Ev.Name, d.Ev.Custom = "", "", false
	}
	s := tree.Text(v, member)
	if a := v.Get(member); a != nil && a.Type() == fastjson.TypeObject {
		d.raw = rawjson.AppendValue(d.raw[:0], a)
		s = tree.View(d.raw)
	}
	if s == "" || !t.open {
		return nil
	}
	if !custom {
		t.balance.Add(s)
	}
	d.Ev.Kind, d.Ev.Part, d.Ev.Block, d.Ev.Text = translate.Delta, translate.ToolCall, t.block, s
	err := d.Emit()
	d.Ev.Text = ""
	return err
}

// again takes a further piece of a call. What comes behind whole arguments may
// begin another call.
func (d *decoder) again(e *translate.Event) bool {
	if e.Part != translate.ToolCall {
		return true
	}
	calls := d.choices[e.Choice].calls
	for i := len(calls) - 1; i >= 0; i-- {
		if t := &calls[i]; t.block == e.Block {
			if t.balance.Complete() {
				return false
			}
			t.balance.Add(e.Text)
			return true
		}
	}
	return false
}
