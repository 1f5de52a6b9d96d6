package gateway

import (
	"net/http"
	"slices"

	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// serveModels answers with the list of models, or one of them, in the shape of
// whoever asks: https://platform.openai.com/docs/api-reference/models and
// https://platform.claude.com/docs/en/api/models-list.
func (g *Gateway) serveModels(w http.ResponseWriter, s *snapshot, c call) {
	var b []byte
	switch {
	case c.model != "":
		m, ok := s.model(c.model)
		if !ok {
			g.refuse(w, c.format, unknownModel(c.model))
			return
		}
		b = appendModel(nil, m, c.format)
	case c.format == translate.Anthropic:
		b = append(b, `{"data":`...)
		b = appendModels(b, s.models, c.format)
		b = append(b, `,"has_more":false,"first_id":`...)
		b = appendEnd(b, s.models, 0)
		b = append(b, `,"last_id":`...)
		b = appendEnd(b, s.models, len(s.models)-1)
		b = append(b, '}')
	default:
		b = append(b, `{"object":"list","data":`...)
		b = appendModels(b, s.models, c.format)
		b = append(b, '}')
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	setID(h, c.format, store.NewID("nrx"))
	w.Write(b)
}

// model finds one model: a listed one, or any that a provider without a list of
// models would be asked for.
func (s *snapshot) model(id string) (Model, bool) {
	for _, m := range s.models {
		if m.ID == id {
			return m, true
		}
	}
	for _, t := range s.resolve(id) {
		if known := t.member.known(); len(known) == 0 || slices.Contains(known, t.model) {
			return Model{ID: id, Owner: t.member.Name}, true
		}
	}
	return Model{}, false
}

func appendModels(b []byte, models []Model, f translate.Format) []byte {
	b = append(b, '[')
	for i, m := range models {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendModel(b, m, f)
	}
	return append(b, ']')
}

// appendModel appends one entry. Nobody told us when a model was made, so the
// time is the epoch.
func appendModel(b []byte, m Model, f translate.Format) []byte {
	if f == translate.Anthropic {
		b = append(b, `{"type":"model","id":`...)
		b = rawjson.AppendString(b, m.ID)
		b = append(b, `,"display_name":`...)
		b = rawjson.AppendString(b, m.ID)
		return append(b, `,"created_at":"1970-01-01T00:00:00Z"}`...)
	}
	b = append(b, `{"id":`...)
	b = rawjson.AppendString(b, m.ID)
	b = append(b, `,"object":"model","created":0,"owned_by":`...)
	b = rawjson.AppendString(b, m.Owner)
	return append(b, '}')
}

func appendEnd(b []byte, models []Model, i int) []byte {
	if i < 0 || i >= len(models) {
		return append(b, "null"...)
	}
	return rawjson.AppendString(b, models[i].ID)
}
