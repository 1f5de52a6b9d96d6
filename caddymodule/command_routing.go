package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/store"
)

// routingCommands explain and steer where requests go.
func (c *client) routingCommands() []*cobra.Command {
	return []*cobra.Command{c.traceCommand(), c.logCommand(), c.resolveCommand(), c.stateCommand(), c.clearCommand(), c.quotaCommand()}
}

func (c *client) traceCommand() *cobra.Command {
	return &cobra.Command{Use: "trace <exchange>", Short: "Says why an exchange went where it went", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		var v exchangeView
		if err := c.call(http.MethodGet, "exchanges/"+url.PathEscape(args[0]), nil, &v); err != nil {
			return err
		}
		var t store.Trace
		if len(v.Trace) > 0 {
			if err := json.Unmarshal(v.Trace, &t); err != nil {
				return fmt.Errorf("reading the trace: %w", err)
			}
		}
		return c.print(cmd, v, func(w io.Writer) { printTrace(w, &v, &t) })
	}}
}

func printTrace(w io.Writer, v *exchangeView, t *store.Trace) {
	e := &v.Exchange
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("exchange", e.ID)
	line("began", e.Began.Local().Format(time.DateTime))
	line("key", e.KeyID)
	line("asked for", e.Requested+" ("+e.Operation+", "+e.ClientFormat+")")
	line("found by", t.Resolved)
	line("conversation", t.Affinity)
	outcome := fmt.Sprintf("%s, status %d, %s", e.Outcome, e.Status, ms(e.Duration))
	if e.Reason != "" {
		outcome += ", " + e.Scope + ": " + e.Reason
	}
	line("outcome", outcome)
	tokens := fmt.Sprintf("%d in, %d out", e.Input, e.Output)
	if !e.UsageReported {
		tokens += " (estimated)"
	}
	switch {
	case e.Attempts == 0: // nobody was asked
	case e.Priced:
		line("tokens", tokens)
		line("cost", "$"+e.Cost.USD())
	default:
		line("tokens", tokens)
		line("cost", "not known")
	}
	if t.Queue > 0 {
		line("waited for a place", ms(t.Queue))
	}
	if len(t.Passed) > 0 {
		fmt.Fprintln(w, "\nPASSED OVER\tCONNECTION\tREASON\tUNTIL")
		for _, p := range t.Passed {
			fmt.Fprintf(w, "%s/%s\t%s\t%s\t%s\n", p.Provider, p.Model, dash(v.name(p.Connection)), p.Reason, date(p.Until))
		}
	}
	if len(t.Attempts) > 0 {
		fmt.Fprintln(w, "\nATTEMPT\tCONNECTION\tBEGAN\tCONNECTED\tFIRST BYTE\tFIRST CONTENT\tENDED\tSTATUS\tBECAME")
		for _, a := range t.Attempts {
			became := "answered"
			if a.Reason != "" {
				became = strings.TrimPrefix(a.Scope+": "+a.Reason, ": ")
			}
			for word, is := range map[string]bool{" (hedge)": a.Hedge, " (probe)": a.Probe} {
				if is {
					became += word
				}
			}
			fmt.Fprintf(w, "%s/%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", a.Provider, a.Model, v.name(a.Connection), ms(a.Began),
				never0(a.Connected), never0(a.FirstByte), never0(a.FirstContent), ms(a.Ended), a.Status, became)
		}
	}
	if len(t.Losses) > 0 {
		fmt.Fprintln(w, "\nLOST\tWHY")
		for _, l := range t.Losses {
			fmt.Fprintf(w, "%s\t%s\n", l.Path, l.Why)
		}
	}
}

func ms(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e6, 'f', 1, 64) + " ms" }

func never0(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return ms(d)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (c *client) logCommand() *cobra.Command {
	var limit int
	var key string
	var failed bool
	cmd := &cobra.Command{Use: "log", Short: "Lists the newest exchanges", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		q := url.Values{"limit": {strconv.Itoa(limit)}, "key": {key}, "failed": {strconv.FormatBool(failed)}}
		var list []store.Exchange
		if err := c.call(http.MethodGet, "exchanges?"+q.Encode(), nil, &list); err != nil {
			return err
		}
		return c.print(cmd, list, func(w io.Writer) {
			fmt.Fprintln(w, "BEGAN\tEXCHANGE\tASKED FOR\tPROVIDER/MODEL\tATTEMPTS\tOUTCOME\tTOOK\tTOKENS\tCOST")
			for _, e := range list {
				outcome := string(e.Outcome)
				if e.Reason != "" {
					outcome += " (" + e.Reason + ")"
				}
				cost := "?"
				if e.Priced {
					cost = "$" + e.Cost.USD()
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d+%d\t%s\n", e.Began.Local().Format(time.DateTime), e.ID, e.Requested,
					dash(strings.Trim(e.Provider+"/"+e.Model, "/")), e.Attempts, outcome, ms(e.Duration), e.Input, e.Output, cost)
			}
		})
	}}
	cmd.Flags().IntVar(&limit, "limit", defaultExchanges, "How many")
	cmd.Flags().StringVar(&key, "key", "", "Of the key with this name or id only")
	cmd.Flags().BoolVar(&failed, "failed", false, "Only those that were not answered whole")
	return cmd
}

func (c *client) resolveCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{Use: "resolve <model>", Short: "Says where a request for a model would go now, without sending one", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		var r gateway.Resolved
		if err := c.call(http.MethodGet, "resolve/"+url.PathEscape(args[0])+"?"+url.Values{"key": {key}}.Encode(), nil, &r); err != nil {
			return err
		}
		return c.print(cmd, r, func(w io.Writer) {
			fmt.Fprintln(w, "WHAT\tPRIORITY\tRUNNING\tSTANDS")
			if r.By != "" {
				fmt.Fprintf(w, "%s, by %s\n", r.Name, r.By)
			}
			if r.Denied != "" {
				fmt.Fprintf(w, "the key is refused: %s\n", r.Denied)
			}
			printPlan(w, &r.Plan, "")
		})
	}}
	cmd.Flags().StringVar(&key, "key", "", "For the key with this name or id")
	return cmd
}

func printPlan(w io.Writer, e *gateway.Explanation, indent string) {
	if len(e.Members) > 0 {
		fmt.Fprintf(w, "%s%s of:\n", indent, e.Strategy)
		for i := range e.Members {
			printPlan(w, &e.Members[i], indent+"  ")
		}
		return
	}
	what := e.Provider + "/" + e.Model
	if e.Provider == "" {
		what = "-"
	}
	if e.Strategy != "" {
		what += ", " + e.Strategy
	}
	fmt.Fprintf(w, "%s%s\t\t\t%s\n", indent, what, e.Barred)
	for _, c := range e.Connections {
		stands := "ready"
		if c.Reason != "" {
			if stands = c.Reason; !c.Until.IsZero() {
				stands += " until " + date(c.Until)
			}
		}
		if c.Quota != nil {
			stands += fmt.Sprintf(", %.0f%% of the quota left", *c.Quota*100)
		}
		fmt.Fprintf(w, "%s  %s\t%d\t%d\t%s\n", indent, c.Name, c.Priority, c.Running, stands)
	}
}

func (c *client) stateCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{Use: "state", Short: "Lists who is set aside and who is busy", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		var list []standing
		if err := c.call(http.MethodGet, "state", nil, &list); err != nil {
			return err
		}
		if !all {
			list = slices.DeleteFunc(list, func(s standing) bool { return s.Aside == nil && s.Running == 0 })
		}
		return c.print(cmd, list, func(w io.Writer) {
			fmt.Fprintln(w, "PROVIDER\tCONNECTION\tMODEL\tRUNNING\tFIRST CONTENT\tSET ASIDE\tUNTIL\tNEXT PROBE\tIN A ROW")
			for _, s := range list {
				reason, until, probe, row := "-", "-", "-", 0
				if a := s.Aside; a != nil {
					reason, until, probe, row = a.Reason, date(a.Until), date(a.Probe), a.Row
				}
				name := s.Name
				if name == "" {
					name = s.Connection
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%d\n", s.Provider, dash(name), dash(s.Model), s.Running, never0(s.Pace), reason, until, probe, row)
			}
		})
	}}
	cmd.Flags().BoolVar(&all, "all", false, "Also those with whom all is well")
	return cmd
}

func (c *client) clearCommand() *cobra.Command {
	var model string
	var all bool
	cmd := &cobra.Command{Use: "clear <provider>[/<connection>] | --all", Short: "Forgets failures, so that who is set aside is asked again at once", Args: cobra.MaximumNArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == all {
			return fmt.Errorf("name a provider or provider/connection, or give --all")
		}
		path := "state/"
		if len(args) == 1 {
			path += args[0]
		}
		var cleared []schedule.Subject
		if err := c.call(http.MethodDelete, path+"?"+url.Values{"model": {model}}.Encode(), nil, &cleared); err != nil {
			return err
		}
		return c.print(cmd, cleared, func(w io.Writer) { printCleared(w, cleared) })
	}}
	cmd.Flags().StringVar(&model, "model", "", "Only for this model, under the provider's own name")
	cmd.Flags().BoolVar(&all, "all", false, "Everybody")
	return cmd
}

func printCleared(w io.Writer, cleared []schedule.Subject) {
	if len(cleared) == 0 {
		fmt.Fprintln(w, "nobody was set aside")
	}
	for _, s := range cleared {
		fmt.Fprintln(w, "cleared "+strings.Join(strings.FieldsFunc(s.Provider+" "+s.Connection+" "+s.Model, func(r rune) bool { return r == ' ' }), " "))
	}
}

func (c *client) quotaCommand() *cobra.Command {
	return &cobra.Command{Use: "quota <provider>/<connection> <percent left>", Short: "Notes a reading of a quota, for the strategy most_quota", Args: cobra.ExactArgs(2), RunE: func(cmd *cobra.Command, args []string) error {
		n, err := strconv.ParseFloat(strings.TrimSuffix(args[1], "%"), 64)
		if err != nil {
			return fmt.Errorf("%q is not a percentage", args[1])
		}
		if !(n >= 0 && n <= 100) {
			return fmt.Errorf("%q is not a percentage from 0 to 100", args[1])
		}
		var cleared []schedule.Subject
		if err := c.call(http.MethodPut, "quota/"+args[0], map[string]float64{"left": n / 100}, &cleared); err != nil {
			return err
		}
		return c.print(cmd, cleared, func(w io.Writer) {
			fmt.Fprintf(w, "noted: %g%% left of %s\n", n, args[0])
			if len(cleared) > 0 {
				printCleared(w, cleared)
			}
		})
	}}
}
