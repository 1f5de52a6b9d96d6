package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// do sends a request of any method.
func (r *rig) do(t *testing.T, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, r.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+clientKey)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

const otherKey = "nr-another-key-for-this-suite"

func withOtherKey(o *gateway.Options) {
	o.Declared.Keys = append(o.Declared.Keys, gateway.DeclaredKey{Name: "other", Secret: store.NewSecret(otherKey)})
}

// A response is kept for the key that made it, whoever answered it, and the next
// request may name it in place of what went before.
func TestResponsesAreKeptForTheirKey(t *testing.T) {
	t.Parallel()
	for _, to := range []translate.Format{translate.Anthropic, translate.Responses, translate.OpenAI} {
		for _, stream := range []string{"false", "true"} {
			t.Run(string(to)+" "+stream, func(t *testing.T) {
				t.Parallel()
				up := &scripted{format: to, stream: stream == "true"}
				r := start(t, withOtherKey, upstream{string(to), up.ServeHTTP})
				_, body := r.do(t, "POST", "/v1/responses", `{"model":"up1/m","input":"What is 40 plus 2?","stream":`+stream+`,"tools":[{"type":"function","name":"sum","parameters":{}}]}`)
				_, tail, _ := strings.Cut(body, `"id":"resp_`)
				id, _, _ := strings.Cut("resp_"+tail, `"`)
				status, kept := r.do(t, "GET", "/v1/responses/"+id, "")
				if status != 200 || !strings.Contains(kept, `"sum"`) || !strings.Contains(kept, `"completed"`) {
					t.Fatalf("%s is kept as %d %s\n%s", id, status, kept, body)
				}
				if status, text := r.do(t, "GET", "/v1/responses/"+id, "", "Authorization", "Bearer "+otherKey); status != 404 || !strings.Contains(text, `"error"`) {
					t.Errorf("another key sees it: %d %s", status, text)
				}
				call := "call_1"
				if to == translate.Anthropic {
					call = "toolu_1"
				}
				next := `{"model":"up1/m","previous_response_id":"` + id + `","input":[{"type":"function_call_output","call_id":"` + call + `","output":"42"}]}`
				status, text := r.do(t, "POST", "/v1/responses", strings.Replace(next, `"model"`, `"stream":`+stream+`,"model"`, 1))
				if status != 200 || !strings.Contains(text, "42.") || !strings.Contains(text, `"previous_response_id":"`+id) && to != translate.Responses {
					t.Errorf("%d %s", status, text)
				}
				status, text = r.do(t, "POST", "/v1/responses", next, "Authorization", "Bearer "+otherKey)
				if to != translate.Responses && (status != 400 || !strings.Contains(text, "previous_response_not_found")) {
					t.Errorf("another key goes on with it: %d %s", status, text)
				}
				if status, text := r.do(t, "DELETE", "/v1/responses/"+id, ""); status != 200 || !strings.Contains(text, `"deleted":true`) {
					t.Errorf("%d %s", status, text)
				}
				if status, _ := r.do(t, "GET", "/v1/responses/"+id, ""); status != 404 {
					t.Errorf("it is still there: %d", status)
				}
			})
		}
	}
}

func TestAResponseThatShallNotBeKeptIsNot(t *testing.T) {
	t.Parallel()
	up := &scripted{format: translate.Anthropic}
	r := start(t, nil, upstream{"anthropic", up.ServeHTTP})
	_, body := r.do(t, "POST", "/codex/responses", `{"model":"up1/m","store":false,"input":"x"}`)
	var v struct{ ID string }
	if json.Unmarshal([]byte(body), &v); v.ID == "" {
		t.Fatal(body)
	}
	if status, _ := r.do(t, "GET", "/v1/responses/"+v.ID, ""); status != 404 {
		t.Errorf("status %d", status)
	}
}

// Over a socket each message is a request and each event a message; the next
// request may name the last response although it is kept nowhere.
func TestResponsesOverASocket(t *testing.T) {
	t.Parallel()
	up := &scripted{format: translate.Anthropic, stream: true}
	r := start(t, nil, upstream{"anthropic", up.ServeHTTP})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	address := "ws" + strings.TrimPrefix(r.URL, "http") + "/v1/responses"
	if _, resp, err := websocket.Dial(ctx, address, nil); err == nil || resp.StatusCode != 401 {
		t.Fatalf("a socket without a key: %v", err)
	}
	conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + clientKey}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20)
	ask := func(body string) (last map[string]any, text string) {
		if err := conn.Write(ctx, websocket.MessageText, []byte(body)); err != nil {
			t.Fatal(err)
		}
		for {
			_, b, err := conn.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			last = nil
			if err := json.Unmarshal(b, &last); err != nil {
				t.Fatalf("%v: %s", err, b)
			}
			if d, ok := last["delta"].(string); ok && last["type"] == "response.output_text.delta" {
				text += d
			}
			switch last["type"] {
			case "response.completed", "error", "response.failed":
				return last, text
			}
		}
	}
	last, _ := ask(`{"type":"response.create","model":"up1/m","store":false,"input":[{"role":"user","content":"What is 40 plus 2?"}]}`)
	id, _ := last["response"].(map[string]any)["id"].(string)
	last, text := ask(`{"type":"response.create","model":"up1/m","store":false,"previous_response_id":"` + id + `","input":[{"type":"function_call_output","call_id":"toolu_1","output":"42"}]}`)
	if last["type"] != "response.completed" || text != "It is 42." {
		t.Errorf("%v, %q", last, text)
	}
	if last, _ := ask(`{"type":"response.create","model":"nobody/m","input":"x"}`); last["type"] != "error" {
		t.Errorf("%v", last)
	}
	if last, _ := ask(`not JSON`); last["type"] != "error" {
		t.Errorf("%v", last)
	}
	if n := len(r.exchanges(t)); n < 2 {
		t.Errorf("%d exchanges in the books", n)
	}
}

// A client that leaves a socket while it is waiting is noticed at once, as over HTTP.
func TestWhoLeavesASocketHasLeft(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*websocket.Conn){
		"with a word": func(c *websocket.Conn) { go c.Close(websocket.StatusNormalClosure, "bye") },
		"without":     func(c *websocket.Conn) { c.CloseNow() },
	} {
		asked := make(chan struct{})
		var once sync.Once
		r := start(t, nil, upstream{"openai", func(w http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body)
			once.Do(func() { close(asked) })
			<-req.Context().Done()
		}})
		conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.URL, "http")+"/v1/responses",
			&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + clientKey}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"response.create","model":"up1/m","input":"x"}`)); err != nil {
			t.Fatal(err)
		}
		<-asked
		left := time.Now()
		leave(conn)
		for ; len(r.exchanges(t)) == 0; time.Sleep(time.Millisecond) {
			if time.Since(left) > 10*time.Second {
				t.Fatalf("%s: nobody noticed", name)
			}
		}
		if e := r.exchanges(t)[0]; e.Outcome != "cancelled" {
			t.Errorf("%s: %s %s", name, e.Outcome, e.Reason)
		}
	}
}

// Where sockets are off, and for a plain GET, clients are told to use HTTP.
func TestNoSocket(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *gateway.Options) { o.NoSockets = true })
	for _, header := range [][]string{{}, {"Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}} {
		if status, body := r.do(t, "GET", "/v1/responses", "", header...); status != http.StatusUpgradeRequired || !strings.Contains(body, `"error"`) {
			t.Errorf("%v: %d %s", header, status, body)
		}
	}
}

func TestGeminiPaths(t *testing.T) {
	t.Parallel()
	up := &scripted{format: translate.OpenAI, stream: true}
	r := start(t, nil, upstream{"openai", up.ServeHTTP})
	const body = `{"contents":[{"role":"user","parts":[{"text":"x"}]}]}`
	for _, version := range []string{"v1beta", "v1"} {
		status, text := r.do(t, "POST", "/"+version+"/models/up1/m:streamGenerateContent", body)
		var list []map[string]any
		if err := json.Unmarshal([]byte(text), &list); err != nil || status != 200 || len(list) < 2 {
			t.Errorf("%s: %d %v %s", version, status, err, text)
		}
		status, text = r.do(t, "POST", "/"+version+"/models/up1/m:streamGenerateContent?alt=sse", body)
		if status != 200 || !strings.HasPrefix(text, "data: {") || strings.Contains(text, "[DONE]") {
			t.Errorf("%s: %d %s", version, status, text)
		}
		status, text = r.do(t, "POST", "/"+version+"/models/up1/m:countTokens", body)
		if status != 200 || !strings.Contains(text, `"totalTokens":`) {
			t.Errorf("%s: %d %s", version, status, text)
		}
		status, text = r.do(t, "POST", "/"+version+"/models/nobody:generateContent", body)
		if status != 404 || !strings.Contains(text, `"status":"NOT_FOUND"`) || !strings.Contains(text, `"code":404`) {
			t.Errorf("%s: %d %s", version, status, text)
		}
	}
	if status, text := r.do(t, "POST", "/v1beta/up1/m:generateContent", body); status != 200 {
		t.Errorf("without models/: %d %s", status, text)
	}
	status, text := r.do(t, "GET", "/v1beta/models", "")
	if status != 200 || !strings.Contains(text, `"name":"models/`) || !strings.Contains(text, "supportedGenerationMethods") {
		t.Errorf("%d %s", status, text)
	}
	status, text = r.do(t, "GET", "/v1/models", "", "X-Goog-Api-Client", "google-genai-sdk/1.0")
	if status != 200 || !strings.Contains(text, `"name":"models/`) {
		t.Errorf("%d %s", status, text)
	}
}

func TestOllamaPaths(t *testing.T) {
	t.Parallel()
	up := &scripted{format: translate.Anthropic}
	r := start(t, nil, upstream{"anthropic", up.ServeHTTP})
	for path, want := range map[string]string{"/api/tags": `"models":[`, "/api/version": `"version":"`} {
		if status, text := r.do(t, "GET", path, ""); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if status, text := r.do(t, "POST", "/api/show", `{"model":"demo/echo"}`); status != 200 || !strings.Contains(text, `"capabilities"`) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := r.do(t, "POST", "/api/show", `{"model":"nobody"}`); status != 404 || !strings.HasPrefix(text, `{"error":"`) {
		t.Errorf("%d %s", status, text)
	}
	// A body streams unless it says otherwise.
	status, text := r.do(t, "POST", "/api/generate", `{"model":"up1/m","prompt":"x"}`)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if status != 200 || len(lines) < 2 || !strings.Contains(lines[0], `"response":`) || !strings.Contains(lines[len(lines)-1], `"done":true`) {
		t.Errorf("%d %s", status, text)
	}
	status, text = r.do(t, "POST", "/api/generate", `{"model":"up1/m","prompt":"x","stream":false}`)
	if status != 200 || !strings.Contains(text, `"response":`) || strings.Count(text, "\n") > 1 {
		t.Errorf("%d %s", status, text)
	}
}

// A strict client has an error rather than an answer to less than it asked.
func TestStrict(t *testing.T) {
	t.Parallel()
	up := &scripted{format: translate.Anthropic}
	r := start(t, func(o *gateway.Options) {
		withOtherKey(o)
		o.Strict = gateway.Strict{Keys: []string{"other"}, Models: []string{"exact"}}
		o.Declared.Aliases = []store.Alias{{Name: "exact", Model: "up1/m"}}
	}, upstream{"anthropic", up.ServeHTTP})
	const body = `{"model":"up1/m","max_tokens":5,"seed":7,"messages":[{"role":"user","content":"x"}]}`
	resp, text := r.send(t, "/v1/chat/completions", strings.Replace(body, `"seed"`, `"o,d\r\nd":1,"seed"`, 1))
	if lost := resp.Header.Get("X-Nine-Router-Losses"); resp.StatusCode != 200 || lost != "seed, o_d__d" {
		t.Errorf("%d %q %s", resp.StatusCode, lost, text)
	}
	if resp, _ := r.send(t, "/v1/messages", strings.Replace(body, `"seed":7,`, "", 1)); resp.Header["X-Nine-Router-Losses"] != nil {
		t.Errorf("a body that passed lost %q", resp.Header["X-Nine-Router-Losses"])
	}
	var status int
	status, text = r.do(t, "POST", "/v1/chat/completions", body, "X-Nine-Router-Strict", "true")
	if status != 400 || !strings.Contains(text, `"lossy_translation"`) || !strings.Contains(text, `"param":"seed"`) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := r.do(t, "POST", "/v1/chat/completions", body, "Authorization", "Bearer "+otherKey); status != 400 {
		t.Errorf("a strict key: %d %s", status, text)
	}
	if status, text := r.do(t, "POST", "/v1/chat/completions", strings.Replace(body, "up1/m", "exact", 1)); status != 400 {
		t.Errorf("a strict model: %d %s", status, text)
	}
	status, text = r.do(t, "POST", "/v1/chat/completions", strings.Replace(body, `"seed":7,`, "", 1), "X-Nine-Router-Strict", "true")
	if status != 200 {
		t.Errorf("%d %s", status, text)
	}
}

// What goes on with a thread that is kept nowhere here gets the error on which
// Anthropic's SDK sends the whole of it.
func TestAThreadIsToBeReplayed(t *testing.T) {
	t.Parallel()
	up := &scripted{format: translate.OpenAI}
	r := start(t, nil, upstream{"openai", up.ServeHTTP})
	status, text := r.do(t, "POST", "/v1/messages", `{"model":"up1/m","max_tokens":5,"thread":{"type":"continue","previous_message_id":"msg_1"},"messages":[{"role":"user","content":"x"}]}`)
	if status != 404 || !strings.Contains(text, `"error_code":"thread_not_found"`) {
		t.Errorf("%d %s", status, text)
	}
	status, text = r.do(t, "POST", "/v1/messages", `{"model":"up1/m","max_tokens":5,"thread":{"type":"create"},"messages":[{"role":"user","content":"x"}]}`)
	if status != 200 {
		t.Errorf("%d %s", status, text)
	}
}

// A count is asked of a provider that can count, and else estimated, and says so.
func TestCountingTokens(t *testing.T) {
	t.Parallel()
	var asked []string
	counts := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			b, _ := io.ReadAll(req.Body)
			asked = append(asked, req.URL.Path+" "+string(b))
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, answer)
		}
	}
	r := start(t, nil, upstream{"gemini", counts(`{"totalTokens":31}`)}, upstream{"anthropic", counts(`{"input_tokens":17}`)}, upstream{"openai", counts(`{}`)})
	const messages = `"messages":[{"role":"user","content":"How many tokens are in this?"}]}`
	for model, want := range map[string]string{"up1/m": `{"input_tokens":31}`, "up2/m": `{"input_tokens":17}`} {
		if status, text := r.do(t, "POST", "/v1/messages/count_tokens", `{"model":"`+model+`",`+messages); status != 200 || text != want {
			t.Errorf("%s: %d %s", model, status, text)
		}
	}
	if !strings.Contains(strings.Join(asked, "\n"), `/models/m:countTokens {"generateContentRequest":{"model":"models/m","contents":[`) {
		t.Errorf("asked %q", asked)
	}
	resp, text := r.send(t, "/v1/messages/count_tokens", `{"model":"up3/m",`+messages)
	if n := resp.Header.Get("X-Nine-Router-Estimate"); resp.StatusCode != 200 || n == "" || !strings.HasPrefix(text, `{"input_tokens":`) || text == `{"input_tokens":0}` {
		t.Errorf("%d %q %s", resp.StatusCode, n, text)
	}
	status, text := r.do(t, "POST", "/v1/responses/input_tokens", `{"model":"up2/m","input":"How many?"}`)
	if status != 200 || !strings.Contains(text, `"input_tokens":17`) || !strings.Contains(text, `"object":"response.input_tokens"`) {
		t.Errorf("%d %s", status, text)
	}
}

// A conversation may change its provider at any turn. None is shown another's
// signature, and each has its own back when it returns.
func TestAConversationMayChangeItsProvider(t *testing.T) {
	t.Parallel()
	for from := range clients {
		t.Run(string(from), func(t *testing.T) {
			t.Parallel()
			first, second := &scripted{format: translate.Anthropic}, &scripted{format: translate.Gemini}
			r := start(t, nil, upstream{"anthropic", first.ServeHTTP}, upstream{"gemini", second.ServeHTTP})
			a := r.turn(t, from, "up1/m", false, nil)
			if got := texts(r.turn(t, from, "up2/m", false, a), translate.Text); got != "It is 42." {
				t.Errorf("got %q", got)
			}
			for _, m := range second.requests[0].Messages {
				for _, p := range m.Parts {
					if p.Signature != "" && p.SignedBy != translate.Gemini || strings.Contains(p.Signature, "c2lnLWFudGhyb3BpYw") {
						t.Errorf("a foreign signature went out: %+v", p)
					}
				}
			}
			r.turn(t, from, "up1/m", false, a)
			first.check(t, scripts[translate.Anthropic].signature)
		})
	}
}

// Vectors come from any provider that makes them, in the client's format.
func TestEmbeddings(t *testing.T) {
	t.Parallel()
	answers := func(body string, asked *string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			b, _ := io.ReadAll(req.Body)
			*asked = req.URL.Path + " " + string(b)
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, body)
		}
	}
	var asked [3]string
	r := start(t, nil,
		upstream{"openai", answers(`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1]},{"object":"embedding","index":1,"embedding":[2,-1]}],"usage":{"prompt_tokens":4,"total_tokens":4}}`, &asked[0])},
		upstream{"gemini", answers(`{"embeddings":[{"values":[0.5,1]},{"values":[2,-1]}]}`, &asked[1])},
		upstream{"ollama", answers(`{"embeddings":[[0.5,1],[2,-1]],"prompt_eval_count":4}`, &asked[2])})
	const batch = `{"requests":[{"model":"models/x","content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING"},{"model":"models/x","content":{"parts":[{"text":"b"}]},"taskType":"CLUSTERING"}]}`
	for _, model := range []string{"up1/e", "up2/e", "up3/e"} {
		if status, text := r.do(t, "POST", "/v1beta/models/"+model+":batchEmbedContents", batch); status != 200 || text != `{"embeddings":[{"values":[0.5,1]},{"values":[2,-1]}]}` {
			t.Errorf("%s: %d %s", model, status, text)
		}
		status, text := r.do(t, "POST", "/v1/embeddings", `{"model":"`+model+`","input":["a","b"]}`)
		if status != 200 || !strings.Contains(text, `"embedding":[0.5,1]`) || !strings.Contains(text, `"index":1`) {
			t.Errorf("%s: %d %s", model, status, text)
		}
	}
	if status, text := r.do(t, "POST", "/v1/embeddings", `{"model":"up2/e","input":["a","b"],"encoding_format":"base64"}`); status != 200 || !strings.Contains(text, `"embedding":"AAAAPwAAgD8="`) {
		t.Errorf("%d %s", status, text)
	}
	r.do(t, "POST", "/v1beta/models/up2/e:batchEmbedContents", batch)
	if want := `/v1/models/e:batchEmbedContents {"requests":[{"model":"models/e","content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING"}`; !strings.HasPrefix(asked[1], want) {
		t.Errorf("asked %s", asked[1])
	}
	if status, text := r.do(t, "POST", "/v1beta/models/up1/e:batchEmbedContents", batch, "X-Nine-Router-Strict", "1"); status != 400 || !strings.Contains(text, "taskType") {
		t.Errorf("%d %s", status, text)
	}
	// One text gets one vector, and a provider that gives two is not believed.
	if status, text := r.do(t, "POST", "/v1beta/models/up1/e:embedContent", `{"content":{"parts":[{"text":"a"}]}}`); status != 502 {
		t.Errorf("%d %s", status, text)
	}
}

// Whatever a provider sends in place of an answer, the client has an error in its
// own format, and soon.
func TestBadProviders(t *testing.T) {
	t.Parallel()
	faults := map[string]struct{ kind, encoding, body string }{
		"cut JSON":          {"application/json", "", `{"id":"x","choices":[{"index":0,"message":{"content":"hal`},
		"wrong types":       {"application/json", "", `{"choices":"none","content":7,"candidates":{},"output":1,"message":[]}`},
		"HTML":              {"text/html", "", "<html><body>maintenance</body></html>"},
		"nothing":           {"application/json", "", ""},
		"a list":            {"application/json", "", "[1,2]"},
		"unknown encoding":  {"application/json", "br", "\x0b\x02\x80"},
		"no gzip":           {"application/json", "gzip", `{"choices":[]}`},
		"HTML as a stream":  {"text/event-stream", "", "<html>\n<body>maintenance</body></html>\n\n"},
		"empty stream":      {"text/event-stream", "", ""},
		"not JSON":          {"text/event-stream", "", "data: {\"choices\":[\n\ndata: nonsense\n\n"},
		"out of order":      {"text/event-stream", "", "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":4,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"},
		"an error in it":    {"text/event-stream", "", "data: {\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\",\"code\":500}}\n\n"},
		"one endless event": {"text/event-stream", "", "data: {\"x\":\"" + strings.Repeat("x", 1<<20)},
	}
	for format := range scripts {
		for name, fault := range faults {
			t.Run(string(format)+"/"+name, func(t *testing.T) {
				t.Parallel()
				bounded := func(o *gateway.Options) { o.Limits.Event, o.Limits.Answer = 1<<18, 1<<18 }
				r := start(t, bounded, upstream{string(format), func(w http.ResponseWriter, req *http.Request) {
					w.Header().Set("Content-Type", fault.kind)
					if fault.encoding != "" {
						w.Header().Set("Content-Encoding", fault.encoding)
					}
					io.WriteString(w, fault.body)
				}})
				for from, c := range clients {
					for _, stream := range []bool{false, true} {
						body, err := c.codec.AppendRequest(nil, history(from, "up1/m", stream, nil), nil)
						if err != nil {
							t.Fatal(err)
						}
						resp, text := r.send(t, c.path("up1/m", stream), string(body))
						if resp.StatusCode == http.StatusOK && stream { // it had to be kept on the line
							var got translate.Collector
							d := c.codec.NewDecoder(&got, translate.DecodeOptions{Stream: true})
							if d.Write([]byte(text)); got.Answer.Err != nil {
								continue
							}
						}
						if resp.StatusCode < 400 || len(text) > 4<<10 {
							t.Errorf("%s stream=%v: %d %.300s", from, stream, resp.StatusCode, text)
							continue
						}
						if e := c.codec.DecodeError(resp.StatusCode, []byte(text)); e.Message == "" || strings.Contains(e.Message, "no explanation") {
							t.Errorf("%s stream=%v: %d %.300s", from, stream, resp.StatusCode, text)
						}
					}
				}
			})
		}
	}
}

// A conversation is compacted by the provider, or by a summary of its model, which
// then stands in the conversation in place of what it sums up.
func TestCompaction(t *testing.T) {
	t.Parallel()
	for _, format := range []translate.Format{translate.Anthropic, translate.OpenAI, translate.Gemini} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			var asked []string
			up := func(w http.ResponseWriter, req *http.Request) {
				b, _ := io.ReadAll(req.Body)
				asked = append(asked, string(b))
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, scripts[format].done)
			}
			r := start(t, nil, upstream{string(format), up})
			status, text := r.do(t, "POST", "/v1/responses/compact", `{"model":"up1/m","input":[{"role":"user","content":"What is 40 plus 2?"}],"tools":[{"type":"function","name":"f","parameters":{}}]}`)
			var v struct {
				Object string
				Output []json.RawMessage
			}
			if json.Unmarshal([]byte(text), &v); status != 200 || v.Object != "response.compaction" || len(v.Output) != 1 || strings.Contains(text, "is 42") {
				t.Fatalf("%d %s", status, text)
			}
			if !strings.Contains(asked[0], "What is 40 plus 2?") || !strings.Contains(asked[0], "summary") || strings.Contains(asked[0], `"tools"`) {
				t.Errorf("asked %s", asked[0])
			}
			status, text = r.do(t, "POST", "/v1/responses", `{"model":"up1/m","input":[`+string(v.Output[0])+`,{"role":"user","content":"Go on."}]}`)
			if status != 200 || !strings.Contains(asked[1], "It is 42.") || strings.Contains(asked[1], "compaction:") {
				t.Errorf("%d %s\nasked %s", status, text, asked[1])
			}
		})
	}
	const own = `{"id":"resp_9","object":"response.compaction","output":[{"type":"compaction","encrypted_content":"theirs"}]}`
	r := start(t, nil, upstream{"responses", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if req.URL.Path == "/v1/responses/compact" {
			io.WriteString(w, own)
		}
	}})
	if status, text := r.do(t, "POST", "/v1/responses/compact", `{"model":"up1/m","input":"x"}`); status != 200 || text != own {
		t.Errorf("%d %s", status, text)
	}
}
