package projections

import (
	"context"
	"errors"
	"testing"
)

type named struct{ Fold }

func (named) Name() string { return "named" }

// Who gave up waiting for a view that stands still is forgotten.
func TestWhoGaveUpWaitingIsForgotten(t *testing.T) {
	name, s := Name{Tenant: "acme"}, &shard{}
	k := &kind{fold: named{}, shards: map[Name]*shard{name: s}, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.waitFor(ctx, name, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(s.waiters) != 0 || k.waiting != 0 {
		t.Errorf("%d still wait", len(s.waiters))
	}
}
