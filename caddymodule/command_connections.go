package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nine-router/nine-router/caddymodule/gateway"
)

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
			if err := c.call(http.MethodDelete, "connections/"+url.PathEscape(args[0]), nil, &v); err != nil {
				return err
			}
			return c.print(cmd, v, func(w io.Writer) { fmt.Fprintf(w, "removed %s/%s\n", v.Provider, v.Name) })
		}},
		&cobra.Command{Use: "test <id|provider/name>", Short: "Asks the provider for its models, which spends no tokens", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var p gateway.Probe
			if err := c.call(http.MethodPost, "connections/"+url.PathEscape(args[0])+"/test", nil, &p); err != nil {
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

// addConnection takes the credential and the proxies from a file, a variable or
// standard input, never from an argument: those are kept in the shell's history
// and shown to every user of the machine.
func (c *client) addConnection() *cobra.Command {
	var in struct {
		Provider      string   `json:"provider"`
		Name          string   `json:"name"`
		APIKey        string   `json:"api_key"`
		Priority      int      `json:"priority"`
		Weight        int      `json:"weight"`
		MaxConcurrent int      `json:"max_concurrent"`
		Models        []string `json:"models"`
		Proxies       []string `json:"proxies,omitempty"`
	}
	var credential, proxies source
	cmd := &cobra.Command{Use: "add <provider>", Short: "Adds a connection", Args: cobra.ExactArgs(1)}
	cmd.Flags().StringVar(&in.Name, "name", "default", "Name of the connection")
	cmd.Flags().IntVar(&in.Priority, "priority", 0, "Connections with a lower number are asked first")
	cmd.Flags().IntVar(&in.Weight, "weight", 0, "Its share of requests under the strategy weighted; 0 counts as 1")
	cmd.Flags().IntVar(&in.MaxConcurrent, "max-concurrent", 0, "How many exchanges it has at a time; 0 is any number")
	cmd.Flags().StringSliceVar(&in.Models, "models", nil, "The only models that it may use")
	cmd.Flags().StringVar(&credential.file, "file", "", "File that holds the credential")
	cmd.Flags().StringVar(&credential.variable, "env", "", "Environment variable that holds the credential")
	cmd.Flags().BoolVar(&credential.stdin, "stdin", false, "Read the credential from standard input")
	cmd.Flags().StringVar(&proxies.file, "proxy-file", "", "File that holds the URLs of its proxies, one a line")
	cmd.Flags().StringVar(&proxies.variable, "proxy-env", "", "Environment variable that holds the URLs of its proxies, one a line")
	cmd.MarkFlagsMutuallyExclusive("file", "env", "stdin")
	cmd.MarkFlagsMutuallyExclusive("proxy-file", "proxy-env")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in.Provider = args[0]
		var err error
		if in.APIKey, err = credential.read(cmd.InOrStdin()); err != nil {
			return err
		}
		text, err := proxies.read(nil)
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				in.Proxies = append(in.Proxies, line)
			}
		}
		if proxies != (source{}) && len(in.Proxies) == 0 {
			return errors.New("there are no proxies where they should be: write one URL a line, or leave the flag out")
		}
		var v connectionView
		if err := c.call(http.MethodPost, "connections", in, &v); err != nil {
			return err
		}
		return c.print(cmd, v, func(w io.Writer) { fmt.Fprintf(w, "added %s/%s as %s\n", v.Provider, v.Name, v.ID) })
	}
	return cmd
}

// A source is where a secret comes from.
type source struct {
	file, variable string
	stdin          bool
}

// read returns the secret, without the space around it; no source is no secret.
func (s *source) read(stdin io.Reader) (string, error) {
	switch {
	case s.variable != "":
		text := os.Getenv(s.variable)
		if text == "" {
			return "", fmt.Errorf("the variable %s is not set", s.variable)
		}
		return strings.TrimSpace(text), nil
	case s.file != "":
		f, err := os.Open(s.file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		stdin = f
	case !s.stdin:
		return "", nil
	}
	b, err := io.ReadAll(io.LimitReader(stdin, maxSource))
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

const maxSource = 64 << 10 // bytes
