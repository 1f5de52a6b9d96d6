package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	chunks = 200 // of a stream
	pause  = 200 * time.Millisecond
)

// upstream answers as an OpenAI provider does: a document of 1 KB, or a stream.
// One that is to be slow gives a chunk now and then until its client leaves.
func upstream(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	ends := append(bytes.Clone(body[:min(len(body), 256)]), body[max(0, len(body)-256):]...)
	if !bytes.Contains(ends, []byte(`"stream":true`)) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(document)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	slow := bytes.Contains(ends, []byte(`"slow"`))
	for n := 0; n < chunks || slow; n++ {
		if _, err := w.Write(chunk); err != nil {
			return
		}
		rc.Flush()
		if slow {
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
		}
	}
	w.Write(last)
}

var (
	document = []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("All work. ", 75) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}}`)
	chunk = []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" and so on"},"logprobs":null,"finish_reason":null}]}` + "\n\n")
	last  = []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}}` + "\n\ndata: [DONE]\n\n")
)
