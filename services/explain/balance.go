package explain

import (
	"fmt"
	"slices"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
	"creditstream/projections/statement"
	"creditstream/services/rules"
)

// Terms are the terms of RULES.md for one pool, or by how much a step changed them, as decimals; terms of zero
// are left out. What a plan freezes is part of remaining here; the balance says how much that is.
type Terms struct {
	Pool      string `json:"pool"`
	Unit      string `json:"unit" doc:"\"credit\", or the meter whose units the pool counts."`
	Total     string `json:"total,omitempty"`
	Used      string `json:"used,omitempty"`
	Held      string `json:"held,omitempty"`
	Expired   string `json:"expired,omitempty"`
	Revoked   string `json:"revoked,omitempty"`
	Remaining string `json:"remaining,omitempty"`
}

// LotChange is what a step left of one lot.
type LotChange struct {
	Lot    string `json:"lot"`
	Pool   string `json:"pool"`
	Unit   string `json:"unit"`
	Change string `json:"change" doc:"The signed change of what remains of the lot."`
	Left   string `json:"left" doc:"What remains of it after the step."`
	Held   string `json:"held,omitempty" doc:"The part of the lot that is held after the step."`
}

// Step is one fact and what it did.
type Step struct {
	At        projections.Position `json:"-"`
	Position  string               `json:"position,omitempty" doc:"Where it stands in the journal; absent for what is due and not booked yet."`
	Time      time.Time            `json:"time"`
	Recorded  *time.Time           `json:"recorded,omitempty"`
	Event     string               `json:"event" doc:"The kind of fact."`
	Key       string               `json:"key,omitempty"`
	Actor     string               `json:"actor,omitempty"`
	Catalog   uint32               `json:"catalog,omitempty" doc:"The catalog version that it was decided by."`
	Says      string               `json:"says" doc:"What happened, in a sentence."`
	Note      string               `json:"note,omitempty" doc:"What was written with it."`
	Changes   []Terms              `json:"changes" doc:"By how much each pool's terms changed."`
	Lots      []LotChange          `json:"lots"`
	Remaining string               `json:"remaining" doc:"Credits that remain after it, over all pools counted in credits."`
}

// Derivation is how a balance came about: opening + the changes of all steps = closing, in every term of every
// pool.
type Derivation struct {
	Opening     []Terms `json:"opening"`
	OpeningSays string  `json:"opening_says"`
	Steps       []Step  `json:"steps"`
	Closing     []Terms `json:"closing"`
	// Next is the cursor of the steps before Opening within this cycle, "" when there are none.
	Next string `json:"next,omitempty" doc:"The cursor for the steps of this cycle before the opening line."`

	// Account is the account at the end of the steps, settled.
	Account *credit.Account `json:"-"`
}

// Query asks why a balance is what it is.
type Query struct {
	At    time.Time
	Known statement.Known
	// Before is the cursor: only facts before this number, 0 for all. What is due is then not in it.
	Before uint64
	// Limit is the most facts to show one by one; what came before them in the cycle is summed up.
	Limit int
	Scale int
}

// Balance derives the balance of an account as of an instant. Its cost is bounded by what Refold costs and by
// the limit, however long the cycle is.
func Balance(view *statement.View, books *rules.Book, account string, q Query) (*Derivation, error) {
	trail, err := view.Trail(account, q.At, q.Known, q.Before, q.Limit)
	if err != nil {
		return nil, err
	}
	w := &walk{account: trail.Before, books: books, scale: q.Scale, opening: termsOf(trail.Before), cut: trail.Earlier}
	if trail.Earlier > 0 && trail.Before.Exists() {
		w.says = fmt.Sprintf("Cycle %d as it stood after the first %d facts of the account.", trail.Before.Cycle().Number, trail.Earlier)
	}
	for i := range trail.Facts {
		told := &trail.Facts[i]
		before, fits, err := w.fold(told)
		if err != nil {
			return nil, err
		}
		if fits {
			w.step(before, told.Time, &told.Record)
		}
	}
	if q.Before == 0 {
		w.settle(q.At)
	}
	d := &Derivation{Opening: w.format(w.opening, true), OpeningSays: w.says, Steps: w.steps, Closing: w.format(termsOf(w.account), true), Account: w.account}
	if d.OpeningSays == "" {
		d.OpeningSays = "Nothing came before."
	}
	if w.cut > 0 && len(trail.Facts) > 0 {
		d.Next = fmt.Sprint(trail.Facts[0].N)
	}
	return d, nil
}

// walk goes from fact to fact.
type walk struct {
	account *credit.Account
	books   *rules.Book
	scale   int
	opening []poolTerms
	says    string
	cut     uint64 // facts of the cycle before the steps
	steps   []Step
}

// poolTerms is what one pool stands at.
type poolTerms struct {
	pool, unit string
	terms      credit.Terms
}

func termsOf(a *credit.Account) []poolTerms {
	list := make([]poolTerms, 0, len(a.Pools()))
	for _, p := range a.Pools() {
		list = append(list, poolTerms{p.Name, p.Unit, p.Terms})
	}
	return list
}

// seen is a fact, and what the account was before it, as far as the fact may change it.
type seen struct {
	fact
	cycle  uint32
	terms  []poolTerms
	states map[string]lotState // by lot
}

type lotState struct{ remaining, held credit.Amount }

func (w *walk) look(f fact) seen {
	s := seen{fact: f, cycle: w.account.Cycle().Number, terms: termsOf(w.account), states: make(map[string]lotState)}
	for _, id := range f.lots {
		if l := w.account.Lot(id); l != nil {
			s.states[id] = lotState{l.Remaining, l.Held}
		}
	}
	return s
}

// fold looks at the account and folds a fact of the statement into it; a late one may not fit, and changes
// nothing then.
func (w *walk) fold(told *statement.Told) (before seen, fits bool, err error) {
	before = w.look(w.tell(told.Event))
	next, fits, err := told.Fold(w.account)
	if err == nil {
		w.account = next
	}
	return before, fits, err
}

// step notes what a fact changed. One that begins a cycle makes a new opening line: what the cycle before left.
func (w *walk) step(before seen, at time.Time, r *statement.Record) {
	if cycle := w.account.Cycle(); cycle.Number != before.cycle {
		w.steps, w.cut = nil, 0
		w.opening = openings(w.account)
		w.says = fmt.Sprintf("Cycle %d began %s; this is what was left of the one before.", cycle.Number, moment(cycle.From))
		if before.cycle == 0 {
			w.says = "Nothing came before."
		}
		before.terms = w.opening
	}
	s := Step{
		Time: at.UTC(), Event: before.kind, Catalog: before.catalog, Says: before.says, Note: before.note,
		Changes: w.format(difference(before.terms, termsOf(w.account)), false), Lots: []LotChange{},
	}
	if r != nil {
		recorded := r.Recorded.UTC()
		s.At, s.Recorded, s.Key, s.Actor = r.At, &recorded, r.Key, r.Actor
	}
	for _, id := range before.lots {
		if c, changed := w.lotChange(id, before.states[id]); changed {
			s.Lots = append(s.Lots, c)
		}
	}
	s.Remaining = remainingOf(w.account).Format(w.scale)
	w.steps = append(w.steps, s)
}

func (w *walk) lotChange(id string, before lotState) (LotChange, bool) {
	l := w.account.Lot(id)
	if l == nil || l.Remaining == before.remaining && l.Held == before.held {
		return LotChange{}, false
	}
	c := LotChange{Lot: id, Pool: l.Pool, Unit: unitName(l.Unit), Change: (l.Remaining - before.remaining).Format(w.scale), Left: l.Remaining.Format(w.scale)}
	if l.Held > 0 {
		c.Held = l.Held.Format(w.scale)
	}
	return c, true
}

// settle adds what is due by an instant and not booked yet: reads settle virtually.
func (w *walk) settle(at time.Time) {
	for w.account.Exists() {
		before := w.lookAll()
		dues := rules.SettleSome(w.account, w.books, at, 1)
		if len(dues) == 0 {
			return
		}
		for _, due := range dues {
			for i, f := range due.Facts {
				if i > 0 { // folded with the first: its changes are in that step
					before.terms = termsOf(w.account)
				}
				before.fact = w.tell(f.Event)
				w.step(before, f.At, nil)
				w.steps[len(w.steps)-1].Key = due.Key
			}
		}
	}
}

// lookAll is look at every lot: what falls due names its lots only when it is stated.
func (w *walk) lookAll() seen {
	s := seen{cycle: w.account.Cycle().Number, terms: termsOf(w.account), states: make(map[string]lotState)}
	for _, l := range w.account.Lots() {
		s.states[l.ID] = lotState{l.Remaining, l.Held}
	}
	return s
}

// openings are the terms of a cycle at its first instant, before anything was granted in it.
func openings(a *credit.Account) []poolTerms {
	list := termsOf(a)
	for i := range list {
		t := list[i].terms
		list[i].terms = credit.Terms{Opening: t.Opening, Held: t.Held, Remaining: t.Opening - t.Held}
	}
	return list
}

func difference(from, to []poolTerms) []poolTerms {
	var list []poolTerms
	for _, after := range to {
		var before credit.Terms
		if i := slices.IndexFunc(from, func(p poolTerms) bool { return p.pool == after.pool }); i >= 0 {
			before = from[i].terms
		}
		t, b := after.terms, before
		change := credit.Terms{
			Started: t.Total() - b.Total(), Used: t.Used - b.Used, Held: t.Held - b.Held,
			Expired: t.Expired - b.Expired, Revoked: t.Revoked - b.Revoked, Remaining: t.Remaining - b.Remaining,
		}
		if change != (credit.Terms{}) {
			list = append(list, poolTerms{after.pool, after.unit, change})
		}
	}
	return list
}

// format writes terms as decimals; whole says that a pool's zeroes are written, too.
func (w *walk) format(list []poolTerms, whole bool) []Terms {
	out := make([]Terms, len(list))
	for i, p := range list {
		amount := func(a credit.Amount) string {
			if a == 0 && !whole {
				return ""
			}
			return a.Format(w.scale)
		}
		t := p.terms
		out[i] = Terms{
			Pool: p.pool, Unit: unitName(p.unit), Total: amount(t.Total()), Used: amount(t.Used), Held: amount(t.Held),
			Expired: amount(t.Expired), Revoked: amount(t.Revoked), Remaining: amount(t.Remaining),
		}
	}
	return out
}

// remainingOf sums pools counted in credits, frozen ones too, as the history does.
func remainingOf(a *credit.Account) (sum credit.Amount) {
	for _, p := range a.Pools() {
		if p.Unit == "" {
			sum += p.Terms.Remaining
		}
	}
	return sum
}

func unitName(unit string) string {
	if unit == "" {
		return rules.UnitCredit
	}
	return unit
}
