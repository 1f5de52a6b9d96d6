package fault

import (
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// after returns how long a provider asked to be left alone, 0 if it did not say.
// What is meant for the case comes before what is meant for all: the body, then
// Retry-After, then the state of the limits, then the prose.
func (t *Table) after(f Fault, ruled bool, ev *evidence, a *Answer, now time.Time) time.Duration {
	h := a.Header
	if a.Status != 0 { // a stream's Date is as old as its beginning
		now = providersClock(h, now)
	}
	asks := ruled || slices.Contains(passing, f.Reason)
	if asks {
		for i := len(ev.layers) - 1; i >= 0; i-- {
			if ev.layers[i].quoted && f.Scope == Provider {
				continue
			}
			if d := t.ofBody(&ev.layers[i], now); d > 0 {
				return d
			}
		}
	}
	if d := retryAfter(h, now); d > 0 || !asks {
		return d
	}
	if ruled || f.Reason == RateLimited || f.Reason == QuotaSpent {
		if d := ofLimits(h, now); d > 0 {
			return d
		}
	}
	if f.Scope == Provider { // prose does not shut out everybody for days
		return 0
	}
	for i := len(ev.layers) - 1; i >= 0; i-- {
		if d := t.waits.in(ev.layers[i].message, now); d > 0 {
			return d
		}
	}
	return 0
}

// passing are the reasons that pass with time.
var passing = []string{RateLimited, QuotaSpent, Overloaded, Timeout, ServerError, Blocked}

// providersClock returns what time it is for the provider, so that the moments
// it names mean what it means even where our clocks differ.
func providersClock(h http.Header, now time.Time) time.Time {
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		return t
	}
	return now
}

// ofBody reads the times in an error's structured body.
func (t *Table) ofBody(l *layer, now time.Time) time.Duration {
	v := l.json
	// ChatGPT and Codex name how long, and when, in seconds.
	for _, name := range [...]string{"resets_in_seconds", "resets_at", "retry_after_seconds", "retry_after", "estimated_time"} {
		if d := span(text(v.Get(name)), now); d > 0 {
			return d
		}
	}
	var d time.Duration
	for i, detail := range v.GetArray("details") {
		if i >= maxDetails {
			break
		}
		// https://cloud.google.com/apis/design/errors#error_details
		d = max(d, span(text(detail.Get("retryDelay")), now), span(text(detail.Get("metadata", "quotaResetDelay")), now))
	}
	switch {
	case l.has(markPerDay): // https://ai.google.dev/gemini-api/docs/rate-limits
		d = max(d, untilMidnight(now.In(t.pacific)))
	case l.has(markPerMinute) && d == 0:
		d = time.Minute
	}
	if d > 0 {
		return d
	}
	meta := v.Get("metadata") // OpenRouter puts the headers of its limits there
	if d := span(text(meta.Get("retry_after_seconds")), now); d > 0 {
		return d
	}
	if in := meta.Get("headers"); in != nil && in.Type() == fastjson.TypeObject {
		h, n := http.Header{}, 0
		in.GetObject().Visit(func(name []byte, m *fastjson.Value) {
			if n++; n <= maxDetails {
				h.Set(string(name), text(m))
			}
		})
		return max(retryAfter(h, now), ofLimits(h, now))
	}
	return 0
}

// untilMidnight returns how long the day goes on.
func untilMidnight(t time.Time) time.Duration {
	y, m, d := t.Date()
	return bounded(time.Date(y, m, d+1, 0, 0, 0, 0, t.Location()).Sub(t))
}

// retryAfter reads Retry-After in both forms
// (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after) and OpenAI's
// Retry-After-Ms.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(strings.TrimSpace(h.Get("Retry-After-Ms")), 64); err == nil {
		if d := seconds(ms / 1000); d > 0 {
			return d
		}
	}
	return span(h.Get("Retry-After"), now)
}

// ofLimits reads how the limits stand: until the last of those that are used up
// is there again. Limits that are not used up reset as well, and mean nothing.
func ofLimits(h http.Header, now time.Time) (d time.Duration) {
	for name, values := range h {
		if len(values) == 0 {
			continue
		}
		// https://platform.openai.com/docs/guides/rate-limits: x-ratelimit-remaining-tokens;
		// others add -day or -minute, or nothing.
		if kind, ok := strings.CutPrefix(name, "X-Ratelimit-Remaining"); ok && isZero(values[0]) {
			d = max(d, span(h.Get("X-Ratelimit-Reset"+kind), now))
		}
		// https://platform.claude.com/docs/en/api/rate-limits: anthropic-ratelimit-tokens-remaining.
		if kind, ok := strings.CutPrefix(name, "Anthropic-Ratelimit-"); ok && isZero(values[0]) {
			if kind, ok = strings.CutSuffix(kind, "-Remaining"); ok {
				d = max(d, span(h.Get("Anthropic-Ratelimit-"+kind+"-Reset"), now))
			}
		}
	}
	windows, _ := spentWindows(h)
	for _, window := range windows {
		d = max(d, span(h.Get(unified(window, "reset")), now))
	}
	// A ChatGPT plan has two windows. Without a share that is used, the first counts.
	for i, window := range [...]string{"Primary", "Secondary"} {
		used, err := strconv.ParseFloat(h.Get("X-Codex-"+window+"-Used-Percent"), 64)
		if err == nil && used >= 100 || err != nil && i == 0 {
			in := span(h.Get("X-Codex-"+window+"-Reset-After-Seconds"), now)
			if in == 0 {
				in = span(h.Get("X-Codex-"+window+"-Reset-At"), now)
			}
			d = max(d, in)
		}
	}
	return d
}

func isZero(s string) bool {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil && f <= 0
}

// spentWindows returns the windows of an Anthropic subscription that are used up
// (5h, 7d), else those that count some models only (7d_opus), else the whole,
// which has no name. Overage is money on top of the plan; that it is off refuses
// nothing.
func spentWindows(h http.Header) (windows []string, ofModel bool) {
	var all, some, whole []string
	for name, values := range h {
		kind, ok := strings.CutPrefix(name, "Anthropic-Ratelimit-Unified-")
		if !ok || len(values) == 0 || !strings.EqualFold(strings.TrimSpace(values[0]), "rejected") {
			continue
		}
		window, ok := strings.CutSuffix(strings.ToLower(kind), "status")
		window = strings.TrimSuffix(window, "-")
		switch {
		case !ok || window == "overage":
		case window == "":
			whole = append(whole, window)
		case strings.Contains(window, "_"):
			some = append(some, window)
		default:
			all = append(all, window)
		}
	}
	ofModel = strings.HasPrefix(h.Get("Anthropic-Ratelimit-Unified-Representative-Claim"), "seven_day_")
	switch {
	case len(all) > 0:
		return all, false
	case len(some) > 0:
		return some, true
	}
	return whole, ofModel
}

// unified returns the name of a header of a window.
func unified(window, what string) string {
	if window != "" {
		window += "-"
	}
	return "anthropic-ratelimit-unified-" + window + what
}

// span reads how long something takes, or when it ends, in any of the forms in
// use: "20", "6m0s", a Unix time in seconds or milliseconds, RFC 3339, HTTP's.
// What is over or makes no sense is 0.
func span(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 64 {
		return 0
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		switch {
		case f >= 1e11:
			f = f/1000 - unix(now)
		case f >= 1e9: // 31 years: no span, but a moment
			f -= unix(now)
		}
		return seconds(f)
	}
	if d, err := time.ParseDuration(s); err == nil {
		return bounded(d)
	}
	for _, form := range [...]string{time.RFC3339, "2006-01-02 at 15:04 MST"} {
		if t, err := time.Parse(form, s); err == nil {
			return bounded(t.Sub(now))
		}
	}
	if t, err := http.ParseTime(s); err == nil {
		return bounded(t.Sub(now))
	}
	return 0
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// seconds returns a span of so many seconds, whatever the number is.
func seconds(f float64) time.Duration {
	if math.IsNaN(f) || math.IsInf(f, 0) || f <= 0 {
		return 0
	}
	return bounded(time.Duration(min(f, MaxNamed.Seconds()) * float64(time.Second)))
}

func bounded(d time.Duration) time.Duration { return max(0, min(d, MaxNamed)) }

// waits finds times in prose, of messages in small letters.
type waits struct{ phrase, part, moment *regexp.Regexp }

func newWaits() waits {
	const part = `(\d+(?:\.\d+)?)\s*(milliseconds?|ms|minutes?|mins?|m|hours?|hrs?|h|days?|d|seconds?|secs?|s)`
	return waits{
		// "try again in 7m12.5s", "retry after 26 seconds", "wait 3 minutes"
		phrase: regexp.MustCompile(`\b(?:again|retry|wait|resets?)\s+(?:in|after|for)?\s*((?:` + part + `\s*)+)`),
		part:   regexp.MustCompile(part),
		// "regain access on 2026-04-01 at 00:00 utc"
		moment: regexp.MustCompile(`\b(?:regain access|try again|resets?) (?:on|at) (\d{4}-\d\d-\d\d at \d\d:\d\d utc)`),
	}
}

func (w waits) in(message string, now time.Time) time.Duration {
	if m := w.moment.FindStringSubmatch(message); m != nil {
		return span(strings.Replace(m[1], "utc", "UTC", 1), now)
	}
	m := w.phrase.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	total := 0.0
	for _, p := range w.part.FindAllStringSubmatch(m[1], 8) {
		n, _ := strconv.ParseFloat(p[1], 64)
		total += n * secondsIn(p[2])
	}
	return seconds(total)
}

func secondsIn(unit string) float64 {
	switch {
	case unit == "ms", strings.HasPrefix(unit, "milli"):
		return 0.001
	case unit[0] == 'm':
		return 60
	case unit[0] == 'h':
		return 3600
	case unit[0] == 'd':
		return 24 * 3600
	}
	return 1
}
