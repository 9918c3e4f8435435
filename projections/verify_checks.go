package projections

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"creditstream/events/credit"

	"github.com/cockroachdb/pebble/v2"
)

// checks are what every entry of a journal is held against. Accounts that do not fit into memory are spilled into a
// store of its own, which is made when it is needed:
//
//	a | account | part | id    a part of an account
//	n | account                an account that was spilled
type checks struct {
	report   *Report
	cfg      *VerifyConfig
	dir      string
	db       *pebble.DB // nil until something was spilled
	accounts map[string]*credit.Account
	broken   map[string]bool // accounts that nothing more can be said about
	recorded time.Time
	// What the pools of an account should have after a fact, and what the fold says.
	due, folded sums
	keys        *usedKeys
	key         []byte
	value       []byte
}

// checkedAccounts bounds the accounts that checks keep in memory.
const checkedAccounts = 16_384

func newChecks(dir string, report *Report, cfg *VerifyConfig) *checks {
	return &checks{report: report, cfg: cfg, dir: dir, accounts: make(map[string]*credit.Account), broken: make(map[string]bool), keys: newUsedKeys(dir)}
}

func (c *checks) close() error {
	err := c.keys.close()
	if c.db != nil {
		err = errors.Join(err, c.db.Close())
	}
	return err
}

// fault describes a fault of an entry; nil where it is the commit's.
func (c *checks) fault(at Position, e *credit.Entry, problem string) {
	if len(c.report.Faults) >= maxFaults {
		return
	}
	f := Fault{Sequence: at.Sequence, Entry: at.Offset, Problem: problem}
	if e != nil {
		f.Account, f.Key = e.Account, e.Key
	}
	c.report.Faults = append(c.report.Faults, f)
}

// commit checks all entries of one commit.
func (c *checks) commit(commit Commit) error {
	for i := range commit.Entries {
		if err := c.entry(Position{commit.Head.Sequence, uint32(i)}, &commit.Entries[i]); err != nil {
			return err
		}
	}
	if len(c.accounts) > checkedAccounts {
		return c.spill()
	}
	return nil
}

func (c *checks) entry(at Position, e *credit.Entry) error {
	c.report.Entries++
	c.report.Events += uint64(len(e.Facts))
	if e.Recorded.Before(c.recorded) {
		c.report.Disordered++
		c.fault(at, e, fmt.Sprintf("recorded at %s, after an entry of %s", e.Recorded, c.recorded))
	}
	c.recorded = e.Recorded
	if err := c.keyed(at, e); err != nil {
		return err
	}
	if e.Account == "" {
		c.ofTenant(at, e)
		return nil
	}
	if c.broken[e.Account] {
		return nil
	}
	a, err := c.load(e.Account)
	if err != nil {
		return err
	}
	for i := range e.Facts {
		c.fact(at, e, a, &e.Facts[i])
	}
	c.balance(at, e, a)
	return nil
}

// ofTenant checks an entry that is about no account: it publishes a catalog.
func (c *checks) ofTenant(at Position, e *credit.Entry) {
	for i := range e.Facts {
		published, ok := e.Facts[i].Event.(*credit.CatalogPublished)
		if !ok {
			c.report.Nonsensical++
			c.fault(at, e, fmt.Sprintf("a %s names no account", e.Facts[i].Event.Kind()))
			continue
		}
		if c.cfg.Catalog == nil {
			continue
		}
		if err := c.cfg.Catalog(published.Version, e.Facts[i].At, published.Source); err != nil {
			c.report.Nonsensical++
			c.fault(at, e, fmt.Sprintf("catalog %d: %v", published.Version, err))
		}
	}
}

// keyed checks an entry's idempotency: what was asked for under a key carries the hash of its content, and no key
// is used twice, which is known at the end. (What fell due has keys of its own, without a hash and without anybody who asked.)
func (c *checks) keyed(at Position, e *credit.Entry) error {
	switch hashed := e.Hash != (credit.Hash{}); {
	case hashed && e.Key == "":
		c.report.Nonsensical++
		c.fault(at, e, "it has the hash of a request, and no key")
	case hashed:
		return c.keys.use(at, e.Account, e.Key)
	case e.Key != "" && e.Actor != "":
		c.report.Nonsensical++
		c.fault(at, e, "somebody asked for it under a key, and the hash of what was asked is not there")
	}
	return nil
}

// fact checks the draws of one fact against the account as it was before, and folds it.
func (c *checks) fact(at Position, entry *credit.Entry, a *credit.Account, f *credit.Fact) {
	d := drawing{checks: c, at: at, entry: entry, account: a, when: f.At}
	switch e := f.Event.(type) {
	case *credit.UsageRecorded:
		d.check(e.Draws, e.Meter, e.Catalog)
		d.owes(e.Debt, e.Catalog)
	case *credit.HoldPlaced:
		d.check(e.Draws, e.Meter, e.Catalog)
	case *credit.HoldCaptured:
		d.check(e.Excess, e.Meter, e.Catalog)
		d.owes(e.Debt, e.Catalog)
	case *credit.DebtRepaid:
		d.check(e.Draws, e.Meter, 0)
	case *credit.CreditPurchased:
		if p := a.Purchase(e.Purchase); p != nil && p.Lot != "" {
			c.report.Doubled++
			c.fault(at, entry, fmt.Sprintf("purchase %s gave lot %s and now %s", e.Purchase, p.Lot, e.Lot))
		}
	}
	c.due = c.due.of(a)
	told := c.due.add(a, f.Event)
	defer func() {
		if reason := recover(); reason != nil {
			c.report.Nonsensical++
			c.broken[a.ID()] = true
			c.fault(at, entry, fmt.Sprint(reason))
		}
	}()
	if c.broken[a.ID()] {
		return
	}
	a.Evolve(f.Event, f.At)
	c.folded = c.folded.of(a)
	if problem := c.due.differ(c.folded); told && problem != "" {
		c.report.Unbalanced++
		c.broken[a.ID()] = true
		c.fault(at, entry, fmt.Sprintf("%s: %s", f.Event.Kind(), problem))
	}
}

// drawing is a fact that draws from lots, and the account as it was before.
type drawing struct {
	*checks
	at      Position
	entry   *credit.Entry
	account *credit.Account
	when    time.Time
}

// owes checks that a debt was allowed.
func (d *drawing) owes(debt credit.Amount, catalog uint32) {
	if debt != 0 && d.cfg.MayOwe != nil && !d.cfg.MayOwe(catalog) {
		d.report.Overdrawn++
		d.fault(d.at, d.entry, fmt.Sprintf("%d are owed, and catalog %d allows no debt", debt, catalog))
	}
}

// check sees to it that lots could and might pay: they had it, were there at the time, and are for the meter.
func (d *drawing) check(draws []credit.Draw, meter string, catalog uint32) {
	var spent map[string]credit.Amount // by lot, where there is more than one draw
	if len(draws) > 1 {
		spent = make(map[string]credit.Amount, len(draws))
	}
	for i := range draws {
		draw := &draws[i]
		sum := draw.Amount
		if spent != nil {
			sum += spent[draw.Lot]
			spent[draw.Lot] = sum
		}
		if problem := d.problem(draw, sum, meter, catalog); problem != "" {
			d.report.Overdrawn++
			d.fault(d.at, d.entry, fmt.Sprintf("%d drawn from lot %s for %s, %s", draw.Amount, draw.Lot, meter, problem))
		}
	}
}

func (d *drawing) problem(draw *credit.Draw, spent credit.Amount, meter string, catalog uint32) string {
	l := d.account.Lot(draw.Lot)
	switch {
	case l == nil:
		return "which the account has not"
	case l.Pool != draw.Pool || l.Unit != draw.Unit:
		return fmt.Sprintf("which is in pool %s", l.Pool)
	case draw.Unit != "" && draw.Unit != meter:
		return fmt.Sprintf("which counts units of %s", draw.Unit)
	case draw.Amount <= 0:
		return "which is no amount"
	case !l.ValidAt(d.when):
		return fmt.Sprintf("which is valid from %s to %s, not at %s", l.Starts, l.Ends, d.when)
	case !l.Ended && spent > l.Remaining:
		return fmt.Sprintf("which has %d", l.Remaining)
	case l.Ended && spent > l.Breakage:
		return fmt.Sprintf("which ended with %d", l.Breakage)
	case d.cfg.MayPay != nil && catalog > 0 && !d.cfg.MayPay(catalog, draw.Pool, meter):
		return fmt.Sprintf("whose pool %s does not pay for %s", draw.Pool, meter)
	}
	return ""
}

// balance checks that the terms of every pool close, and that they are what its lots have.
func (c *checks) balance(at Position, e *credit.Entry, a *credit.Account) {
	if c.broken[a.ID()] {
		return
	}
	for _, p := range a.Pools() {
		var remaining credit.Amount
		for _, l := range p.Live() {
			remaining += l.Remaining
			if l.Remaining < 0 || l.Held < 0 {
				c.report.Overdrawn++
				c.fault(at, e, fmt.Sprintf("lot %s has %d and holds %d", l.ID, l.Remaining, l.Held))
			}
		}
		if !p.Terms.Close() || remaining != p.Terms.Remaining {
			c.report.Unbalanced++
			c.broken[a.ID()] = true
			c.fault(at, e, fmt.Sprintf("the terms of pool %s do not close: %+v, its lots have %d", p.Name, p.Terms, remaining))
		}
	}
}

// load returns an account as it was after its last entry.
func (c *checks) load(id string) (*credit.Account, error) {
	if a := c.accounts[id]; a != nil {
		return a, nil
	}
	a := credit.NewAccount(id)
	c.accounts[id] = a
	if seen, err := c.spilled(id); err != nil || !seen {
		c.report.Accounts++
		return a, err
	}
	own := AppendText([]byte{'a'}, id)
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: own, UpperBound: append(bytes.Clone(own), byte(credit.PartReversed))})
	if err != nil {
		return nil, err
	}
	found := false
	for it.First(); it.Valid() && err == nil; it.Next() {
		found = true
		err = a.Restore(credit.Part(it.Key()[len(own)]), string(it.Key()[len(own)+1:]), it.Value())
	}
	if err := errors.Join(err, it.Close()); err != nil || !found {
		return a, err
	}
	return a, a.Restored()
}

// spilled says whether an account was in memory before.
func (c *checks) spilled(id string) (bool, error) {
	if c.db == nil {
		return false, nil
	}
	_, closer, err := c.db.Get(append([]byte{'n'}, id...))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, closer.Close()
}

// spill writes the accounts, and forgets them.
func (c *checks) spill() (err error) {
	if c.db == nil {
		if c.db, err = pebble.Open(filepath.Join(c.dir, "checks"), options(Config{})); err != nil {
			return fmt.Errorf("open scratch store: %w", err)
		}
	}
	batch := c.db.NewBatch()
	note := func(e error) {
		if err == nil {
			err = e
		}
	}
	for id, a := range c.accounts {
		if c.broken[id] {
			continue // half a fact may be in it, and nobody asks for it again
		}
		part := func(part credit.Part, name string) []byte {
			c.key = append(append(AppendText(append(c.key[:0], 'a'), id), byte(part)), name...)
			return c.key
		}
		note(batch.Set(append(append(c.key[:0], 'n'), id...), nil, nil))
		c.value = a.Drain(c.value, func(p credit.Part, name string, value []byte) {
			if p != credit.PartDue && p != credit.PartReversed {
				note(batch.Set(part(p, name), value, nil))
			}
		}, func(p credit.Part, name string) {
			if p != credit.PartDue {
				note(batch.Delete(part(p, name), nil))
			}
		})
	}
	clear(c.accounts)
	note(batch.Commit(pebble.NoSync))
	note(batch.Close())
	if err != nil {
		return fmt.Errorf("spill accounts: %w", err)
	}
	return nil
}
