package caddymodule

import "github.com/nine-router/nine-router/caddymodule/gateway"

// Observer is what the gateway of the app tells what happens.
func (a *App) Observer() gateway.Observer { return a.options.Observer }
