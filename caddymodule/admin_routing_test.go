package caddymodule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// admin calls Caddy's admin API as far as it is ours.
func admin(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	info, err := caddy.GetModule("admin.api.nine_router")
	if err != nil {
		t.Fatal(err)
	}
	route := info.New().(caddy.AdminRouter).Routes()[0]
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "http://localhost:2019/nine_router/"+path, strings.NewReader(body))
	if err := route.Handler.ServeHTTP(w, r); err != nil {
		var api caddy.APIError
		if !errors.As(err, &api) {
			t.Fatal(err)
		}
		return api.HTTPStatus, api.Err.Error()
	}
	return w.Code, w.Body.String()
}

// What an operator can see and do when an account has failed: the trace of an
// exchange, who is set aside, and an end to it.
func TestAnOperatorUnderstandsAndSteers(t *testing.T) {
	var ill atomic.Bool
	ill.Store(true)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if ill.Load() && r.Header.Get("Authorization") == "Bearer first-credential" {
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, `{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","code":"insufficient_quota"}}`)
			return
		}
		io.WriteString(w, `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}`)
	}))
	t.Cleanup(up.Close)
	s := run(t, fmt.Sprintf(`	nine_router {
		key test %s
		provider up {
			base_url %s/v1
			model m {
				price 1 2
			}
			connection first {
				api_key first-credential
			}
			connection second {
				api_key second-credential
				priority 1
			}
		}
		combo best up/m
	}`, key, up.URL), "nine_router")
	ask := func() string {
		req, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1:"+s.port+"/v1/chat/completions", strings.NewReader(`{"model":"best","messages":[{"role":"user","content":"a secret of mine"}]}`))
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		return resp.Header.Get("X-Request-Id")
	}
	id := ask()
	var got struct {
		Exchange struct {
			Attempts int
			Cost     int64 `json:"cost_nano_usd"`
		}
		Trace struct {
			Resolved string
			Attempts []struct{ Connection, Scope, Reason string }
		}
	}
	status, text := admin(t, http.MethodGet, "exchanges/"+id, "")
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
		t.Fatal(status, text)
	}
	a := got.Trace.Attempts
	if got.Exchange.Attempts != 2 || got.Exchange.Cost != 11*1000+7*2000 || got.Trace.Resolved != "best" || len(a) != 2 ||
		a[0].Connection != "declared:up/first" || a[0].Scope != "connection" || a[0].Reason != "quota_spent" || a[1].Reason != "" {
		t.Errorf("the trace: %s", text)
	}
	for _, secret := range []string{"credential", "a secret of mine"} {
		if strings.Contains(text, secret) {
			t.Errorf("the trace shows %q: %s", secret, text)
		}
	}
	expect := func(method, path, body string, wantStatus int, wants ...string) {
		t.Helper()
		status, text := admin(t, method, path, body)
		for _, want := range wants {
			if status != wantStatus || !strings.Contains(text, want) {
				t.Errorf("%s %s: %d %s, want %d %q", method, path, status, text, wantStatus, want)
			}
		}
	}
	expect(http.MethodGet, "exchanges?limit=1&key=test", "", 200, id)
	expect(http.MethodGet, "exchanges?failed=true", "", 200, "[]")
	expect(http.MethodGet, "exchanges?limit=many", "", 400, "limit")
	expect(http.MethodGet, "exchanges/nrx_nothing", "", 404, "no such record")
	expect(http.MethodGet, "state", "", 200, `"quota_spent"`, `"name":"first"`)
	expect(http.MethodGet, "resolve/best", "", 200, `"strategy":"priority"`, `"reason":"quota_spent"`)
	expect(http.MethodGet, "resolve/bets", "", 404, "“best”")
	expect(http.MethodDelete, "state/nobody", "", 404, "no such record")
	expect(http.MethodDelete, "state/up/third", "", 404, "no such record")

	// Cleared by hand, it is asked again at once; it is still ill.
	expect(http.MethodDelete, "state/up/first", "", 200, "declared:up/first")
	ask()
	expect(http.MethodGet, "state", "", 200, `"quota_spent"`)
	// A reading of its quota shows that it is well.
	expect(http.MethodPut, "quota/up/first", `{"left":2}`, 400, "from 0 to 1")
	expect(http.MethodPut, "quota/up", `{"left":0.5}`, 400, "provider/connection")
	expect(http.MethodPut, "quota/up/first", `{"left":0.5}`, 200, "declared:up/first")
	ill.Store(false)
	id = ask()
	expect(http.MethodGet, "exchanges/"+id, "", 200, `"connection":"declared:up/first"`)
	expect(http.MethodDelete, "state/", "", 200, "[]")
}
