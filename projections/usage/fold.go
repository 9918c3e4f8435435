package usage

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // days are the account's; its zone must be known on every machine

	"creditstream/events/credit"
	"creditstream/projections"
)

// Version of the records; views of another one are rebuilt.
const Version = recordFormat

// Bounds of what a Work keeps between batches, about 300 bytes each.
const (
	cacheTotals   = 65_536
	cacheAccounts = 65_536
)

// Fold is the kind of view.
type Fold struct {
	cache int // instead of the bounds of what a Work keeps, for tests
}

// Name is "usage".
func (Fold) Name() string { return "usage" }

// Version is Version.
func (Fold) Version() uint32 { return Version }

// Begin starts to fold on from what v holds.
func (f Fold) Begin(v *projections.View) projections.Work {
	all := v.Empty()
	return &work{view: v, accounts: make(map[string]*account), totals: make(map[place]*total), zones: make(map[string]*time.Location), allAccounts: all, allTotals: all,
		mostTotals: cmp.Or(f.cache, cacheTotals), mostAccounts: cmp.Or(f.cache, cacheAccounts)}
}

type work struct {
	view     *projections.View
	accounts map[string]*account
	totals   map[place]*total
	zones    map[string]*time.Location
	// Nothing of these is in the view and not in the map.
	allAccounts, allTotals   bool
	mostTotals, mostAccounts int

	touched []*total
	changed []*account
	key     []byte
	value   []byte
}

type account struct {
	id      string
	state   state
	recent  []Cycle // those that the batch has and the view has not yet
	zone    *time.Location
	changed bool
	// The hour whose day was looked up last: the next use is nearly always in it too.
	hourFrom, hourTo time.Time
	day              Day
}

type total struct {
	place
	Total
	touched bool
}

// Apply adds what one entry used.
func (w *work) Apply(b *projections.Batch, _ projections.Position, e *credit.Entry) error {
	if e.Account == "" {
		return nil
	}
	a, err := w.load(e.Account)
	if err != nil {
		return err
	}
	for i := range e.Facts {
		if err := w.fact(b, a, e.Facts[i].Event, e.Facts[i].At); err != nil {
			return err
		}
	}
	return nil
}

// Full bounds a batch to accounts and totals that fit into the cache.
func (w *work) Full() bool {
	return len(w.touched) >= w.mostTotals || len(w.changed) >= w.mostAccounts
}

func (w *work) fact(b *projections.Batch, a *account, event credit.Event, at time.Time) error {
	switch e := event.(type) {
	case *credit.UsageRecorded:
		return w.use(a, e.Meter, at, e.Quantity, 1, e.Draws)
	case *credit.HoldCaptured:
		return w.use(a, e.Meter, at, e.Quantity, 1, e.Draws, e.Excess)
	case *credit.DebtRepaid:
		return w.use(a, e.Meter, at, 0, 1, e.Draws)
	case *credit.UsageReversed:
		replaced := make([]credit.Draw, len(e.Replaced))
		for i := range e.Replaced {
			replaced[i] = e.Replaced[i].Draw
		}
		return w.use(a, e.Meter, at, -e.Quantity, -1, e.Draws, e.Lapsed, replaced)
	case *credit.AccountOpened:
		w.move(a, e.Timezone, e.Cycle)
	case *credit.PlanChanged:
		if e.Cycle.Number != a.state.cycle.Number && a.state.cycle.Number != 0 {
			closed := a.state.cycle
			closed.To = e.Cycle.From
			if err := w.keep(b, a, closed); err != nil {
				return err
			}
		}
		w.move(a, a.state.zone, e.Cycle)
	case *credit.CycleRenewed:
		w.move(a, e.Timezone, e.Cycle)
	default:
		return nil
	}
	return w.keep(b, a, a.state.cycle)
}

// move puts an account into a zone and a cycle.
func (w *work) move(a *account, zone string, c credit.Cycle) {
	a.state.zone, a.state.cycle = zone, Cycle{c.Number, c.From, c.To}
	a.zone, a.hourTo = nil, time.Time{}
	w.change(a)
}

func (w *work) change(a *account) {
	if !a.changed {
		a.changed = true
		w.changed = append(w.changed, a)
	}
}

func (w *work) keep(b *projections.Batch, a *account, c Cycle) error {
	a.recent = append(a.recent, c)
	w.value = c.append(w.value[:0])
	return b.Put(appendCycle(append(b.Key(), tagCycle), a.id, c.Number), w.value)
}

// use adds draws to the cycles that they name, with the sign. The quantity goes with the first of them.
func (w *work) use(a *account, meter string, at time.Time, quantity int64, sign credit.Amount, groups ...[]credit.Draw) error {
	day := w.dayOf(a, at)
	var last *Total
	var lastCycle uint32
	for _, draws := range groups {
		for i := range draws {
			d := &draws[i]
			if last == nil || lastCycle != d.Cycle {
				var err error
				if last, err = w.total(a, place{a.id, d.Cycle, day, meter}); err != nil {
					return err
				}
				lastCycle = d.Cycle
			}
			if d.Unit == "" {
				last.Credits += sign * d.Amount
			} else {
				last.Units += sign * d.Amount
			}
			last.Quantity += quantity
			quantity = 0
		}
	}
	if quantity == 0 {
		return nil
	}
	cycle, err := w.cycleOf(a, at)
	if err != nil {
		return err
	}
	t, err := w.total(a, place{a.id, cycle, day, meter})
	if err != nil {
		return err
	}
	t.Quantity += quantity
	return nil
}

// cycleOf is the cycle in which something happened that no lot paid. It is the present one unless it happened
// before that.
func (w *work) cycleOf(a *account, at time.Time) (uint32, error) {
	c := a.state.cycle
	for c.Number > 1 && at.Before(c.From) {
		earlier, err := w.cycle(a, c.Number-1)
		if err != nil {
			return 0, err
		}
		c = earlier
	}
	return c.Number, nil
}

func (w *work) cycle(a *account, number uint32) (Cycle, error) {
	for i := len(a.recent) - 1; i >= 0; i-- {
		if a.recent[i].Number == number {
			return a.recent[i], nil
		}
	}
	c := Cycle{Number: number}
	value, ok, err := w.view.Get(nil, appendCycle([]byte{tagCycle}, a.id, number))
	if err != nil {
		return c, err
	}
	if !ok {
		return c, fmt.Errorf("cycle %d of account %s is not there: %w", number, a.id, errRecord)
	}
	if err := c.decode(value); err != nil {
		return c, fmt.Errorf("cycle %d of account %s: %w", number, a.id, err)
	}
	return c, nil
}

func (w *work) dayOf(a *account, at time.Time) Day {
	if !a.hourTo.IsZero() && !at.Before(a.hourFrom) && at.Before(a.hourTo) {
		return a.day
	}
	if a.zone == nil {
		a.zone = w.location(a.state.zone)
	}
	a.day = DayOf(at, a.zone)
	a.hourFrom = at.Truncate(time.Hour)
	a.hourTo = a.hourFrom.Add(time.Hour)
	// Zones are off by parts of an hour, and clocks change: an hour with two days in it is not kept.
	if DayOf(a.hourFrom, a.zone) != a.day || DayOf(a.hourTo.Add(-1), a.zone) != a.day || offset(a.hourFrom, a.zone) != offset(a.hourTo, a.zone) {
		a.hourTo = time.Time{}
	}
	return a.day
}

func offset(t time.Time, zone *time.Location) int {
	_, seconds := t.In(zone).Zone()
	return seconds
}

// location is the zone of that name. The rules refuse zones that do not exist; should one cease to, its
// accounts' days are those of UTC.
func (w *work) location(name string) *time.Location {
	if zone := w.zones[name]; zone != nil {
		return zone
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		zone = time.UTC
	}
	w.zones[name] = zone
	return zone
}

func (w *work) load(id string) (*account, error) {
	if a := w.accounts[id]; a != nil {
		return a, nil
	}
	id = strings.Clone(id) // it is a part of the commit
	a := &account{id: id}
	if w.allAccounts {
		w.accounts[id] = a
		return a, nil
	}
	w.key = appendState(w.key[:0], id)
	value, ok, err := w.view.Get(w.value[:0], w.key)
	if err != nil {
		return nil, err
	}
	if ok {
		if err := a.state.decode(value); err != nil {
			return nil, fmt.Errorf("account %s: %w", id, err)
		}
	}
	w.accounts[id] = a
	return a, nil
}

// total is where the uses of an account are added to: in its own record, unless they are of a day before its latest or
// there is no room.
func (w *work) total(a *account, p place) (*Total, error) {
	s := &a.state
	if len(s.open) == 0 || p.day > s.day {
		w.close(a)
		s.day = p.day
	}
	if p.day == s.day {
		o := s.find(p.cycle, p.meter)
		if o == nil && len(s.open) < mostOpen {
			s.open = append(s.open, open{cycle: p.cycle, meter: p.meter})
			o = &s.open[len(s.open)-1]
		}
		if o != nil {
			w.change(a)
			return &o.Total, nil
		}
	}
	t, err := w.closed(p)
	if err != nil {
		return nil, err
	}
	return &t.Total, nil
}

// close gives the totals of an account's latest day records of their own. They have none yet.
func (w *work) close(a *account) {
	s := &a.state
	for i := range s.open {
		o := &s.open[i]
		t := &total{place: place{a.id, o.cycle, s.day, o.meter}, Total: o.Total}
		w.totals[t.place] = t
		w.touch(t)
	}
	s.open = s.open[:0]
}

// closed is a total that has a record of its own.
func (w *work) closed(p place) (*total, error) {
	t := w.totals[p]
	if t == nil && w.allTotals {
		t = &total{place: p}
		w.totals[p] = t
	}
	if t == nil {
		w.key = p.append(w.key[:0])
		value, ok, err := w.view.Get(w.value[:0], w.key)
		if err != nil {
			return nil, err
		}
		t = &total{place: p}
		if ok {
			if err := t.decode(value); err != nil {
				return nil, fmt.Errorf("usage of account %s on %s: %w", p.account, p.day, err)
			}
		}
		w.totals[p] = t
	}
	w.touch(t)
	return t, nil
}

func (w *work) touch(t *total) {
	if !t.touched {
		t.touched = true
		w.touched = append(w.touched, t)
	}
}

// Flush writes the totals that changed, and the accounts.
func (w *work) Flush(b *projections.Batch) error {
	for _, t := range w.touched {
		t.touched = false
		w.value = t.Total.append(w.value[:0])
		if err := b.Put(t.place.append(b.Key()), w.value); err != nil {
			return err
		}
	}
	for _, a := range w.changed {
		a.changed = false
		a.recent = a.recent[:0]
		w.value = a.state.append(w.value[:0])
		if err := b.Put(appendState(b.Key(), a.id), w.value); err != nil {
			return err
		}
	}
	clear(w.touched)
	clear(w.changed)
	w.touched, w.changed = w.touched[:0], w.changed[:0]
	w.allTotals = shrink(w.totals, w.mostTotals) && w.allTotals
	w.allAccounts = shrink(w.accounts, w.mostAccounts) && w.allAccounts
	return nil
}

// shrink takes out what is beyond the limit; it reports whether nothing was.
func shrink[K comparable, V any](m map[K]V, limit int) bool {
	if len(m) <= limit {
		return true
	}
	for k := range m {
		if len(m) <= limit {
			break
		}
		delete(m, k)
	}
	return false
}

// Describe writes one record for people.
func (Fold) Describe(key, value []byte) (name, content string) {
	if len(key) == 0 {
		return "checkpoint", fmt.Sprintf("%x", value)
	}
	switch key[0] {
	case tagUsage:
		if account, rest, ok := projections.CutText(key[1:]); ok && len(rest) == 0 {
			return describeState(account, key, value)
		}
		var t Total
		if p, ok := cutPlace(key); ok && t.decode(value) == nil {
			return fmt.Sprintf("usage of %s by account %s on %s in cycle %d", p.meter, p.account, p.day, p.cycle), fmt.Sprintf("quantity %d, credits %d, units %d", t.Quantity, t.Credits, t.Units)
		}
	case tagCycle:
		var c Cycle
		if account, _, ok := projections.CutText(key[1:]); ok && c.decode(value) == nil {
			return fmt.Sprintf("cycle %x of account %s", key[len(key)-4:], account), fmt.Sprintf("from %s to %s", c.From.Format(time.RFC3339Nano), c.To.Format(time.RFC3339Nano))
		}
	}
	return fmt.Sprintf("key %q", key), fmt.Sprintf("%x", value)
}

func describeState(account string, key, value []byte) (name, content string) {
	var s state
	if s.decode(value) != nil {
		return fmt.Sprintf("key %q", key), fmt.Sprintf("%x", value)
	}
	content = fmt.Sprintf("zone %s, cycle %+v", s.zone, s.cycle)
	for i := range s.open {
		o := &s.open[i]
		content += fmt.Sprintf("; on %s of %s in cycle %d: quantity %d, credits %d, units %d", s.day, o.meter, o.cycle, o.Quantity, o.Credits, o.Units)
	}
	return "latest usage of account " + account, content
}

// Own is where the totals and cycles of an account are, and its state.
func (Fold) Own(account string) [][2][]byte {
	var own [][2][]byte
	for _, tag := range []byte{tagCycle, tagUsage} {
		from := projections.AppendText([]byte{tag}, account)
		own = append(own, [2][]byte{from, append(from[:len(from):len(from)], 0xff)})
	}
	return own
}
