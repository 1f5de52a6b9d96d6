package fault

import (
	"net/http"
	"testing"
	"time"
)

func TestSpans(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"20": 20 * time.Second, "1.5": 1500 * time.Millisecond, " 7 ": 7 * time.Second,
		"1s": time.Second, "6m0s": 6 * time.Minute, "20ms": 20 * time.Millisecond, "48.939935699s": 48939935699 * time.Nanosecond,
		"1795608060": time.Minute, "1795608060000": time.Minute, "1795608060.5": time.Minute + 500*time.Millisecond,
		"2026-11-25T12:00:30Z": 30 * time.Second, "2026-11-25T13:00:30+01:00": 30 * time.Second, "Wed, 25 Nov 2026 12:00:10 GMT": 10 * time.Second,
		// Over, or no time at all.
		"": 0, "0": 0, "-3": 0, "-1h": 0, "soon": 0, "NaN": 0, "Inf": 0, "-Inf": 0, "1e400": 0, "1700000000": 0, "2020-01-01T00:00:00Z": 0,
		// More than is believed.
		"99999999": MaxNamed, "9e8": MaxNamed, "1e300": MaxNamed, "9999h": MaxNamed, "2126-11-25T12:00:30Z": MaxNamed, "99999999999": MaxNamed,
	} {
		if got := span(s, now); got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
}

func TestWaitsInProse(t *testing.T) {
	t.Parallel()
	w := newWaits()
	for s, want := range map[string]time.Duration{
		"please try again in 7m12.5s.":                          7*time.Minute + 12500*time.Millisecond,
		"please try again in 1h2m3s":                            time.Hour + 2*time.Minute + 3*time.Second,
		"try again in 20ms":                                     20 * time.Millisecond,
		"please retry after 26 seconds.":                        26 * time.Second,
		"max rpm: 3, please try again after 1 seconds":          time.Second,
		"wait 3 minutes":                                        3 * time.Minute,
		"please retry in 48.5s.":                                48500 * time.Millisecond,
		"you will regain access on 2026-11-26 at 00:00 utc.":    12 * time.Hour,
		"try again in 99999999999999999999999999999999999 days": MaxNamed,
		"try again later":                                       0,
		"limit 30 seconds":                                      0,
	} {
		if got := w.in(s, now); got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
}

func TestMomentsAreByTheProvidersClock(t *testing.T) {
	t.Parallel()
	table := table(t)
	a := answer("", "p", 429, `{}`, "Date", "Wed, 25 Nov 2026 09:00:00 GMT", "Retry-After", "Wed, 25 Nov 2026 09:00:20 GMT")
	if got := table.Classify(a, now).After; got != 20*time.Second {
		t.Errorf("after %v, want 20s though our clock is three hours ahead", got)
	}
}

func TestGooglesDayEndsAtMidnightPacific(t *testing.T) {
	t.Parallel()
	table := table(t)
	if table.pacific.String() != "America/Los_Angeles" {
		t.Skip("there is no database of time zones here")
	}
	for at, want := range map[string]time.Duration{
		"2026-01-10T07:59:00Z": time.Minute,
		"2026-01-10T08:00:00Z": 24 * time.Hour,
		"2026-07-10T06:59:00Z": time.Minute,    // summer
		"2026-03-08T08:00:00Z": 23 * time.Hour, // the day that summer begins
		"2026-11-01T07:00:00Z": 25 * time.Hour,
	} {
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := untilMidnight(moment.In(table.pacific)); got != want {
			t.Errorf("at %s: %v, want %v", at, got, want)
		}
	}
}

func TestOnlyLimitsOfRateLookAtTheirState(t *testing.T) {
	t.Parallel()
	table := table(t)
	spent := []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "6m0s"}
	if got := table.Classify(answer("", "p", 500, `{}`, spent...), now).After; got != 0 {
		t.Errorf("a server error is over after %v", got)
	}
	if got := ofLimits(http.Header{"X-Ratelimit-Remaining-Tokens-Minute": {"0"}, "X-Ratelimit-Reset-Tokens-Minute": {"12.5"}}, now); got != 12500*time.Millisecond {
		t.Errorf("got %v", got)
	}
}
