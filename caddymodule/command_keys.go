package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nine-router/nine-router/store"
)

func (c *client) keyCommand() *cobra.Command {
	key := &cobra.Command{Use: "key", Short: "Keys that clients authenticate with"}
	key.AddCommand(c.createKey(), c.limitKey(),
		&cobra.Command{Use: "list", Short: "Lists the keys", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var list []keyView
			if err := c.call(http.MethodGet, "keys", nil, &list); err != nil {
				return err
			}
			return c.print(cmd, list, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tNAME\tKEY\tCREATED\tSTATE\tLIMITS")
				for _, k := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Hint, date(k.Created), state(k.Revoked, "revoked", k.Declared), k.Limits.short())
				}
			})
		}},
		&cobra.Command{Use: "show <id|name>", Short: "Shows a key's limits and what it has used", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var k keyView
			if err := c.call(http.MethodGet, "keys/"+url.PathEscape(args[0]), nil, &k); err != nil {
				return err
			}
			return c.print(cmd, k, k.table)
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

func (c *client) createKey() *cobra.Command {
	cmd := &cobra.Command{Use: "create <name>", Short: "Makes a key and shows it, once", Args: cobra.ExactArgs(1)}
	var flags limitFlags
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		limits, err := flags.limits()
		if err != nil {
			return err
		}
		in := struct {
			Name string `json:"name"`
			KeyLimits
		}{args[0], limits}
		var k keyView
		if err := c.call(http.MethodPost, "keys", in, &k); err != nil {
			return err
		}
		return c.print(cmd, k, func(w io.Writer) { fmt.Fprintln(w, k.Secret) })
	}
	return cmd
}

func (c *client) limitKey() *cobra.Command {
	cmd := &cobra.Command{Use: "limit <id|name>", Short: "Gives a key other limits, at once", Args: cobra.ExactArgs(1),
		Long: "Gives a key other limits, at once. The limits that are named take the place of all\nthat the key has; those that are not named are gone."}
	var flags limitFlags
	var none bool
	flags.add(cmd)
	cmd.Flags().BoolVar(&none, "none", false, "Take all limits away")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		limits, err := flags.limits()
		if err != nil {
			return err
		}
		text := limits.short()
		switch {
		case text == "-" && !none:
			return errors.New("say which limits the key is to have, or --none to take all away")
		case text != "-" && none:
			return errors.New("--none takes all limits away: leave the others out")
		}
		var k keyView
		if err := c.call(http.MethodPatch, "keys/"+url.PathEscape(args[0]), limits, &k); err != nil {
			return err
		}
		return c.print(cmd, k, func(w io.Writer) { fmt.Fprintf(w, "limits of %s: %s\n", k.Name, k.Limits.short()) })
	}
	return cmd
}

// limitFlags are the limits of a key as flags.
type limitFlags struct {
	KeyLimits
	expires string
	spend   []string
}

func (f *limitFlags) add(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringSliceVar(&f.Models, "models", nil, "Models that it may ask for, * standing for any text")
	set.StringSliceVar(&f.Operations, "operations", nil, "What it may ask for: chat, embed, count_tokens, compact")
	set.StringSliceVar(&f.Networks, "networks", nil, "Addresses that it may come from, such as 10.0.0.0/8")
	set.StringVar(&f.expires, "expires", "", "When it ends to be valid, such as 2027-01-31 or 2027-01-31T12:00:00Z")
	set.Int64Var(&f.RequestsPerMinute, "requests", 0, "Requests in a minute")
	set.Int64Var(&f.TokensPerMinute, "tokens", 0, "Tokens in a minute, input and output together")
	set.Int64Var(&f.Concurrent, "concurrent", 0, "Requests at a time")
	set.StringArrayVar(&f.spend, "spend", nil, "US dollars that it may spend in a day, week, month or in total, such as 5/day; may be repeated")
}

// limits is what the flags say.
func (f *limitFlags) limits() (KeyLimits, error) {
	k := f.KeyLimits
	if f.expires != "" {
		t, err := readMoment(f.expires)
		if err != nil {
			return k, fmt.Errorf("--expires: %w", err)
		}
		k.Expires = t
	}
	for _, text := range f.spend {
		amount, period, _ := strings.Cut(text, "/")
		to := k.spend(period)
		switch {
		case amount == "" || to == nil:
			return k, fmt.Errorf("--spend: %q is not an amount for a day, week, month or total, such as 5/day", text)
		case *to != "":
			return k, fmt.Errorf("--spend for %s was given twice", period)
		}
		*to = strings.TrimPrefix(amount, "$")
	}
	return k, nil
}

// short is the limits in a few words, "-" if there are none.
func (k *KeyLimits) short() string {
	var words []string
	count := func(n int64, what string) {
		if n != 0 {
			words = append(words, fmt.Sprint(n, " ", what))
		}
	}
	count(k.RequestsPerMinute, "requests/min")
	count(k.TokensPerMinute, "tokens/min")
	count(k.Concurrent, "at a time")
	for _, period := range periods {
		if amount := *k.spend(period); amount != "" {
			words = append(words, "$"+amount+"/"+period)
		}
	}
	switch n := len(k.Models); n {
	case 0:
	case 1:
		words = append(words, k.Models[0])
	default:
		words = append(words, fmt.Sprint(n, " models"))
	}
	words = append(words, k.Operations...)
	switch n := len(k.Networks); n {
	case 0:
	case 1:
		words = append(words, "from "+k.Networks[0])
	default:
		words = append(words, fmt.Sprint("from ", n, " networks"))
	}
	if !k.Expires.IsZero() {
		words = append(words, "until "+date(k.Expires))
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

// table shows everything about the key.
func (k keyView) table(w io.Writer) {
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s\t%s\n", what, text)
		}
	}
	line("ID", k.ID)
	line("Name", k.Name)
	line("Key", k.Hint)
	line("Created", date(k.Created))
	line("State", state(k.Revoked, "revoked", k.Declared))
	line("Models", strings.Join(k.Limits.Models, ", "))
	line("Operations", strings.Join(k.Limits.Operations, ", "))
	line("Networks", strings.Join(k.Limits.Networks, ", "))
	if !k.Limits.Expires.IsZero() {
		line("Expires", date(k.Limits.Expires))
	}
	line("Used today", used(k.Today))
	line("Used in total", used(k.Used))
	if len(k.Standing) == 0 {
		return
	}
	fmt.Fprintln(w, "\nLIMIT\tALLOWED\tUSED\tREMAINING\tFREE AGAIN")
	for _, s := range k.Standing {
		number := func(n int64) string { return fmt.Sprint(n) }
		if strings.HasPrefix(s.Limit, "spend_") {
			number = func(n int64) string { return "$" + store.Money(n).USD() }
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Limit, number(s.Allowed), number(s.Used), number(s.Remaining), date(s.Reset))
	}
}

func used(u store.Used) string {
	return fmt.Sprintf("%d requests, %d tokens, $%s", u.Requests, u.Tokens, u.Cost.USD())
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
