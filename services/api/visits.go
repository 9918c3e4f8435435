package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrBusy says that something is under way in a door though it was told to end: what it uses must not be
// closed.
var ErrBusy = errors.New("requests are still under way")

// cutGrace is how long requests that were cut short have for leaving. Whatever waits, waits for its context
// as well; what is left is a step of work, or a write to a connection that was closed.
const cutGrace = 5 * time.Second

// visits are the requests under way, so that a stop can wait for them, cut them short, and name what is left:
// every request may use a view, and no view may be closed under it.
type visits struct {
	mu     sync.Mutex
	closed bool
	grace  time.Duration
	all    map[*visit]struct{}
	left   chan struct{} // made by close, and closed when nobody is left
}

type visit struct {
	operation string
	cut       context.CancelFunc
}

// enter lets a request in; false when the door is closed. cut ends the request's context.
func (v *visits) enter(operation string, cut context.CancelFunc) (*visit, bool) {
	entered := &visit{operation: operation, cut: cut}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, false
	}
	if v.all == nil {
		v.all = make(map[*visit]struct{})
	}
	v.all[entered] = struct{}{}
	return entered, true
}

// Admit counts the requests of a handler beside this door, such as pages, with those of the door: whoever closes
// it waits for them, too.
func (a *API) Admit(operation string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cut := context.WithCancel(r.Context())
		defer cut()
		entered, ok := a.visits.enter(operation, cut)
		if !ok {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
			return
		}
		defer a.visits.leave(entered)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (v *visits) leave(entered *visit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.all, entered)
	if v.closed && len(v.all) == 0 {
		close(v.left)
	}
}

// close lets nobody in any more, and returns when all have left. Who is there when ctx ends is cut short; who
// is there then still after a while is named in the error, ErrBusy.
func (v *visits) close(ctx context.Context) error {
	v.mu.Lock()
	if !v.closed {
		v.closed, v.left = true, make(chan struct{})
		if len(v.all) == 0 {
			close(v.left)
		}
	}
	v.mu.Unlock()
	select {
	case <-v.left:
		return nil
	case <-ctx.Done():
	}
	for entered := range v.here() {
		entered.cut()
	}
	grace := time.NewTimer(v.grace)
	defer grace.Stop()
	select {
	case <-v.left:
		return nil
	case <-grace.C:
		return v.busy()
	}
}

func (v *visits) here() map[*visit]struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.all)
}

func (v *visits) busy() error {
	var names []string
	for entered := range v.here() {
		names = append(names, entered.operation)
	}
	slices.Sort(names)
	return fmt.Errorf("%w: %s", ErrBusy, strings.Join(slices.Compact(names), ", "))
}
