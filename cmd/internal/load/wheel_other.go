//go:build !linux

package load

import (
	"context"
	"time"
)

// wheel is for Linux; elsewhere each client has a goroutine.
type wheel struct{}

func (r *run) newWheel(context.Context, []*client) (*wheel, error) { return nil, nil }

func (w *wheel) turn(_ context.Context, _, _ time.Time, _ time.Duration, _ time.Time) error {
	return nil
}

func (w *wheel) close() error { return nil }
