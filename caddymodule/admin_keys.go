package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/store/limit"
)

// keyView is a key as it is shown. Secret is there once, when it is made.
type keyView struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Hint     string         `json:"hint"`
	Revoked  bool           `json:"revoked,omitempty"`
	Declared bool           `json:"declared,omitempty"`
	Created  time.Time      `json:"created,omitzero"`
	Secret   string         `json:"secret,omitempty"`
	Limits   KeyLimits      `json:"limits,omitzero"`
	Standing []limit.Window `json:"standing,omitempty"` // of the limits that are counted
	Today    store.Used     `json:"today"`              // since midnight in UTC
	Used     store.Used     `json:"used"`               // in total
}

func (o *admin) viewKey(k *store.Key) keyView {
	now := time.Now()
	return keyView{
		ID: k.ID, Name: k.Name, Hint: k.Hint, Revoked: k.Revoked, Created: k.Created,
		Limits: shown(&k.Limits), Standing: o.ledger.Standing(k.ID, &k.Limits, now),
		Today: o.store.UsedSince(k.ID, now), Used: o.store.UsedSince(k.ID, time.Time{}),
	}
}

// keys answers GET keys.
func (o *admin) keys() ([]keyView, error) {
	snap, err := o.snapshot()
	if err != nil {
		return nil, err
	}
	list := []keyView{}
	for _, d := range o.app.options.Declared.Keys {
		v := o.viewKey(&store.Key{ID: "declared:" + d.Name, Name: d.Name, Hint: store.Hint(d.Secret.Reveal()), Limits: d.Limits})
		v.Declared = true
		list = append(list, v)
	}
	for i := range snap.Keys {
		list = append(list, o.viewKey(&snap.Keys[i]))
	}
	return list, nil
}

// key answers GET keys/{id|name}.
func (o *admin) key(idOrName string) (keyView, error) {
	list, err := o.keys()
	if err != nil {
		return keyView{}, err
	}
	for _, same := range [...]func(keyView) bool{
		func(k keyView) bool { return k.ID == idOrName },
		func(k keyView) bool { return k.Name == idOrName && !k.Revoked },
	} {
		if i := slices.IndexFunc(list, same); i >= 0 {
			return list[i], nil
		}
	}
	return keyView{}, fmt.Errorf("key %q: %w", idOrName, store.ErrNotFound)
}

// stored finds a key that is in use and can be changed, by its id or name.
func (o *admin) stored(idOrName string) (*store.Key, error) {
	found, err := o.key(idOrName)
	switch {
	case err != nil:
		return nil, err
	case found.Declared:
		return nil, fmt.Errorf("key %q: %w", found.Name, errDeclared)
	case found.Revoked:
		return nil, fmt.Errorf("key %q was revoked, for good: make another", found.ID)
	}
	snap, err := o.snapshot()
	if err != nil {
		return nil, err
	}
	for _, k := range snap.Keys {
		if k.ID == found.ID {
			return &k, nil
		}
	}
	return nil, fmt.Errorf("key %q: %w", idOrName, store.ErrNotFound)
}

// operations are those that a key can be limited to.
var operations = [...]provider.Operation{provider.Chat, provider.Embed, provider.CountTokens, provider.Compact}

// given is the limits that a request gives.
func given(k *KeyLimits) (store.Limits, error) {
	for _, op := range k.Operations {
		if !slices.Contains(operations[:], provider.Operation(op)) {
			return store.Limits{}, fmt.Errorf("operations: there is no %q; there are chat, embed, count_tokens and compact", op)
		}
	}
	return k.limits()
}

// createKey answers POST keys.
func (o *admin) createKey() (keyView, error) {
	var in struct {
		Name string `json:"name"`
		KeyLimits
	}
	if err := o.body(&in); err != nil {
		return keyView{}, err
	}
	if strings.TrimSpace(in.Name) == "" {
		return keyView{}, errors.New("a key needs a name")
	}
	for _, d := range o.app.options.Declared.Keys {
		if d.Name == in.Name {
			return keyView{}, fmt.Errorf("key %q is declared in the configuration: %w", in.Name, store.ErrExists)
		}
	}
	limits, err := given(&in.KeyLimits)
	if err != nil {
		return keyView{}, err
	}
	snap, err := o.snapshot()
	if err != nil {
		return keyView{}, err
	}
	secret, hint := store.NewKey()
	k := &store.Key{ID: store.NewID("key"), Name: in.Name, Hash: snap.Hasher.Hash(secret), Hint: hint, Limits: limits, Created: time.Now().UTC()}
	if err := o.apply(store.Put(k).At(0)); err != nil {
		return keyView{}, err
	}
	v := o.viewKey(k)
	v.Secret = secret
	return v, nil
}

// limitKey answers PATCH keys/{id|name}: the limits that are given take the place
// of all that the key has, for every request that begins from now on.
func (o *admin) limitKey(idOrName string) (keyView, error) {
	var in KeyLimits
	if err := o.body(&in); err != nil {
		return keyView{}, err
	}
	limits, err := given(&in)
	if err != nil {
		return keyView{}, err
	}
	k, err := o.stored(idOrName)
	if err != nil {
		return keyView{}, err
	}
	k.Limits = limits
	if err := o.apply(store.Put(k).At(k.Rev)); err != nil {
		return keyView{}, err
	}
	return o.viewKey(k), nil
}

// revokeKey answers DELETE keys/{id|name}.
func (o *admin) revokeKey(idOrName string) (keyView, error) {
	k, err := o.stored(idOrName)
	if err != nil {
		return keyView{}, err
	}
	k.Revoked = true
	if err := o.apply(store.Put(k).At(k.Rev)); err != nil {
		return keyView{}, err
	}
	return o.viewKey(k), nil
}
