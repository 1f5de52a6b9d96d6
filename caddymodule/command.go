package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/nine-router/nine-router/caddymodule/gateway"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "nine-router",
		Short: "Manages the AI gateway of the running server",
		Long: `
Makes and revokes keys of clients, adds and tests connections to providers, and
lists models. The commands talk to the running server through its admin endpoint,
so that two processes never open the same data.`,
		CobraFunc: func(cmd *cobra.Command) {
			c := &client{}
			cmd.PersistentFlags().StringVar(&c.address, "address", "", "Address of the server's admin endpoint")
			cmd.PersistentFlags().StringVarP(&c.config, "config", "c", "", "Configuration file to take the admin endpoint's address from")
			cmd.PersistentFlags().StringVarP(&c.adapter, "adapter", "a", "", "Adapter of the configuration file")
			cmd.PersistentFlags().BoolVar(&c.json, "json", false, "Print JSON instead of a table")
			cmd.AddCommand(c.keyCommand(), c.connectionCommand(), c.modelsCommand())
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
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
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

func (c *client) keyCommand() *cobra.Command {
	key := &cobra.Command{Use: "key", Short: "Keys that clients authenticate with"}
	key.AddCommand(
		&cobra.Command{Use: "create <name>", Short: "Makes a key and shows it, once", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var k keyView
			if err := c.call(http.MethodPost, "keys", map[string]string{"name": args[0]}, &k); err != nil {
				return err
			}
			return c.print(cmd, k, func(w io.Writer) { fmt.Fprintln(w, k.Secret) })
		}},
		&cobra.Command{Use: "list", Short: "Lists the keys", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var list []keyView
			if err := c.call(http.MethodGet, "keys", nil, &list); err != nil {
				return err
			}
			return c.print(cmd, list, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tNAME\tKEY\tCREATED\tSTATE")
				for _, k := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Hint, date(k.Created), state(k.Revoked, "revoked", k.Declared))
				}
			})
		}},
		&cobra.Command{Use: "revoke <id|name>", Short: "Revokes a key at once and for good", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var k keyView
			if err := c.call(http.MethodDelete, "keys/"+url.PathEscape(args[0]), nil, &k); err != nil {
				return err
			}
			return c.print(cmd, k, func(w io.Writer) { fmt.Fprintf(w, "revoked %s (%s)\n", k.Name, k.Hint) })
		}},
	)
	return key
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func state(off bool, word string, declared bool) string {
	switch {
	case off:
		return word
	case declared:
		return "declared"
	}
	return "active"
}

func (c *client) connectionCommand() *cobra.Command {
	connection := &cobra.Command{Use: "connection", Short: "Connections to providers"}
	connection.AddCommand(c.addConnection(),
		&cobra.Command{Use: "list", Short: "Lists the connections", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var list []connectionView
			if err := c.call(http.MethodGet, "connections", nil, &list); err != nil {
				return err
			}
			return c.print(cmd, list, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tPROVIDER\tNAME\tPRIORITY\tCREDENTIAL\tSTATE")
				for _, v := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", v.ID, v.Provider, v.Name, v.Priority, v.Hint, state(v.Disabled, "disabled", v.Declared))
				}
			})
		}},
		&cobra.Command{Use: "remove <id|provider/name>", Short: "Removes a connection", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var v connectionView
			if err := c.call(http.MethodDelete, "connections/"+args[0], nil, &v); err != nil {
				return err
			}
			return c.print(cmd, v, func(w io.Writer) { fmt.Fprintf(w, "removed %s/%s\n", v.Provider, v.Name) })
		}},
		&cobra.Command{Use: "test <id|provider/name>", Short: "Asks the provider for its models, which spends no tokens", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var p gateway.Probe
			if err := c.call(http.MethodPost, "connections/"+args[0]+"/test", nil, &p); err != nil {
				return err
			}
			if err := c.print(cmd, p, func(w io.Writer) { fmt.Fprintln(w, p.Detail) }); err != nil {
				return err
			}
			if !p.OK {
				return errors.New("the connection does not work")
			}
			return nil
		}},
	)
	return connection
}

// addConnection takes the credential from a file, a variable or standard input,
// never from an argument: those are kept in the shell's history and shown to
// every user of the machine.
func (c *client) addConnection() *cobra.Command {
	var name, file, variable string
	var priority int
	var models []string
	var stdin bool
	cmd := &cobra.Command{Use: "add <provider>", Short: "Adds a connection", Args: cobra.ExactArgs(1)}
	cmd.Flags().StringVar(&name, "name", "default", "Name of the connection")
	cmd.Flags().IntVar(&priority, "priority", 0, "Connections with a lower number are asked first")
	cmd.Flags().StringSliceVar(&models, "models", nil, "The only models that it may use")
	cmd.Flags().StringVar(&file, "file", "", "File that holds the credential")
	cmd.Flags().StringVar(&variable, "env", "", "Environment variable that holds the credential")
	cmd.Flags().BoolVar(&stdin, "stdin", false, "Read the credential from standard input")
	cmd.MarkFlagsMutuallyExclusive("file", "env", "stdin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var credential string
		switch {
		case variable != "":
			if credential = os.Getenv(variable); credential == "" {
				return fmt.Errorf("the variable %s is not set", variable)
			}
		case file != "" || stdin:
			from := cmd.InOrStdin()
			if file != "" {
				f, err := os.Open(file)
				if err != nil {
					return err
				}
				defer f.Close()
				from = f
			}
			b, err := io.ReadAll(io.LimitReader(from, 64<<10))
			if err != nil {
				return err
			}
			credential = strings.TrimSpace(string(b))
		}
		var v connectionView
		in := map[string]any{"provider": args[0], "name": name, "api_key": credential, "priority": priority, "models": models}
		if err := c.call(http.MethodPost, "connections", in, &v); err != nil {
			return err
		}
		return c.print(cmd, v, func(w io.Writer) { fmt.Fprintf(w, "added %s/%s as %s\n", v.Provider, v.Name, v.ID) })
	}
	return cmd
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
