package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// step is one call of the admin API, or with a model one request of a client.
type step struct {
	method, path, body string
	model              string // asked for with the client's key
	status             int
	want               string // in the answer
}

// play takes the steps one after the other. In a path and a body, KEY is the id of
// the client's key.
func play(t *testing.T, s *server, id, secret string, steps []step) {
	t.Helper()
	for _, step := range steps {
		what := fmt.Sprintf("%s %s %s", step.method, step.path, step.body)
		var status int
		var text string
		if step.model != "" {
			what = "asking for " + step.model
			body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Hello."}]}`, step.model)
			req, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:"+s.port+"/v1/chat/completions", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+secret)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			status, text = resp.StatusCode, string(b)
		} else {
			status, text = admin(t, step.method, strings.ReplaceAll(step.path, "KEY", id), step.body)
		}
		if status != step.status || !strings.Contains(text, step.want) {
			t.Errorf("%s: %d %s, want %d %q", what, status, text, step.status, step.want)
		}
	}
}

// newKey makes a key as an operator does.
func newKey(t *testing.T, body string) (id, secret string) {
	t.Helper()
	status, text := admin(t, http.MethodPost, "keys", body)
	var k struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(text), &k); err != nil || status != http.StatusOK || k.Secret == "" {
		t.Fatal(status, text)
	}
	return k.ID, k.Secret
}

// Names are made and taken away while the gateway runs, and what it could not live
// with is refused when it is saved: the gateway goes on.
func TestNamesAtRunTime(t *testing.T) {
	s := run(t, `	nine_router {
		provider demo
		combo declared demo/echo
		alias given demo/echo
	}`, "nine_router")
	id, secret := newKey(t, `{"name":"laptop"}`)
	play(t, s, id, secret, []step{
		{model: "fast", status: 404},
		{"PUT", "combos/fast", `{"models":["demo/echo"],"strategy":"weighted","weights":[2],"deadline":"30s"}`, "", 200, `"name":"fast"`},
		{model: "fast", status: 200, want: "assistant"},
		{"PUT", "aliases/team/fast", `{"model":"fast"}`, "", 200, `"name":"team/fast"`},
		{model: "team/fast", status: 200},
		{"GET", "combos", "", "", 200, `"declared":true`},
		{"GET", "aliases", "", "", 200, `"team/fast"`},

		{"PUT", "combos/fast", `{"models":["demo/echo","team/fast"]}`, "", 400, "team/fast → fast → team/fast"},
		{"PUT", "combos/self", `{"models":["self"]}`, "", 400, "means itself"},
		{"GET", "combos", "", "", 200, `"models":["demo/echo"],"strategy":"weighted"`},
		{model: "fast", status: 200},

		{"PUT", "combos/fast", `{"models":["demo/echo"],"strategy":"luck"}`, "", 400, "luck"},
		{"PUT", "combos/fast", `{"models":["demo/echo"],"weights":[1]}`, "", 400, "weighted"},
		{"PUT", "combos/fast", `{"models":["demo/echo"],"sticky":2}`, "", 400, "round_robin"},
		{"PUT", "combos/fast", `{"models":["demo/echo"],"deadline":"-1s"}`, "", 400, "deadline"},
		{"PUT", "combos/fast", `{"models":[]}`, "", 400, "at least one model"},
		{"PUT", "combos/fast", `{"model":"demo/echo"}`, "", 400, "not what this operation takes"},
		{"PUT", "combos/f*", `{"models":["demo/echo"]}`, "", 400, "a pattern"},
		{"PUT", "combos/", `{"models":["demo/echo"]}`, "", 400, "a name"},
		{"PUT", "aliases/a*b*", `{"model":"demo/echo"}`, "", 400, "one *"},
		{"PUT", "aliases/fast", `{"model":"demo/echo"}`, "", 409, "name is taken"},
		{"PUT", "aliases/empty", `{"model":""}`, "", 400, "needs a model"},
		{"PUT", "aliases/x-*", `{"model":"demo/*"}`, "", 200, "x-*"},
		{model: "x-echo", status: 200},

		{"PUT", "combos/declared", `{"models":["demo/echo"]}`, "", 409, "in the configuration"},
		{"PUT", "aliases/declared", `{"model":"demo/echo"}`, "", 409, "in the configuration"},
		{"DELETE", "combos/declared", "", "", 409, "in the configuration"},
		{"DELETE", "aliases/given", "", "", 409, "in the configuration"},
		{"DELETE", "connections/demo/keyless", "", "", 409, "in the configuration"},
		{"DELETE", "aliases/nobody", "", "", 404, "no such record"},
		{model: "declared", status: 200},

		{"PUT", "combos/later", `{"models":["demo/echo","nobody/model"]}`, "", 200, `"warnings":["nobody offers \"nobody/model\" now`},
		{model: "later", status: 200},
		{"DELETE", "combos/fast", "", "", 200, `the alias \"team/fast\" still stands for \"fast\"`},
		{model: "fast", status: 404},
		{"DELETE", "aliases/team/fast", "", "", 200, `"team/fast"`},
		{"DELETE", "aliases/team/fast", "", "", 404, "no such record"},
	})
}

// Changes that are right by themselves and wrong together are not all stored,
// however close they come: here each alias stands for the next, in a ring.
func TestChangesAtTheSameTimeAreCheckedTogether(t *testing.T) {
	run(t, "	nine_router {\n\t\tprovider demo\n\t}", "nine_router")
	const ring = 16
	name := func(i int) string { return fmt.Sprint("alias-", i%ring) }
	for range 10 {
		statuses, start := make(chan int, ring), make(chan struct{})
		for i := range ring {
			go func() {
				<-start
				status, _ := admin(t, http.MethodPut, "aliases/"+name(i), fmt.Sprintf(`{"model":%q}`, name(i+1)))
				statuses <- status
			}()
		}
		close(start)
		refused := 0
		for range ring {
			if <-statuses != http.StatusOK {
				refused++
			}
		}
		if refused != 1 {
			t.Fatalf("%d changes were refused, want the one that would close the ring", refused)
		}
		for i := range ring {
			admin(t, http.MethodDelete, "aliases/"+name(i), "") // all but one are there
		}
	}
}

// Limits are given with a key or later, and count from the next request on.
func TestLimitsAtRunTime(t *testing.T) {
	s := run(t, fmt.Sprintf(`	nine_router {
		provider demo
		key declared %s
	}`, key), "nine_router")
	id, secret := newKey(t, `{"name":"laptop"}`)
	play(t, s, id, secret, []step{
		{model: "demo/echo", status: 200},
		{model: "demo/echo", status: 200},
		{"PATCH", "keys/laptop", `{"requests_per_minute":1}`, "", 200, `"limits":{"requests_per_minute":1}`},
		{model: "demo/echo", status: 200},
		{model: "demo/echo", status: 429},
		{"GET", "keys/KEY", "", "", 200, `"limit":"requests_per_minute","allowed":1,"used":1,"remaining":0`},
		{"GET", "keys/laptop", "", "", 200, `"used":{"requests":4`}, // those that are refused are in the books
		{"PATCH", "keys/KEY", `{"models":["nothing"],"spend_day":"2.50"}`, "", 200, `"limits":{"models":["nothing"],"spend_day":"2.5"}`},
		{model: "demo/echo", status: 403, want: "model_not_allowed"},
		{"PATCH", "keys/KEY", `{"networks":["203.0.113.0/24"]}`, "", 200, `203.0.113.0/24`},
		{model: "demo/echo", status: 403},
		{"PATCH", "keys/KEY", `{"expires":"2020-01-01T00:00:00Z"}`, "", 200, `2020-01-01`},
		{model: "demo/echo", status: 401},
		{"PATCH", "keys/KEY", `{}`, "", 200, `"name":"laptop"`},
		{model: "demo/echo", status: 200},

		{"PATCH", "keys/KEY", `{"requests_per_minute":-1}`, "", 400, "requests_per_minute"},
		{"PATCH", "keys/KEY", `{"networks":["home"]}`, "", 400, "networks"},
		{"PATCH", "keys/KEY", `{"operations":["chats"]}`, "", 400, "there are chat, embed"},
		{"PATCH", "keys/KEY", `{"spend_day":"-5"}`, "", 400, "spend day"},
		{"PATCH", "keys/KEY", `{"requests":1}`, "", 400, "not what this operation takes"},
		{"PATCH", "keys/declared", `{"requests_per_minute":1}`, "", 409, "in the configuration"},
		{"DELETE", "keys/declared", "", "", 409, "in the configuration"},
		{"PATCH", "keys/nobody", `{}`, "", 404, "no such record"},
		{"POST", "keys", `{"name":"limited","concurrent":2,"spend_total":"1"}`, "", 200, `"limit":"spend_total","allowed":1000000000`},
		{"POST", "keys", `{"name":"bad","networks":["home"]}`, "", 400, "networks"},
		{"GET", "keys/bad", "", "", 404, "no such record"},

		{"DELETE", "keys/laptop", "", "", 200, `"revoked":true`},
		{model: "demo/echo", status: 401},
		{"PATCH", "keys/KEY", `{}`, "", 400, "make another"},
	})
}
