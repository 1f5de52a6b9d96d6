package ollama

import (
	"strconv"
	"time"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// NewEncoder implements [translate.Codec]. A request that came to /api/generate
// is answered in the form of that path.
func (Codec) NewEncoder(o translate.EncodeOptions) translate.Encoder {
	s := shape{generate: IsGenerate(o.Request)}
	if o.Stream {
		return &streamEncoder{o: o, shape: s}
	}
	return &answer.DocumentEncoder{AppendError: Codec{}.AppendError, Write: func(b []byte, a *translate.Answer, losses *translate.Losses) []byte {
		w := documentWriter{o: &o, shape: s, b: b, losses: losses}
		w.write(a)
		return w.b
	}}
}

// A shape is how the two paths differ: the one has a message, the other has its
// members in the answer itself.
type shape struct{ generate bool }

// open begins what was said, up to the value of the text.
func (s shape) open(b []byte) []byte {
	if s.generate {
		return append(b, `"response":`...)
	}
	return append(b, `"message":{"role":"assistant","content":`...)
}

// close ends it.
func (s shape) close(b []byte) []byte {
	if s.generate {
		return b
	}
	return append(b, '}')
}

// appendHead appends what every line begins with.
func appendHead(b []byte, model string, created int64, o *translate.EncodeOptions) []byte {
	if model == "" {
		model = o.Model
	}
	if created == 0 {
		created = o.Created
	}
	b = rawjson.AppendMember(append(b, '{'), "model", model)
	b = append(rawjson.AppendName(b, "created_at"), '"')
	b = time.Unix(created, 0).UTC().AppendFormat(b, time.RFC3339)
	return append(b, `",`...)
}

// appendEnd appends what the end of an answer tells. Times are the provider's to
// know; clients divide by them, so they are there.
func appendEnd(b []byte, reason string, u *translate.Usage, losses *translate.Losses) []byte {
	if u.CacheRead > 0 || u.CacheWrite > 0 || u.Reasoning > 0 {
		losses.Drop("usage", "Ollama counts tokens without telling which were cached or reasoning")
	}
	b = append(b, `,"done":true,"done_reason":"`...)
	b = append(b, reason...)
	b = append(b, `","total_duration":0,"load_duration":0,"prompt_eval_count":`...)
	b = strconv.AppendInt(b, u.Input, 10)
	b = append(b, `,"prompt_eval_duration":0,"eval_count":`...)
	b = strconv.AppendInt(b, u.Billed(), 10)
	return append(b, `,"eval_duration":0}`...)
}

// doneReason returns Ollama's word for why an answer ended. There are few.
func doneReason(s translate.StopReason, native string, losses *translate.Losses) string {
	switch s {
	case translate.StopLength, translate.StopContext:
		return "length"
	case translate.StopFiltered, translate.StopRefused:
		losses.Approximate("stop_reason", "an answer that was filtered or refused became a stop")
	case translate.StopPause:
		losses.Approximate("stop_reason", "a paused turn became a stop")
	case translate.StopError:
		losses.Approximate("stop_reason", "a failure became a stop")
	case translate.StopUnknown:
		if native == "load" || native == "unload" {
			return native
		}
	}
	return "stop"
}

// appendCall appends a call. Where the provider gave no id the client gets one
// that is unique in its conversation.
func appendCall(b []byte, id, name string, arguments []byte, custom bool, n int, o *translate.EncodeOptions, losses *translate.Losses) []byte {
	b = append(rawjson.AppendComma(b), `{"id":`...)
	if id != "" {
		b = rawjson.AppendString(b, id)
	} else {
		b = rawjson.AppendEscaped(append(b, `"call_`...), o.ID)
		b = append(strconv.AppendInt(append(b, '_'), int64(n), 10), '"')
	}
	b = append(b, `,"function":{"index":`...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = rawjson.AppendMember(b, "name", name)
	b, exact := answer.AppendArguments(rawjson.AppendName(b, "arguments"), arguments, custom)
	if !exact {
		losses.Approximate("tool_calls", "arguments that are not a JSON object were wrapped in one")
	}
	return append(b, "}}"...)
}
