package statement

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// Version of the records; views of another one are rebuilt. It follows their format and that of snapshots.
const Version = 256*(recordFormat-1) + credit.SnapshotFormat

// Block is for the store of statements (projections.Config): they are read in pages and stretches, nearly never
// record by record.
const Block = 32 << 10

// cacheAccounts bounds the accounts that a Work keeps between batches, about 300 bytes each.
const cacheAccounts = 65_536

// Fold is the kind of view.
type Fold struct {
	every uint64 // instead of snapshotEvery, for tests
	cache int    // instead of cacheAccounts, for tests
}

// Name is "statement".
func (Fold) Name() string { return "statement" }

// Version is Version.
func (Fold) Version() uint32 { return Version }

// Begin starts to fold on from what v holds.
func (f Fold) Begin(v *projections.View) projections.Work {
	return &work{view: &View{View: v}, every: cmp.Or(f.every, snapshotEvery), cache: cmp.Or(f.cache, cacheAccounts), accounts: make(map[string]*state), all: v.Empty()}
}

type work struct {
	every    uint64
	cache    int // accounts
	view     *View
	accounts map[string]*state
	all      bool // no account is in the view and not in accounts
	touched  []*state
	recent   []happening
	folded   []*state // whose account is kept
	size     int      // what those count for
	record   Record
	decoder  credit.Decoder
	classes  []class
	key      []byte
	value    []byte
	use      []byte
}

// Apply writes the facts of one entry.
func (w *work) Apply(b *projections.Batch, at projections.Position, e *credit.Entry) error {
	if e.Account == "" {
		return nil // what concerns the tenant is on nobody's statement
	}
	s, err := w.load(e.Account)
	if err != nil {
		return err
	}
	if !s.touched {
		s.touched = true
		w.touched = append(w.touched, s)
	}
	for i := range e.Facts {
		f := &e.Facts[i]
		if f.Raw == nil {
			return errNoData
		}
		w.classes = w.classes[:0]
		types, meter, change := w.fold(s, f.Event, f.At)
		s.facts++
		s.remaining += change
		w.record = Record{
			At: at, Index: uint32(i), Time: f.At, Recorded: e.Recorded, Remaining: s.remaining,
			Kind: f.Event.Kind(), Key: e.Key, Actor: e.Actor, Source: e.Source, Data: f.Raw,
			early: s.happened(f.At, w.record.early[:0]), types: types, meter: meter, classes: classText(w.classes),
		}
		if u, ok := f.Event.(*credit.UsageRecorded); ok {
			w.use = w.record.appendUse(w.use[:0], u)
			w.record.Data = w.use
		}
		w.value = w.record.append(w.value[:0])
		kept, err := b.PutKept(appendFact(b.Key(), e.Account, s.facts), w.value)
		if err != nil {
			return err
		}
		if err := w.snapshot(b, s, f, kept); err != nil {
			return err
		}
	}
	return nil
}

// Full bounds a batch to accounts that fit into the cache.
func (w *work) Full() bool { return len(w.touched) >= w.cache || w.size > maxFolded }

// classText is empty when all draws concern lots that live, as nearly all do.
func classText(classes []class) string {
	for _, c := range classes {
		if c != onLive {
			return string(classes)
		}
	}
	return ""
}

func (w *work) load(account string) (*state, error) {
	if s := w.accounts[account]; s != nil {
		return s, nil
	}
	account = strings.Clone(account) // it is a part of the commit
	s := &state{account: account, written: true}
	if w.all {
		w.accounts[account] = s
		return s, nil
	}
	w.key = appendState(w.key[:0], account)
	value, ok, err := w.view.Get(w.value[:0], w.key)
	if err != nil {
		return nil, err
	}
	if ok {
		ended, err := s.decode(value)
		if err == nil && ended > 0 {
			err = w.loadEnded(s)
		}
		if err == nil && uint64(len(s.ended)) != ended {
			err = errRecord
		}
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", account, err)
		}
	}
	w.accounts[account] = s
	return s, nil
}

func (w *work) loadEnded(s *state) error {
	w.key = appendEnded(w.key[:0], s.account)
	value, ok, err := w.view.Get(nil, w.key)
	if err != nil || !ok {
		return err
	}
	return s.decodeEnded(value)
}

// Flush writes where the accounts stand.
func (w *work) Flush(b *projections.Batch) error {
	for _, s := range w.touched {
		s.touched, s.stored = false, s.facts
		w.value = s.append(w.value[:0])
		if err := b.Put(appendState(b.Key(), s.account), w.value); err != nil {
			return err
		}
		if err := w.flushEnded(b, s); err != nil {
			return err
		}
	}
	clear(w.touched)
	w.touched = w.touched[:0]
	clear(w.recent)
	w.recent = w.recent[:0]
	w.unfold()
	for account, s := range w.accounts {
		if len(w.accounts) <= w.cache {
			break
		}
		if s.folded == nil {
			w.all = false
			delete(w.accounts, account)
		}
	}
	return nil
}

func (w *work) flushEnded(b *projections.Batch, s *state) error {
	if s.written {
		return nil
	}
	s.written = true
	if len(s.ended) > 0 {
		s.recorded = true
		w.value = s.appendEnded(w.value[:0])
		return b.Put(appendEnded(b.Key(), s.account), w.value)
	}
	if s.recorded {
		s.recorded = false
		return b.Drop(appendEnded(b.Key(), s.account))
	}
	return nil
}

// fold says which lines a fact is, their meter, and by how much the credits that remain change. It notes which
// lots ended, and for draws that can concern one of those, whether they do.
func (w *work) fold(s *state, event credit.Event, at time.Time) (types uint32, meter string, change credit.Amount) {
	switch e := event.(type) {
	case *credit.UsageRecorded:
		change = -w.taken(s, e.Draws)
		types, meter = usageTypes(len(e.Draws), w.classes, e.Unpaid), e.Meter
	case *credit.HoldPlaced:
		change = -credits(e.Draws)
		types, meter = bit(Hold), e.Meter
	case *credit.HoldCaptured:
		change = credits(e.Released) - w.taken(s, e.Excess)
		s.endDraws(e.Lapsed, at)
		types, meter = usageTypes(len(e.Draws)+len(e.Excess), w.classes, e.Unpaid)|bit(Release)|expiryIf(len(e.Lapsed)), e.Meter
	case *credit.HoldReleased:
		change = credits(e.Released)
		s.endDraws(e.Lapsed, at)
		types = bit(Release) | expiryIf(len(e.Lapsed))
	case *credit.HoldLapsed:
		change = credits(e.Released)
		s.endDraws(e.Lapsed, at)
		types = bit(Release) | expiryIf(len(e.Lapsed))
	case *credit.UsageReversed:
		change = credits(e.Draws)
		for _, r := range e.Replaced {
			change += inCredits(r.Into.Unit, r.Into.Amount)
			s.endDraw(r.Draw, at)
		}
		types, meter = w.reversed(s, e, at), e.Meter
	case *credit.DebtRepaid:
		change = -w.taken(s, e.Draws)
		types, meter = bit(Repayment), e.Meter
	case *credit.CreditGranted:
		change, types = inCredits(e.Unit, e.Amount), bit(Granted)
	case *credit.CreditPurchased:
		change, types = inCredits(e.Unit, e.Amount), bit(Purchase)
	case *credit.CreditExpired:
		s.end(e.Lot, at)
		change, types = -inCredits(e.Unit, e.Amount), bit(Expiry)
	case *credit.CreditRolledOver:
		s.end(e.From, at)
		change, types = inCredits(e.Into.Unit, e.Into.Amount-e.Amount), bit(Renewal)
	case *credit.GrantRevoked:
		s.end(e.Lot, at)
		change, types = -inCredits(e.Unit, e.Amount), bit(Revocation)
	case *credit.PurchaseRefunded:
		s.end(e.Lot, at)
		change, types = -inCredits(e.Unit, e.Amount), bit(Refund)
	case *credit.CycleRenewed:
		change, types = s.renew(e, at)
	case *credit.PlanChanged:
		change, types = s.changePlan(e, at)
	case *credit.AccountOpened:
		s.cycle = e.Cycle.Number
	case *credit.PlanChangeScheduled:
		types = bit(Plan)
	case *credit.PersonalErased:
		types = bit(Erasure)
	case *credit.UsageDenied:
		types, meter = bit(Denied), e.Meter
	}
	return types, meter, change
}

func expiryIf(n int) uint32 {
	if n > 0 {
		return bit(Expiry)
	}
	return 0
}

// usageTypes are those of lines of a use with n draws, of which the last len(classes) are classified.
func usageTypes(n int, classes []class, unpaid credit.Amount) (types uint32) {
	ended := 0
	for _, c := range classes {
		if c != onLive {
			ended++
		}
	}
	if ended > 0 {
		types |= bit(Adjustment)
	}
	if unpaid > 0 {
		types |= bit(Unpaid)
	}
	if n > ended || types == 0 {
		types |= bit(Usage)
	}
	return types
}

// taken classifies draws and sums those that take from what remains, in credits.
func (w *work) taken(s *state, draws []credit.Draw) (sum credit.Amount) {
	for i := range draws {
		c := s.class(&draws[i])
		w.classes = append(w.classes, c)
		if c == onLive {
			sum += inCredits(draws[i].Unit, draws[i].Amount)
		}
	}
	return sum
}

// reversed classifies what came back to lots that ended.
func (w *work) reversed(s *state, e *credit.UsageReversed, at time.Time) (types uint32) {
	types = bit(Reversal)
	for i := range e.Lapsed {
		d := &e.Lapsed[i]
		c := s.class(d)
		switch {
		case d.Cycle == s.cycle:
			c = onEnded
		case c == onLive: // nothing is known of the lot: it ended long ago
			c = onClosed
		}
		if c == onEnded {
			types |= bit(Expiry)
		} else {
			types |= bit(Adjustment)
		}
		w.classes = append(w.classes, c)
		s.endDraw(*d, at)
	}
	if onlyClosed := len(e.Draws)+len(e.Replaced) == 0 && len(e.Lapsed) > 0 && types&bit(Expiry) == 0; onlyClosed {
		types = bit(Adjustment)
	}
	return types
}

// endDraws notes lots that ended without a fact of their own: all of them was held, or spent, in time.
func (s *state) endDraws(draws []credit.Draw, at time.Time) {
	for i := range draws {
		s.endDraw(draws[i], at)
	}
}

func (s *state) endDraw(d credit.Draw, at time.Time) { s.end(d.Lot, at) }

func (s *state) renew(e *credit.CycleRenewed, at time.Time) (change credit.Amount, types uint32) {
	for _, r := range e.Rolled {
		change += inCredits(r.Into.Unit, r.Into.Amount-r.Amount)
		s.end(r.From, at)
	}
	for _, ended := range e.Expired {
		change -= inCredits(ended.Unit, ended.Amount)
		s.end(ended.Lot, at)
	}
	for _, g := range e.Granted {
		change += inCredits(g.Unit, g.Amount)
	}
	s.startCycle(e.Cycle.Number, e.Forget)
	if len(e.Rolled)+len(e.Granted) > 0 {
		types = bit(Renewal)
	}
	return change, types | expiryIf(len(e.Expired))
}

func (s *state) changePlan(e *credit.PlanChanged, at time.Time) (change credit.Amount, types uint32) {
	for _, ended := range e.Expired {
		change -= inCredits(ended.Unit, ended.Amount)
		s.end(ended.Lot, at)
	}
	if e.Cycle.Number != s.cycle {
		s.startCycle(e.Cycle.Number, e.Forget)
	}
	types = bit(Plan) | expiryIf(len(e.Expired))
	for _, g := range e.Granted {
		change += inCredits(g.Unit, g.Amount)
		types |= bit(Granted)
	}
	return change, types
}

// credits sums draws on pools counted in credits.
func credits(draws []credit.Draw) (sum credit.Amount) {
	for i := range draws {
		sum += inCredits(draws[i].Unit, draws[i].Amount)
	}
	return sum
}

// inCredits is the amount, or 0 where it counts units of a meter.
func inCredits(unit string, amount credit.Amount) credit.Amount {
	if unit != "" {
		return 0
	}
	return amount
}
