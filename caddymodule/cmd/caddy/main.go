// Command caddy is Caddy with its standard modules and this plugin, for `go run`,
// development and tests. Users build their own with xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/nine-router/nine-router/caddymodule"
)

func main() {
	caddycmd.Main()
}
