package gateway_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
)

// Who is set aside is so after a restart, and is found out to be well by one probe.
func TestWhoIsSetAsideOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ill := true
		serve := func(id string, r *http.Request) (*http.Response, error) {
			if ill && id == "a1" {
				return fails(429, "You exceeded your current quota", "Retry-After", "86400")
			}
			return answers(id, r)
		}
		l := newLab(t, serve, nil, "a2")
		ctx, end := context.WithCancel(t.Context())
		kept := make(chan struct{})
		go func() {
			defer close(kept)
			gateway.KeepBoard(ctx, l.books, l.board, zap.NewNop())
		}()
		l.chat(t, "all")
		if got := l.took(); got != "a1 a2" {
			t.Fatal(got)
		}
		time.Sleep(2 * time.Second) // and then the process is killed
		again := newLab(t, serve, func(o *gateway.Options) {
			o.Board = schedule.NewBoard()
			if err := gateway.RestoreBoard(t.Context(), l.books, o.Board); err != nil {
				t.Fatal(err)
			}
		}, "a2")
		ill = false
		again.chat(t, "all")
		if got := again.took(); got != "a2" {
			t.Errorf("after a restart: %s", got)
		}
		// A day is long: after a while one request finds out.
		time.Sleep(2 * schedule.ProbeEvery)
		again.chat(t, "all")
		again.chat(t, "all")
		if got := again.took(); got != "a1 a1" {
			t.Errorf("the probe: %s", got)
		}
		end()
		<-kept
	})
}
