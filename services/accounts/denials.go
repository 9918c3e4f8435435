package accounts

import (
	"sync"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// Refusals that a tenant wants on record are journaled at most once per account, meter and code within
// denialInterval; those in between are counted, and their count is journaled with the next one, or by the
// sweep. Beyond maxDenials such windows at once, refusals are answered and not recorded. So a client that
// hammers an empty account writes two events a minute, and not one for each request. Counts live in memory:
// a crash loses at most those of the last interval.
const (
	denialInterval = time.Minute
	maxDenials     = 1 << 16
)

type denials struct {
	mu   sync.Mutex
	open map[denial]*window
}

type denial struct{ account, meter, code string }

// window is an interval that began with a refusal on record.
type window struct {
	from time.Time
	last credit.UsageDenied // with Count, those that are not on record yet
}

// record returns the facts of a refusal that are to be written now: none of a UsageDenied that was only counted.
func (d *denials) record(account string, facts []credit.Fact, now time.Time) []credit.Fact {
	denied, ok := facts[0].Event.(*credit.UsageDenied)
	if !ok || len(facts) > 1 {
		return facts
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := denial{account, denied.Meter, denied.Code}
	w := d.open[key]
	switch {
	case w == nil && len(d.open) >= maxDenials:
		return nil
	case w == nil:
		if d.open == nil {
			d.open = make(map[denial]*window)
		}
		d.open[key] = &window{from: now}
		return facts
	}
	counted := *denied
	counted.Count, counted.Since = w.last.Count+1, w.from
	if now.Before(w.from.Add(denialInterval)) {
		w.last = counted
		return nil
	}
	*w = window{from: now}
	if counted.Count == 1 { // none in between
		return facts
	}
	return []credit.Fact{{At: facts[0].At, Event: &counted}}
}

// overdue closes at most limit windows that are over, and returns the requests that put on record what was
// counted in them.
func (d *denials) overdue(now time.Time, limit int) (requests []Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, w := range d.open {
		if len(requests) >= limit {
			break
		}
		if now.Before(w.from.Add(denialInterval)) {
			continue
		}
		delete(d.open, key)
		if w.last.Count > 0 {
			requests = append(requests, Request{Account: key.account, Command: counted(w.last)})
		}
	}
	return requests
}

// counted puts refusals on record that were only counted so far.
type counted credit.UsageDenied

// Decide states UsageDenied.
func (c counted) Decide(a *credit.Account, _ *rules.Book, now time.Time) ([]credit.Fact, error) {
	if !a.Exists() {
		return nil, nil
	}
	e := credit.UsageDenied(c)
	return []credit.Fact{{At: now, Event: &e}}, nil
}
