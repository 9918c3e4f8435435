package accounts

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// ErrKeptOut says that the gate is closed. It comes with ErrUnavailable, and who closed the gate has said why: it
// is not to be logged with every request.
var ErrKeptOut = errors.New("new work is kept out")

// Gate keeps new work out of all shards of a server while there is nothing to write it on, such as a full disk.
// What is under way goes on, and reads do. The zero value is open, and nil always is.
type Gate struct{ reason atomic.Pointer[error] }

// Close refuses what comes from now on with ErrUnavailable, for a reason, and reports whether it was open.
func (g *Gate) Close(reason error) (was bool) {
	err := fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrKeptOut, reason)
	return g.reason.Swap(&err) == nil
}

// Open lets work in again, and reports whether it was kept out.
func (g *Gate) Open() (was bool) { return g.reason.Swap(nil) != nil }

// Err is why work is kept out, or nil.
func (g *Gate) Err() error {
	if g == nil {
		return nil
	}
	if reason := g.reason.Load(); reason != nil {
		return *reason
	}
	return nil
}
