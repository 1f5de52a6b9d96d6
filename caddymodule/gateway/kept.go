package gateway

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/valyala/fastjson"
	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// keptFor is how long a response is kept, as OpenAI keeps its own
// (https://platform.openai.com/docs/guides/conversation-state).
const keptFor = 30 * 24 * time.Hour

// keeps says that the client may come back to this response: so it is by default
// in its format.
func (x *exchange) keeps() bool {
	return x.call.format == translate.Responses && x.call.op == provider.Chat && (x.env.store != "false" || x.call.session != nil)
}

// owner is who a kept response belongs to. Where no key is required all clients
// are one.
func owner(keyID string) string {
	if keyID == "" {
		return "responses:open"
	}
	return "responses:" + keyID
}

// document returns the answer that was relayed as one document, for keeping;
// whole is that of an answer which passed through and was one already.
func (a *attempt) document(whole []byte) []byte {
	var from any = a.decoder
	if a.encoder != nil {
		if !a.x.rec.Stream {
			return a.encoder.Bytes()
		}
		from = a.encoder
	} else if whole != nil {
		return whole
	}
	if d, ok := from.(translate.Documenter); ok {
		return d.Document()
	}
	return nil
}

// keep keeps a response together with the items that led to it, so that the next
// request can name it instead of sending them again, whoever answers that.
func (x *exchange) keep(response []byte) {
	if !x.keeps() || len(response) == 0 {
		return
	}
	v, err := fastjson.ParseBytes(response)
	if err != nil {
		return
	}
	id := string(v.GetStringBytes("id"))
	if id == "" {
		return
	}
	b := append([]byte(`{"input":`), inputItems(x.env.body)...)
	b = append(rawjson.AppendRaw(b, "response", response), '}')
	if s := x.call.session; s != nil {
		s.id, s.held = id, b
	}
	if x.env.store == "false" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), 5*time.Second)
	defer cancel()
	if err := x.g.o.Store.Keep(ctx, owner(x.rec.KeyID), id, b, time.Now().Add(keptFor)); err != nil {
		x.g.o.Logger.Warn("response is not kept", zap.String("exchange", x.rec.ID), zap.String("problem", bookProblem(err)))
	}
}

// inputItems returns the input of a request as a list of items.
func inputItems(body []byte) []byte {
	items := []byte("[]")
	rawjson.Object(body, func(name []byte, start, end int) error {
		if string(name) != "input" {
			return nil
		}
		switch items = body[start:end]; {
		case items[0] == '"':
			items = append(append([]byte(`[{"role":"user","content":`), items...), "}]"...)
		case items[0] != '[':
			items = []byte("[]")
		}
		return nil
	})
	return items
}

// resolvePrevious puts what a request only names into it: the input of the
// response that went before, that response's output, and then its own input. A
// name that is not kept here may be the provider's, if it speaks the format.
func (x *exchange) resolvePrevious() *translate.Error {
	if x.env.previous == "" {
		return nil
	}
	var held []byte
	var err error
	if s := x.call.session; s != nil && s.id == x.env.previous {
		held = s.held
	} else {
		held, err = x.g.o.Store.Kept(x.ctx, owner(x.rec.KeyID), x.env.previous)
	}
	if errors.Is(err, store.ErrNotFound) {
		x.unresolved = true
		return nil
	}
	if err != nil {
		return internal()
	}
	v, err := fastjson.ParseBytes(held)
	if err != nil {
		return internal()
	}
	items := []byte{'['}
	for _, list := range [][]*fastjson.Value{v.GetArray("input"), v.GetArray("response", "output")} {
		for _, item := range list {
			items = rawjson.AppendValue(rawjson.AppendComma(items), item)
		}
	}
	own := inputItems(x.env.body)
	if own = bytes.TrimSpace(own[1 : len(own)-1]); len(own) > 0 {
		items = append(rawjson.AppendComma(items), own...)
	}
	items = append(items, ']')
	body := []byte{'{'}
	rawjson.Object(x.env.body, func(name []byte, start, end int) error {
		switch string(name) {
		case "input", "previous_response_id":
		default:
			body = rawjson.AppendMemberRaw(body, string(name), string(x.env.body[start:end]))
		}
		return nil
	})
	body = append(rawjson.AppendRaw(body, "input", items), '}')
	env, refused := open(body, &x.call, "")
	if refused != nil {
		return refused
	}
	env.previous = x.env.previous
	x.env = env
	return nil
}

// unknownPrevious is the error for a response that nobody has, in OpenAI's words.
func unknownPrevious(id string) *translate.Error {
	return &translate.Error{Status: http.StatusBadRequest, Kind: translate.InvalidRequest, Code: "previous_response_not_found", Param: "previous_response_id",
		Message: "Previous response with id " + quote(id) + " is not kept here. Send the whole conversation."}
}

// serveKept answers with a kept response, or removes it:
// https://platform.openai.com/docs/api-reference/responses/get.
func (g *Gateway) serveKept(w http.ResponseWriter, r *http.Request, c call, keyID string) {
	var err error
	var body []byte
	if r.Method == http.MethodDelete {
		err = g.o.Store.Forget(r.Context(), owner(keyID), c.id)
		body = rawjson.AppendMember([]byte{'{'}, "id", c.id)
		body = append(body, `,"object":"response.deleted","deleted":true}`...)
	} else {
		body, err = g.o.Store.Kept(r.Context(), owner(keyID), c.id)
		if err == nil {
			kept := body
			found := rawjson.Object(kept, func(name []byte, start, end int) error {
				if string(name) == "response" {
					body = kept[start:end]
					return errFound
				}
				return nil
			})
			if !errors.Is(found, errFound) {
				err = errUnreadable
			}
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		g.refuse(w, c.format, &translate.Error{Status: http.StatusNotFound, Kind: translate.NotFound, Param: "id",
			Message: "Response with id " + quote(c.id) + " is not kept here."})
	case err != nil:
		g.refuse(w, c.format, internal())
	default:
		g.writeDocument(w, c.format, body)
	}
}

// errFound ends a scan that has what it was for.
var errFound = errors.New("found")

// errUnreadable is the error for a kept response that cannot be taken apart.
var errUnreadable = errors.New("the kept response cannot be read")
