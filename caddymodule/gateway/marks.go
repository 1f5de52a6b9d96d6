package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/store"
)

// Where it is kept who is set aside, for how long beyond the last day, how often it
// is looked at, and how many are kept: those that are set aside longest.
const (
	marksOwner = "board"
	marksName  = "aside"
	marksFor   = 30 * 24 * time.Hour
	marksEvery = time.Second
	maxMarks   = 5000
)

// RestoreBoard sets aside who was when the process ended.
func RestoreBoard(ctx context.Context, s store.Store, b *schedule.Board) error {
	text, err := s.Kept(ctx, marksOwner, marksName)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading who is set aside: %w", err)
	}
	var marks []schedule.Mark
	if err := json.Unmarshal(text, &marks); err != nil {
		return fmt.Errorf("reading who is set aside: %w", err)
	}
	now := time.Now()
	b.Restore(slices.DeleteFunc(marks, func(m schedule.Mark) bool { return !m.Until.After(now) }))
	return nil
}

// KeepBoard writes who is set aside whenever that has changed, until ctx ends, and
// once more then.
func KeepBoard(ctx context.Context, s store.Store, b *schedule.Board, log *zap.Logger) {
	ticker := time.NewTicker(marksEvery)
	defer ticker.Stop()
	var seen uint64 // what was restored is no change
	for {
		ended := false
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ended = true
		}
		if n := b.Changed(); n != seen {
			if err := keepMarks(context.WithoutCancel(ctx), s, b.Marks()); err != nil {
				log.Error("keeping who is set aside", zap.String("problem", bookProblem(err)))
			} else {
				seen = n
			}
		}
		if ended {
			return
		}
	}
}

func keepMarks(ctx context.Context, s store.Store, marks []schedule.Mark) error {
	slices.SortFunc(marks, func(a, b schedule.Mark) int {
		return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.Connection, b.Connection))
	})
	text, err := json.Marshal(marks[:min(len(marks), maxMarks)])
	if err != nil {
		return err
	}
	return s.Keep(ctx, marksOwner, marksName, text, time.Now().Add(marksFor))
}
