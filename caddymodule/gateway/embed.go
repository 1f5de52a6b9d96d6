package gateway

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"net/http"
	"strconv"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// An embedding is a request for the vectors of texts, as all formats have it: see
// https://platform.openai.com/docs/api-reference/embeddings,
// https://ai.google.dev/api/embeddings and https://docs.ollama.com/api/embed.
type embedding struct {
	texts      []string
	dimensions string
	// requests are Google's own, one a text, whose further members only Google
	// knows.
	requests []*fastjson.Value
	inBase64 bool // the client wants the vectors so
	losses   translate.Losses
}

// readEmbedding reads the client's request.
func (x *exchange) readEmbedding() (*embedding, *translate.Error) {
	v, err := fastjson.ParseBytes(x.env.body)
	if err != nil {
		return nil, translate.Invalid("", "The body is not valid JSON.")
	}
	e := &embedding{}
	if x.call.format == translate.Gemini {
		if e.requests = []*fastjson.Value{v}; !x.call.array {
			e.requests = v.GetArray("requests")
		}
		for i, r := range e.requests {
			text := ""
			parts := r.GetArray("content", "parts")
			for _, p := range parts {
				text += string(p.GetStringBytes("text"))
			}
			if text == "" {
				return nil, translate.Invalid("content", "The content %d has no text.", i)
			}
			e.texts = append(e.texts, text)
			if d := r.Get("outputDimensionality"); d != nil && d.Type() == fastjson.TypeNumber {
				e.dimensions = d.String()
			}
			for _, name := range [...]string{"taskType", "title"} {
				if r.Get(name) != nil {
					e.losses.Drop(name, "only Google's models are told what a vector is for")
				}
			}
		}
	} else {
		switch input := v.Get("input"); {
		case input != nil && input.Type() == fastjson.TypeString:
			e.texts = []string{string(input.GetStringBytes())}
		default:
			for _, t := range input.GetArray() {
				if t.Type() != fastjson.TypeString {
					return nil, translate.Invalid("input", "The provider of this model takes texts only, not lists of tokens.")
				}
				e.texts = append(e.texts, string(t.GetStringBytes()))
			}
		}
		if d := v.Get("dimensions"); d != nil && d.Type() == fastjson.TypeNumber {
			e.dimensions = d.String()
		}
		e.inBase64 = string(v.GetStringBytes("encoding_format")) == "base64"
	}
	if len(e.texts) == 0 {
		return nil, translate.Invalid("input", "The request has no text.")
	}
	return e, nil
}

// encodeEmbedding returns the body for the candidate.
func (a *attempt) encodeEmbedding() (provider.Body, *translate.Error) {
	x := a.x
	e, refused := x.readEmbedding()
	if refused != nil {
		return nil, refused
	}
	b := []byte{'{'}
	switch a.endpoint.Format {
	case translate.Gemini:
		b = append(b, `"requests":[`...)
		for i, text := range e.texts {
			b = rawjson.AppendMember(append(rawjson.AppendComma(b), '{'), "model", "models/"+a.Model)
			if e.requests != nil {
				e.requests[i].GetObject().Visit(func(name []byte, v *fastjson.Value) {
					if string(name) != "model" {
						b = rawjson.AppendValue(append(rawjson.AppendString(rawjson.AppendComma(b), name), ':'), v)
					}
				})
				b = append(b, '}')
				continue
			}
			b = append(rawjson.AppendString(append(b, `,"content":{"parts":[{"text":`...), text), "}]}"...)
			if e.dimensions != "" {
				b = rawjson.AppendRaw(b, "outputDimensionality", e.dimensions)
			}
			b = append(b, '}')
		}
		return provider.Body{append(b, "]}"...)}, nil
	case translate.OpenAI, translate.Responses:
		b = rawjson.AppendMember(b, "encoding_format", "float")
	}
	b = append(rawjson.AppendName(rawjson.AppendMember(b, "model", a.Model), "input"), '[')
	for _, text := range e.texts {
		b = rawjson.AppendString(rawjson.AppendComma(b), text)
	}
	b = append(b, ']')
	if e.dimensions != "" {
		b = rawjson.AppendRaw(b, "dimensions", e.dimensions)
	}
	if x.strict && len(e.losses) > 0 {
		return nil, lossy(e.losses)
	}
	a.losses = e.losses
	return provider.Body{append(b, '}')}, nil
}

// deliverEmbedding sends the vectors in the client's format.
func (a *attempt) deliverEmbedding() *failure {
	x, body := a.x, a.whole
	v, err := fastjson.ParseBytes(body)
	if err != nil {
		return broken("broken_answer", "The provider gave vectors that are not JSON.")
	}
	if v.Get("data") == nil && v.Get("embeddings") == nil && v.Get("embedding") == nil {
		if v.Get("error") == nil {
			return broken("broken_answer", "The provider gave no vectors.")
		}
		a.seen.failure = a.codec().DecodeError(http.StatusBadGateway, body)
		return a.failureInStream()
	}
	for _, path := range [][]string{{"usage", "prompt_tokens"}, {"prompt_eval_count"}, {"usageMetadata", "promptTokenCount"}} {
		if n := v.Get(path...); n != nil && n.Type() == fastjson.TypeNumber {
			x.rec.Input, x.rec.UsageReported = n.GetInt64(), true
		}
	}
	if !a.passing {
		var vectors [][]byte
		for _, e := range append(v.GetArray("data"), v.GetArray("embeddings")...) {
			for _, name := range [...]string{"embedding", "values"} {
				if inner := e.Get(name); inner != nil {
					e = inner
					break
				}
			}
			if e.Type() != fastjson.TypeArray || len(e.GetArray()) == 0 {
				return broken("broken_answer", "The provider gave a vector that is not a list of numbers.")
			}
			vectors = append(vectors, rawjson.AppendValue(nil, e))
		}
		e, refused := x.readEmbedding()
		if refused != nil || len(vectors) != len(e.texts) {
			return broken("broken_answer", "The provider gave another number of vectors than it was asked for.")
		}
		body = appendVectors(nil, vectors, x, e.inBase64)
	}
	a.wellAgain()
	a.price()
	return a.deliverDocument(body)
}

func appendVectors(b []byte, vectors [][]byte, x *exchange, inBase64 bool) []byte {
	if x.call.format == translate.Gemini {
		if x.call.array {
			return append(append(append(b, `{"embedding":{"values":`...), vectors[0]...), "}}"...)
		}
		b = append(b, `{"embeddings":[`...)
		for _, v := range vectors {
			b = append(append(append(rawjson.AppendComma(b), `{"values":`...), v...), '}')
		}
		return append(b, "]}"...)
	}
	b = append(b, `{"object":"list","data":[`...)
	for i, v := range vectors {
		b = append(rawjson.AppendComma(b), `{"object":"embedding","index":`...)
		b = append(strconv.AppendInt(b, int64(i), 10), `,"embedding":`...)
		if inBase64 {
			b = append(appendFloats(append(b, '"'), v), '"')
		} else {
			b = append(b, v...)
		}
		b = append(b, '}')
	}
	b = rawjson.AppendMember(append(b, ']'), "model", x.rec.Requested)
	b = append(b, `,"usage":{"prompt_tokens":`...)
	b = append(strconv.AppendInt(b, x.rec.Input, 10), `,"total_tokens":`...)
	return append(strconv.AppendInt(b, x.rec.Input, 10), "}}"...)
}

// appendFloats appends a vector as base64 of little-endian floats, which OpenAI's
// SDKs ask for.
func appendFloats(b, vector []byte) []byte {
	v, err := fastjson.ParseBytes(vector)
	if err != nil {
		return b
	}
	var floats []byte
	for _, n := range v.GetArray() {
		floats = binary.LittleEndian.AppendUint32(floats, math.Float32bits(float32(n.GetFloat64())))
	}
	return base64.StdEncoding.AppendEncode(b, floats)
}
