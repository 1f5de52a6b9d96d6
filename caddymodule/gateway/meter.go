package gateway

import (
	"github.com/nine-router/nine-router/translate/tokens"
)

// meter takes what the provider says was used into the record.
func (a *attempt) meter() {
	rec, u := &a.x.rec, &a.seen.usage
	rec.UsageReported = a.seen.reported
	rec.Input, rec.CacheRead, rec.CacheWrite = u.Input+u.ToolInput, u.CacheRead, u.CacheWrite
	rec.Output, rec.Reasoning = u.Billed(), u.Reasoning
	// What the provider does not tell is estimated, or else whoever leaves before
	// the end, or asks for no figures, would never come up against a limit.
	if a.seen.letters > 0 && !u.HasInput {
		rec.Input = tokens.Rough(len(a.x.env.body))
	}
	if a.seen.letters > 0 && !(u.HasOutput && a.seen.finished) {
		rec.Output = max(rec.Output, tokens.Rough(a.seen.letters))
	}
	if a.encoder != nil {
		rec.Losses = len(a.losses) + len(a.encoder.Losses())
	}
	a.price()
}

// price says what it cost.
func (a *attempt) price() {
	rec := &a.x.rec
	info, _ := a.Provider.Model(a.Model)
	if price := info.PriceAt(rec.Input); price != nil {
		rec.Priced, rec.Price = true, *price
		rec.Cost = rec.Price.Cost(rec.Input, rec.CacheRead, rec.CacheWrite, rec.Output)
	}
}
