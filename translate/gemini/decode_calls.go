package gemini

import (
	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/tree"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// functionCall takes a call, or a piece of one
// (https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc).
func (d *decoder) functionCall(i int, v *fastjson.Value) error {
	c := &d.choices[i]
	name, more := tree.Text(v, "name"), v.GetBool("willContinue")
	if name != "" || c.call == nil {
		if name == "" {
			return nil // the end of one that ended
		}
		if err := d.closeAll(i); err != nil {
			return err
		}
		d.Ev.ID, d.Ev.Name = tree.Text(v, "id"), name
		err := d.open(i, translate.ToolCall)
		d.Ev.ID, d.Ev.Name = "", ""
		if err != nil {
			return err
		}
		c.calls, c.call = true, &partialCall{}
	}
	call := c.call
	d.raw = d.raw[:0]
	if a := v.Get("args"); !tree.IsNull(a) && !call.begun {
		d.raw = rawjson.AppendValue(d.raw, a)
		call.begun, call.whole = true, true
	}
	for _, a := range v.GetArray("partialArgs") {
		var err error
		if d.raw, err = call.append(d.raw, a); err != nil {
			return err
		}
	}
	if err := d.arguments(i); err != nil {
		return err
	}
	if more {
		return nil
	}
	return d.closeAll(i)
}

func (d *decoder) arguments(i int) error {
	if len(d.raw) == 0 {
		return nil
	}
	c := &d.choices[i]
	d.Ev.Kind, d.Ev.Choice, d.Ev.Block, d.Ev.Part, d.Ev.Text = translate.Delta, i, c.block, translate.ToolCall, tree.View(d.raw)
	err := d.Emit()
	d.Ev.Text = ""
	return err
}

// endCall ends the arguments of the open call.
func (d *decoder) endCall(i int) error {
	c := &d.choices[i]
	d.raw = c.call.end(d.raw[:0])
	c.call = nil
	return d.arguments(i)
}
