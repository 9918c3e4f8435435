package rules_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// crowded has one of everything that can meet: pools of equal turn, a quota, rollovers with limits, every
// rounding, debt, denials and alerts.
const crowded = `
name: Crowded
timezone: Europe/Madrid
currency: EUR
scale: 2
meters:
  video: {price: 1}
  image: {price: 1, per: 2}
  page: {price: 3, per: 2, rounding: ceil}
  call: {price: 1, per: 3, rounding: accumulate}
  ping: {price: 0.5, needs_plan: false}
pools:
  quota: {priority: 5, unit: video, expires: cycle_end, rollover: {up_to: 20}}
  calls: {priority: 30, unit: call, expires: 40 days, reversal: 10 days}
  monthly: {priority: 10, expires: cycle_end, rollover: {up_to: 30, cycles: 2}}
  left: {priority: 20, meters: [video, image], expires: 3 months, reversal: 30 days}
  right: {priority: 20, meters: [video, page], expires: 30 days, reversal: expire}
  always: {priority: 25, expires: never}
  wide: {priority: 20, expires: cycle_end, rollover: {cycles: 1}}
without_plan: {purchase: true, grants: all}
plans:
  free: {rank: 1, paid: false, meters: [video], allowances: {monthly: 10}}
  empty: {rank: 2, meters: [image]}
  basic: {rank: 3, meters: all, allowances: {monthly: 50, quota: 8}}
  grand: {rank: 4, meters: [video, call, page], allowances: {monthly: 90, calls: 7}}
packs:
  small: {price: 9.99, credits: 40, pool: left}
  large: {price: 100, credits: 70, pool: wide}
debt: {limit: 25}
record_denials: true
alerts: {low_balance: [20, 5], expiring_days: 4}
`

// world drives one account as the loop does and watches what must always hold.
type world struct {
	t        *rapid.T
	book     *rules.Book
	account  *credit.Account
	whole    *credit.Account // folded from all facts at the end of each step, never stored
	stored   map[string][]byte
	now      time.Time
	uses     []use
	next     int
	used     map[string]credit.Amount // by cycle and pool, as the draws name them
	versions int
	lateDebt bool // owed for late use, which no lot that started since may pay
}

type use struct {
	key   string
	fact  *credit.UsageRecorded
	at    time.Time
	taken int64
}

func TestEveryTermClosesAtEveryPrefix(t *testing.T) {
	sources := []string{crowded}
	for _, tenant := range []string{"tecpet", "adtech", "wanclouds"} {
		text, err := os.ReadFile("../../deploy/catalogs/" + tenant + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, string(text))
	}
	var catalogs []*rules.Catalog
	for _, source := range sources {
		c, err := rules.ParseCatalog([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		catalogs = append(catalogs, c)
	}
	dearer, err := rules.ParseCatalog([]byte(strings.NewReplacer("video: {price: 1}", "video: {price: 2}",
		"priority: 25", "priority: 1", "  empty: {rank: 2, meters: [image]}\n", "", "limit: 25", "limit: 5",
		"  right: {priority: 20, meters: [video, page], expires: 30 days, reversal: expire}\n", "").Replace(crowded)))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		first := catalogs[rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3}).Draw(t, "catalog")]
		start := time.Date(2024, 1, 31, 9, 30, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 400*24).Draw(t, "hours")) * time.Hour)
		w := &world{t: t, book: (&rules.Book{}).With(start.AddDate(-1, 0, 0), first), account: credit.NewAccount("a"),
			whole: credit.NewAccount("a"), stored: map[string][]byte{}, now: start, used: map[string]credit.Amount{}, versions: 1}
		if first == catalogs[0] && rapid.Bool().Draw(t, "dearer") {
			w.book, w.versions = w.book.With(start.AddDate(0, 2, 3), dearer), 2
		}
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			w.step()
		}
	})
}

func (w *world) step() {
	w.pass()
	a := w.account.Clone()
	due := w.settle(a)
	command := w.command(a)
	facts, err := command.Decide(a, w.book, w.now)
	if err != nil {
		var r *rules.Refusal
		if !errors.As(err, &r) {
			w.t.Fatalf("%+v: not a refusal: %v", command, err)
		}
		for _, f := range facts {
			switch f.Event.(type) {
			case *credit.UsageDenied, *credit.PaymentMismatched:
			default:
				w.t.Fatalf("%+v: refused beside %T", command, f.Event)
			}
		}
		if len(facts) == 0 {
			return // nothing is committed, not even what fell due
		}
	}
	for _, d := range due {
		w.commit(d.Facts)
	}
	w.commit(facts)
	w.remember(command, facts)
	w.reload()
	w.owesNothingItCouldPay()
}

func (w *world) pass() {
	switch rapid.IntRange(0, 9).Draw(w.t, "clock") {
	case 0, 1, 2:
	case 3, 4:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(w.t, "minutes")) * time.Minute)
	case 5, 6:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 72).Draw(w.t, "hours")) * time.Hour)
	case 7:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 70).Draw(w.t, "days")) * 24 * time.Hour)
	default:
		due := w.account.NextDue().Add(time.Duration(rapid.IntRange(-1, 1).Draw(w.t, "ns")))
		if due.After(w.now) {
			w.now = due
		}
	}
}

// settle settles the account, and a copy of it in steps: both must state the same facts.
func (w *world) settle(a *credit.Account) []rules.Due {
	steps := a.Clone()
	var inSteps []rules.Due
	for range 400 {
		due := steps.NextDue()
		if due.IsZero() || due.After(w.now) {
			break
		}
		if got := rules.Settle(steps, w.book, due); len(got) > 0 {
			inSteps = append(inSteps, got...)
			continue
		}
		break
	}
	inSteps = append(inSteps, rules.Settle(steps, w.book, w.now)...)
	due := rules.Settle(a, w.book, w.now)
	if w.versions == 1 && !bytes.Equal(mustJSON(due), mustJSON(inSteps)) {
		w.t.Fatalf("settled at once\n%s\nin steps\n%s", mustJSON(due), mustJSON(inSteps))
	}
	if again := rules.Settle(a, w.book, w.now); len(again) != 0 {
		w.t.Fatalf("settled twice: %s", mustJSON(again))
	}
	for _, l := range a.Lots() {
		if l.Remaining > 0 && !l.Alive(w.now) {
			w.t.Fatalf("after settling, lot %+v has something left but does not live at %s", *l, w.now)
		}
	}
	return due
}

func (w *world) commit(facts []credit.Fact) {
	for _, f := range facts {
		w.watch(f)
		w.account.Evolve(f.Event, f.At)
		w.whole.Evolve(f.Event, f.At)
		w.adds(f)
	}
}

// watch checks what a fact may say of the account as it is before the fact.
func (w *world) watch(f credit.Fact) {
	catalog := w.book.At(f.At)
	switch e := f.Event.(type) {
	case *credit.UsageRecorded:
		w.payable(e.Meter, e.Draws, f.At, catalog)
		w.counts(e.Cost, e.Debt+e.Unpaid, e.Draws)
		w.lateDebt = w.lateDebt || e.Debt > 0 && f.At.Before(w.now)
	case *credit.HoldPlaced:
		w.payable(e.Meter, e.Draws, f.At, catalog)
		w.counts(e.Cost, 0, e.Draws)
	case *credit.HoldCaptured:
		w.payable(e.Meter, e.Excess, f.At, catalog)
		w.counts(e.Cost, e.Debt+e.Unpaid, append(slices.Clone(e.Draws), e.Excess...))
	case *credit.DebtRepaid:
		w.payable(e.Meter, e.Draws, f.At, catalog)
		w.counts(e.Amount, 0, e.Draws)
	}
}

func (w *world) payable(meter string, draws []credit.Draw, at time.Time, c *rules.Catalog) {
	seen := map[string]bool{}
	for _, d := range draws {
		l := w.account.Lot(d.Lot)
		have := l.Remaining
		cycle := w.account.Cycle().Number
		if l.Ended {
			have, cycle = l.Breakage, l.EndedCycle
		}
		if d.Amount <= 0 || d.Amount > have || seen[d.Lot] || !l.ValidAt(at) || !c.Pays(d.Pool, meter) || d.Pool != l.Pool ||
			d.Unit != l.Unit || d.Cycle != cycle {
			w.t.Fatalf("%s at %s may not draw %+v from %+v", meter, at, d, *l)
		}
		seen[d.Lot] = true
	}
}

func (w *world) counts(cost, short credit.Amount, draws []credit.Draw) {
	for _, d := range draws {
		if d.Unit == "" {
			cost -= d.Amount
		}
	}
	if cost != short || short < 0 {
		w.t.Fatalf("%d of the cost is paid by nothing, %d is owed or unpaid", cost, short)
	}
}

// adds checks what must hold after each fact, and sums what the draws say was used in each cycle.
func (w *world) adds(f credit.Fact) {
	at := func(d credit.Draw) string { return fmt.Sprint(d.Cycle, "/", d.Pool) }
	charge := func(draws []credit.Draw) {
		for _, d := range draws {
			w.used[at(d)] += d.Amount
		}
	}
	back := func(d credit.Draw) { w.used[at(d)] -= d.Amount }
	switch e := f.Event.(type) {
	case *credit.UsageRecorded:
		charge(e.Draws)
	case *credit.HoldCaptured:
		charge(e.Draws)
		charge(e.Excess)
	case *credit.PlanChanged:
		w.replaced(e.Granted)
	case *credit.DebtRepaid:
		charge(e.Draws)
	case *credit.UsageReversed:
		for _, d := range append(slices.Clone(e.Draws), e.Lapsed...) {
			back(d)
		}
		for _, r := range e.Replaced {
			back(r.Draw)
		}
	}
	w.closes(w.account, f)
}

// replaced checks that a change of plan left no allowance that credits could come back to.
func (w *world) replaced(granted []credit.Grant) {
	for _, l := range w.account.Lots() {
		if l.Kind == credit.KindAllowance && !l.Ended && !slices.ContainsFunc(granted, func(g credit.Grant) bool { return g.Lot == l.ID }) {
			w.t.Fatalf("a change of plan left the old allowance %+v", *l)
		}
	}
}

func (w *world) closes(a *credit.Account, f credit.Fact) {
	held := map[string]credit.Amount{}
	for _, h := range a.Holds() {
		for _, d := range h.Draws {
			held[d.Pool] += d.Amount
		}
	}
	for _, p := range a.Pools() {
		var live credit.Amount
		for i, l := range p.Live() {
			live += l.Remaining
			if l.Remaining <= 0 || i > 0 && !p.Live()[i-1].Before(l) {
				w.t.Fatalf("after %s: pool %s is not in burn order", f.Event.Kind(), p.Name)
			}
		}
		used := w.used[fmt.Sprint(a.Cycle().Number, "/", p.Name)]
		if !p.Terms.Close() || p.Terms.Remaining != live || p.Terms.Held != held[p.Name] || p.Terms.Used != used {
			w.t.Fatalf("after %s %s: pool %s: live %d, held %d, used %d, terms %+v", f.Event.Kind(), mustJSON(f.Event), p.Name, live, held[p.Name], used, p.Terms)
		}
	}
	for _, l := range a.Lots() {
		if l.Remaining < 0 || l.Held < 0 || l.Breakage < 0 || l.Recognised < 0 || l.Recognised > l.Price.Minor {
			w.t.Fatalf("after %s: lot %+v", f.Event.Kind(), *l)
		}
	}
	if a.Owed() < 0 || a.Owed() > 2500 {
		w.t.Fatalf("owes %d", a.Owed())
	}
}

// reload compares the account folded fact by fact over its stored records with the one folded at once,
// and goes on with the account as it is read back.
func (w *world) reload() {
	drainInto(w.account, w.stored)
	if rapid.Bool().Draw(w.t, "reload") {
		back := credit.NewAccount("a")
		keys := make([]string, 0, len(w.stored))
		for k := range w.stored {
			keys = append(keys, k)
		}
		slices.Sort(keys) // the head first
		for _, k := range keys {
			if part := credit.Part(k[0]); part != credit.PartReversed && part != credit.PartDue {
				if err := back.Restore(part, k[1:], w.stored[k]); err != nil {
					w.t.Fatal(err)
				}
			}
		}
		if err := back.Restored(); err != nil {
			w.t.Fatal(err)
		}
		w.account = back
	}
	fresh := map[string][]byte{}
	drainInto(w.whole.Clone(), fresh)
	for k, v := range fresh {
		if k[0] != byte(credit.PartDue) && !bytes.Equal(w.stored[k], v) {
			w.t.Fatalf("record %q is %x, folded at once %x", k, w.stored[k], v)
		}
	}
	one, two := w.account, w.whole
	for _, pair := range [][2]any{{one.Lots(), two.Lots()}, {one.Holds(), two.Holds()}, {one.NextDue(), two.NextDue()}, {one.LastEnd(), two.LastEnd()}} {
		if len(mustJSON(pair[0])) != len(mustJSON(pair[1])) && !reflect.DeepEqual(pair[0], pair[1]) {
			w.t.Fatalf("read back\n%s\nfolded at once\n%s", mustJSON(pair[0]), mustJSON(pair[1]))
		}
	}
}

// owesNothingItCouldPay: credits that could pay a debt have repaid it.
func (w *world) owesNothingItCouldPay() {
	a, c := w.account, w.book.At(w.now)
	plan := c.PlanOf(a.Plan())
	if w.versions > 1 || w.lateDebt || a.Closed() || plan == nil {
		return
	}
	for _, debt := range a.Debts() {
		for _, p := range a.Pools() {
			if c.Pays(p.Name, debt.Meter) && p.Unit == "" && plan.MaySpend(p.Name) && p.Terms.Remaining > 0 {
				w.t.Fatalf("owes %d for %s beside %d in %s", debt.Amount, debt.Meter, p.Terms.Remaining, p.Name)
			}
		}
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
