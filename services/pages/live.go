package pages

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"creditstream/services/api"
)

const (
	liveBeat  = 15 * time.Second       // a comment, so that a dead connection is noticed
	liveSlow  = 30 * time.Second       // how long a client may take for what was written
	livePace  = 250 * time.Millisecond // between two events of one connection
	liveRetry = 1000                   // after how many milliseconds a browser connects again
)

// follow tells the page that its account changed: server-sent events "changed", whose id is the journal's
// sequence. Whoever comes back after a lost connection says what it saw last, and is told at once if
// anything happened since. "ended" says that the session or the code's time is over.
func follow(v *visit) error {
	f, leave, err := v.live.join(v.tenant, v.account.ID(), v.at.Shard)
	if err != nil {
		v.w.Header().Set("Retry-After", "10")
		http.Error(v.w, err.Error(), http.StatusServiceUnavailable)
		return nil
	}
	defer leave()
	s := &stream{w: v.w, control: http.NewResponseController(v.w)}
	header := v.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no")
	v.w.WriteHeader(http.StatusOK)
	shard := v.tenant.Shard(v.account.ID())
	err = s.send(fmt.Sprintf("retry: %d\n\n", liveRetry))
	if shard.Head() > v.seen() && err == nil {
		err = s.changed(shard.Head())
	}
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	over := v.sessionEnds()
	for err == nil {
		select {
		case <-f.changed:
			if err = s.changed(shard.Head()); err == nil {
				err = v.pause(livePace)
			}
		case <-beat.C:
			err = s.send(":\n\n")
		case <-over:
			return s.send("event: ended\ndata: \n\n")
		case <-f.gone:
			return nil
		case <-api.Stopping(v.ctx):
			return nil
		case <-v.ctx.Done():
			return nil
		}
	}
	return nil // the client is gone: there is nobody to tell
}

// pause lets what happens at once become one event.
func (v *visit) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-v.ctx.Done():
		return v.ctx.Err()
	}
}

// seen is the sequence that the page shows already.
func (v *visit) seen() uint64 {
	seen, _ := strconv.ParseUint(v.r.URL.Query().Get("seen"), 10, 64)
	last, _ := strconv.ParseUint(v.r.Header.Get("Last-Event-ID"), 10, 64)
	return max(seen, last)
}

// sessionEnds is a channel that says when the session or the code's time is over; nil for never.
func (v *visit) sessionEnds() <-chan time.Time {
	ends := v.ends
	if !v.opened.IsZero() && (ends.IsZero() || v.opened.Before(ends)) {
		ends = v.opened
	}
	if ends.IsZero() {
		return nil
	}
	return time.After(ends.Sub(v.now))
}

// stream is the connection of one page.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) changed(head uint64) error {
	return s.send(fmt.Sprintf("id: %d\nevent: changed\ndata: \n\n", head))
}

func (s *stream) send(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(liveSlow)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
