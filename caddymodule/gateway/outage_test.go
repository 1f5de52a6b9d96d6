package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/translate"
)

// The classic outage: one client sends what no account takes, to all of them; that
// is its own fault, and another client's good requests all succeed meanwhile.
func TestBadRequestsOfOneClientCostNobodyElse(t *testing.T) {
	t.Parallel()
	bad := []string{
		`{"error":{"message":"Invalid value for 'temperature'","type":"invalid_request_error","param":"temperature","code":"invalid_value"}}`,
		`{"error":{"message":"No tool output found for tool call call-a.","type":"invalid_request_error","code":"invalid_request_error"}}`,
		`{"error":{"message":"Invalid schema for function 'f': quota is not of type 'object'","type":"invalid_request_error","code":"invalid_function_parameters"}}`,
		`{"error":{"message":"Your request was rejected by our safety system.","type":"invalid_request_error","code":"content_policy_violation"}}`,
		`{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}`,
		`{"error":{"message":"Invalid image: 'api key not valid, rate limit exceeded' is not base64","type":"invalid_request_error"}}`,
	}
	l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		if i := strings.Index(string(body), "bad-"); i >= 0 {
			return respond(400, "application/json", bad[body[i+4]-'0'])
		}
		return answers(id, r)
	}, func(o *gateway.Options) { o.Declared.Combos[0].Models = []string{"a/m"} }, "a3")
	request := func(f translate.Format, text string) string {
		b, err := clients[f].codec.AppendRequest(nil, &translate.Request{Format: f, Model: "all", MaxTokens: "9",
			Messages: []translate.Message{{Role: translate.RoleUser, Parts: []translate.Part{{Kind: translate.Text, Text: text}}}}}, nil)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	var all sync.WaitGroup
	for f, c := range clients {
		all.Go(func() {
			for i := range 60 {
				w := l.postIn(t.Context(), c.path("all", false), request(f, fmt.Sprintf("bad-%d", i%len(bad))))
				if w.Code != http.StatusBadRequest || w.Header().Get("X-Should-Retry") != "false" {
					t.Errorf("%s: %d %v %s", f, w.Code, w.Header(), w.Body)
				}
			}
		})
		all.Go(func() {
			for range 60 {
				if w := l.postIn(t.Context(), c.path("all", false), request(f, "good")); w.Code != http.StatusOK {
					t.Errorf("%s: a good request: %d %s", f, w.Code, w.Body)
				}
			}
		})
	}
	all.Wait()
	for _, r := range l.board.Reports() {
		if r.Aside != nil || r.Running != 0 {
			t.Errorf("%+v %+v", r.Subject, r.Aside)
		}
	}
}
