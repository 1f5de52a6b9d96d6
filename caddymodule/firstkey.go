package caddymodule

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/nine-router/nine-router/store"
)

// firstKey sees to it that somebody who starts the gateway for the first time
// can use it: it makes a key and prints it where a person sees it, or says in the
// log how to make one.
func (a *App) firstKey() error {
	ctx := context.Background()
	snap, err := a.lease.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	if a.Open || len(snap.Keys) > 0 || len(a.Keys) > 0 {
		return nil
	}
	show := a.FirstKey != nil && *a.FirstKey || a.FirstKey == nil && isTerminal(os.Stdout)
	if !show {
		a.log.Warn("no client can come in: there is no key yet; make one with `caddy nine-router key create NAME`")
		return nil
	}
	secret, hint := store.NewKey()
	key := &store.Key{ID: store.NewID("key"), Name: "first", Hash: snap.Hasher.Hash(secret), Hint: hint, Created: time.Now().UTC()}
	if _, err := a.lease.store.Apply(ctx, store.Put(key).At(0)); err != nil {
		return err
	}
	if err := a.running.Reload(ctx); err != nil {
		return err
	}
	// Not through the log: it is shown to the person at the terminal, once.
	url := "http://localhost"
	if len(a.sites) > 0 {
		url = a.sites[0].url()
	}
	fmt.Fprintf(os.Stdout, `
  Nine Router is ready.

    OpenAI base URL      %[1]s/v1
    Anthropic base URL   %[1]s
    Key                  %[2]s

  The key is shown only now. Make more with: caddy nine-router key create NAME

  Try it:
    curl %[1]s/v1/chat/completions -H "Authorization: Bearer %[2]s" -H "Content-Type: application/json" \
      -d '{"model":"demo/echo","messages":[{"role":"user","content":"Hello"}]}'

`, url, secret)
	a.log.Info("made the first key", zap.String("key", key.ID), zap.String("hint", hint))
	return nil
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != ""
}
