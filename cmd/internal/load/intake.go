package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"creditstream/services/intake"
)

// sampleEvery is which part of the keys the time to their record is measured of.
const sampleEvery = 16

// settleWithin bounds how long what was acknowledged may take to be recorded.
const settleWithin = time.Minute

// overIntake publishes a batch to the durable intake and waits for the ack of that; the charge itself is
// recorded later.
func overIntake(ctx context.Context, c *client, now time.Time) (int, error) {
	o := c.door.(*overNATS)
	first := c.sent
	batch := c.next(now)
	c.recorded.sent(batch, first, now)
	o.body = appendCharges(o.body[:0], batch)
	reply, err := o.asking.ask(ctx, intake.Subject(tenantName), o.body)
	if err != nil {
		return 0, fmt.Errorf("publish to the intake: %w", err)
	}
	if bytes.Contains(reply, []byte(`"error"`)) {
		return 0, fmt.Errorf("the intake did not take a message: %.300s", reply)
	}
	c.recorded.acknowledged(len(batch))
	for i := range batch {
		c.acknowledged.add(first + uint64(i))
	}
	return len(batch), nil
}

// recorded follows the journal to see when what the intake acknowledged is recorded.
type recorded struct {
	mu      sync.Mutex
	acked   int
	seen    int
	started map[string]time.Time // of some keys
	latency *hdrhistogram.Histogram
	ended   error         // why the journal is not followed any more
	changed chan struct{} // has room for one
}

// followRecorded reads the journals from their heads on until stop is called.
func followRecorded(ctx context.Context, t *target) (r *recorded, stop func() error) {
	r = &recorded{started: make(map[string]time.Time), latency: newMeasured().latency, changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	for shard := range t.tenant.Shards() {
		journal := t.node.Journal(tenantName, shard)
		from := journal.Head().Sequence + 1
		following.Go(func() {
			for commit, err := range journal.Follow(ctx, from) {
				if r.note(commit.Body, err); err != nil {
					return
				}
			}
		})
	}
	return r, func() error {
		cancel()
		following.Wait()
		if errors.Is(r.ended, context.Canceled) {
			return nil
		}
		return r.ended
	}
}

// note finds the keys of a commit. It looks for them as text: decoding would take more of the processor
// that is measured.
func (r *recorded) note(body []byte, err error) {
	now := time.Now()
	r.mu.Lock()
	if err != nil && r.ended == nil {
		r.ended = err
	}
	for mark := []byte(`"entrykey":"`); ; {
		i := bytes.Index(body, mark)
		if i < 0 {
			break
		}
		body = body[i+len(mark):]
		r.seen++
		if at, ok := r.started[string(body[:min(len(body), 36)])]; ok {
			delete(r.started, string(body[:36]))
			_ = r.latency.RecordValue(min(max(now.Sub(at).Microseconds(), 1), highestMicros)) // within the bounds
		}
	}
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// sent notes when a batch was sent.
func (r *recorded) sent(batch []Charge, first uint64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range batch {
		if (first+uint64(i))%sampleEvery == 0 {
			r.started[batch[i].Key] = now
		}
	}
}

func (r *recorded) acknowledged(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked += n
}

// settle waits until all that was acknowledged is recorded.
func (r *recorded) settle(ctx context.Context) error {
	late := time.NewTimer(settleWithin)
	defer late.Stop()
	for {
		r.mu.Lock()
		acked, seen, err := r.acked, r.seen, r.ended
		r.mu.Unlock()
		if err != nil {
			return fmt.Errorf("follow the journal: %w", err)
		}
		if seen >= acked {
			return nil
		}
		select {
		case <-r.changed:
		case <-late.C:
			return fmt.Errorf("of %d charges that the intake acknowledged %d were recorded in %v", acked, seen, settleWithin)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reset forgets the latencies so far.
func (r *recorded) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latency.Reset()
}

func (r *recorded) quantile(q float64) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return float64(r.latency.ValueAtQuantile(q))
}
