package gateway

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// listable bounds how long a list waits for providers that have to be asked first.
const listable = 2 * time.Second

// serveModels answers with the list of models, or one of them, in the shape of
// whoever asks: https://platform.openai.com/docs/api-reference/models,
// https://platform.claude.com/docs/en/api/models-list,
// https://ai.google.dev/api/models and https://docs.ollama.com/api/tags.
func (g *Gateway) serveModels(w http.ResponseWriter, r *http.Request, k *key, c call) {
	ctx, cancel := context.WithTimeout(r.Context(), listable)
	defer cancel()
	g.Discover(ctx)
	s := g.snap.Load()
	if c.model != "" {
		m, ok := s.model(c.model)
		if !ok || !k.lists(m) {
			g.refuse(w, c.format, s.unknownModel(c.model, k))
			return
		}
		g.writeDocument(w, c.format, appendModel(nil, m, c.format))
		return
	}
	b := []byte(`{"object":"list","data":`)
	switch c.format {
	case translate.Anthropic:
		b = append(b[:0], `{"data":`...)
	case translate.Gemini, translate.Ollama:
		b = append(b[:0], `{"models":`...)
	}
	b = append(b, '[')
	models := s.models
	if k.limits != nil && len(k.limits.Models) > 0 {
		models = slices.DeleteFunc(slices.Clone(models), func(m Model) bool { return !k.lists(m) })
	}
	for _, m := range models {
		b = appendModel(rawjson.AppendComma(b), m, c.format)
	}
	b = append(b, ']')
	if c.format == translate.Anthropic {
		b = append(b, `,"has_more":false,"first_id":`...)
		b = appendEnd(b, models, 0)
		b = append(b, `,"last_id":`...)
		b = appendEnd(b, models, len(models)-1)
	}
	g.writeDocument(w, c.format, append(b, '}'))
}

func (g *Gateway) writeDocument(w http.ResponseWriter, f translate.Format, b []byte) {
	h := w.Header()
	h["Content-Type"] = jsonType
	setID(h, f, store.NewID("nrx"))
	w.Write(b)
}

// model finds one model: a listed one, or any that a provider without a list of
// models would be asked for.
func (s *snapshot) model(id string) (Model, bool) {
	id = strings.TrimPrefix(id, "models/")
	for _, m := range s.models {
		if m.ID == id {
			return m, true
		}
	}
	m := s.resolve(id)
	if m == nil {
		return Model{}, false
	}
	found := Model{ID: id, Owner: m.kind, Note: m.note}
	m.plan.Targets(func(l *schedule.Plan) bool {
		p := s.byName[l.Target.Provider.Name]
		if known := p.known(); found.Owner == "" && (len(known) == 0 || slices.Contains(known, l.Target.Model)) {
			found.Owner = p.Name
		}
		return found.Owner == ""
	})
	return found, found.Owner != ""
}

// appendModel appends one entry. Nobody told us when a model was made, so the
// time is the epoch.
func appendModel(b []byte, m Model, f translate.Format) []byte {
	b = append(b, '{')
	switch f {
	case translate.Anthropic:
		b = rawjson.AppendMember(b, "type", "model")
		b = rawjson.AppendMember(b, "id", m.ID)
		b = rawjson.AppendMember(b, "display_name", m.ID)
		b = rawjson.AppendMember(b, "created_at", "1970-01-01T00:00:00Z")
	case translate.Gemini:
		b = rawjson.AppendMember(b, "name", "models/"+m.ID)
		b = rawjson.AppendMember(b, "baseModelId", m.ID)
		b = rawjson.AppendMember(b, "version", "")
		b = rawjson.AppendMember(b, "displayName", m.ID)
		b = rawjson.AppendRaw(b, "supportedGenerationMethods", `["generateContent","countTokens"]`)
	case translate.Ollama:
		b = rawjson.AppendMember(b, "name", m.ID)
		b = rawjson.AppendMember(b, "model", m.ID)
		b = rawjson.AppendMember(b, "modified_at", "1970-01-01T00:00:00Z")
		b = rawjson.AppendRaw(b, "size", "0")
		b = rawjson.AppendMember(b, "digest", "")
		b = rawjson.AppendRaw(b, "details", ollamaDetails)
	default:
		b = rawjson.AppendMember(b, "id", m.ID)
		b = rawjson.AppendMember(b, "object", "model")
		b = rawjson.AppendRaw(b, "created", "0")
		b = rawjson.AppendMember(b, "owned_by", m.Owner)
	}
	return append(b, '}')
}

// ollamaDetails are the members that Ollama's clients read of every model; of one
// that runs elsewhere there is nothing to tell.
const ollamaDetails = `{"parent_model":"","format":"","family":"","families":[],"parameter_size":"","quantization_level":""}`

func appendEnd(b []byte, models []Model, i int) []byte {
	if i < 0 || i >= len(models) {
		return append(b, "null"...)
	}
	return rawjson.AppendString(b, models[i].ID)
}

// serveShow answers what a model can do, see https://docs.ollama.com/api/show.
// What is not known is left to be tried.
func (g *Gateway) serveShow(w http.ResponseWriter, r *http.Request, s *snapshot, k *key, c call) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	v, bad := fastjson.ParseBytes(body)
	if err != nil || bad != nil {
		g.refuse(w, c.format, translate.Invalid("", "The body is not valid JSON."))
		return
	}
	name := string(v.GetStringBytes("model"))
	if name == "" {
		name = string(v.GetStringBytes("name"))
	}
	m, ok := s.model(name)
	if !ok || !k.lists(m) {
		g.refuse(w, c.format, s.unknownModel(name, k))
		return
	}
	b := rawjson.AppendRaw([]byte{'{'}, "details", ollamaDetails)
	b = rawjson.AppendMember(b, "modified_at", "1970-01-01T00:00:00Z")
	b = rawjson.AppendRaw(b, "capabilities", `["completion","tools","vision","thinking"]`)
	b = append(rawjson.AppendName(b, "model_info"), '{')
	b = append(rawjson.AppendMember(b, "general.basename", m.ID), "}}"...)
	g.writeDocument(w, c.format, b)
}

// ollamaVersion is the version of Ollama's API that is spoken here: clients ask
// for a least one.
const ollamaVersion = "0.12.0"

func (g *Gateway) serveVersion(w http.ResponseWriter) {
	g.writeDocument(w, translate.Ollama, []byte(`{"version":"`+ollamaVersion+`"}`))
}
