package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/nine-router/nine-router/store"

	"github.com/nine-router/nine-router/caddymodule/gateway"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "nine-router",
		Short: "Manages the AI gateway of the running server",
		Long: `
Makes, limits and revokes keys of clients, adds and tests connections to providers,
gives models other names, and lists them. The commands talk to the running server through its admin endpoint,
so that two processes never open the same data.`,
		CobraFunc: func(cmd *cobra.Command) {
			c := &client{}
			cmd.PersistentFlags().StringVar(&c.address, "address", "", "Address of the server's admin endpoint")
			cmd.PersistentFlags().StringVarP(&c.config, "config", "c", "", "Configuration file to take the admin endpoint's address from")
			cmd.PersistentFlags().StringVarP(&c.adapter, "adapter", "a", "", "Adapter of the configuration file")
			cmd.PersistentFlags().BoolVar(&c.json, "json", false, "Print JSON instead of a table")
			cmd.AddCommand(c.keyCommand(), c.connectionCommand(), c.comboCommand(), c.aliasCommand(), c.modelsCommand())
			cmd.AddCommand(c.routingCommands()...)
		},
	})
}

// client is a command's way to the running server.
type client struct {
	address, config, adapter string
	json                     bool
}

// call sends one request to the admin endpoint and reads its answer into v.
func (c *client) call(method, path string, in, v any) error {
	address, err := caddycmd.DetermineAdminAPIAddress(c.address, nil, c.config, c.adapter)
	if err != nil {
		return fmt.Errorf("finding the admin endpoint: %w", err)
	}
	var body io.Reader
	header := http.Header{}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
		header.Set("Content-Type", "application/json")
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, adminPath+path, header, body)
	if err != nil {
		// Caddy does not wrap the cause; these are its words for a request that
		// could not be made.
		if strings.HasPrefix(err.Error(), "performing request:") {
			return fmt.Errorf("no server answers at %s; start one with `caddy run`, or name its admin endpoint with --address", address)
		}
		return told(err)
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}

// told returns what the admin endpoint says of an error, without the form in which
// Caddy's own client passes it on.
func told(err error) error {
	_, answer, ok := strings.Cut(err.Error(), "caddy responded with error: HTTP ")
	if !ok {
		return err
	}
	_, body, _ := strings.Cut(answer, ": ")
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(body), &said) != nil || said.Error == "" {
		return err
	}
	return errors.New(strings.TrimSuffix(said.Error, " ("+store.ErrNotFound.Error()+")"))
}

// print shows v as JSON, or what table writes.
func (c *client) print(cmd *cobra.Command, v any, table func(w io.Writer)) error {
	if c.json {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

func (c *client) modelsCommand() *cobra.Command {
	return &cobra.Command{Use: "models", Short: "Lists what clients may ask for", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		var list []gateway.Model
		if err := c.call(http.MethodGet, "models", nil, &list); err != nil {
			return err
		}
		return c.print(cmd, list, func(w io.Writer) {
			fmt.Fprintln(w, "MODEL\tOWNER\tSTANDS FOR")
			for _, m := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\n", m.ID, m.Owner, m.Note)
			}
		})
	}}
}
