package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

func (c *client) comboCommand() *cobra.Command {
	combo := &cobra.Command{Use: "combo", Short: "Lists of models that are named like a model"}
	combo.AddCommand(c.setCombo(),
		&cobra.Command{Use: "list", Short: "Lists the combos", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var list []comboView
			if err := c.call(http.MethodGet, "combos", nil, &list); err != nil {
				return err
			}
			return c.print(cmd, list, func(w io.Writer) {
				fmt.Fprintln(w, "NAME\tSTRATEGY\tMODELS\tSTATE")
				for _, v := range list {
					strategy := v.Strategy
					if strategy == "" {
						strategy = "-"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Name, strategy, strings.Join(v.Models, ", "), state(false, "", v.Declared))
				}
			})
		}},
		&cobra.Command{Use: "remove <name>", Short: "Removes a combo", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var v comboView
			if err := c.call(http.MethodDelete, "combos/"+url.PathEscape(args[0]), nil, &v); err != nil {
				return err
			}
			warn(cmd, v.Warnings)
			return c.print(cmd, v, func(w io.Writer) { fmt.Fprintf(w, "removed %s\n", v.Name) })
		}},
	)
	return combo
}

func (c *client) setCombo() *cobra.Command {
	cmd := &cobra.Command{Use: "set <name> <model>...", Short: "Makes a combo, or another of it", Args: cobra.MinimumNArgs(2)}
	var in Combo
	var deadline time.Duration
	cmd.Flags().StringVar(&in.Strategy, "strategy", "", "The order among the models: priority, round_robin, weighted, least_busy, fastest, cheapest or most_quota")
	cmd.Flags().IntSliceVar(&in.Weights, "weights", nil, "Weights of the models, in their order, for the strategy weighted")
	cmd.Flags().IntVar(&in.Sticky, "sticky", 0, "Exchanges before it is the next model's turn, for the strategy round_robin")
	cmd.Flags().DurationVar(&deadline, "deadline", 0, "How long all attempts together may take until the first content, such as 30s")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in.Models, in.Deadline = args[1:], caddy.Duration(deadline)
		var v comboView
		if err := c.call(http.MethodPut, "combos/"+url.PathEscape(args[0]), in, &v); err != nil {
			return err
		}
		warn(cmd, v.Warnings)
		return c.print(cmd, v, func(w io.Writer) { fmt.Fprintf(w, "%s stands for %s\n", v.Name, strings.Join(v.Models, ", ")) })
	}
	return cmd
}

func (c *client) aliasCommand() *cobra.Command {
	alias := &cobra.Command{Use: "alias", Short: "Other names for models"}
	alias.AddCommand(
		&cobra.Command{Use: "set <name> <model>", Short: "Makes an alias, or another of it", Args: cobra.ExactArgs(2), RunE: func(cmd *cobra.Command, args []string) error {
			var v aliasView
			if err := c.call(http.MethodPut, "aliases/"+url.PathEscape(args[0]), map[string]string{"model": args[1]}, &v); err != nil {
				return err
			}
			warn(cmd, v.Warnings)
			return c.print(cmd, v, func(w io.Writer) { fmt.Fprintf(w, "%s stands for %s\n", v.Name, v.Model) })
		}},
		&cobra.Command{Use: "list", Short: "Lists the aliases", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var list []aliasView
			if err := c.call(http.MethodGet, "aliases", nil, &list); err != nil {
				return err
			}
			return c.print(cmd, list, func(w io.Writer) {
				fmt.Fprintln(w, "NAME\tMODEL\tSTATE")
				for _, v := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\n", v.Name, v.Model, state(false, "", v.Declared))
				}
			})
		}},
		&cobra.Command{Use: "remove <name>", Short: "Removes an alias", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var v aliasView
			if err := c.call(http.MethodDelete, "aliases/"+url.PathEscape(args[0]), nil, &v); err != nil {
				return err
			}
			warn(cmd, v.Warnings)
			return c.print(cmd, v, func(w io.Writer) { fmt.Fprintf(w, "removed %s\n", v.Name) })
		}},
	)
	return alias
}

// warn tells what is not wrong but may not be meant, beside the output.
func warn(cmd *cobra.Command, warnings []string) {
	for _, text := range warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", text)
	}
}
