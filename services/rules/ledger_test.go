package rules_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v4"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// ledger carries out a script as the loop carries out commands: settle, decide, fold.
type ledger struct {
	t             *testing.T
	swept, reload bool
	tenant        string
	source        map[string]any // the catalog in force, as YAML gives it
	book          *rules.Book
	account       *credit.Account
	now           time.Time
	stored        map[string][]byte // what the account drained, by part and id
	facts         []credit.Fact     // all of them, in order
	printed       map[string]bool   // due facts that a step answered with already
	usages        map[string]credit.Fact
	purchases     int
	refusal       *rules.Refusal // the last one
	show          map[string]bool
	cycle         uint32 // the one in which what is being told happened
}

func newLedger(t *testing.T, swept, reload bool) *ledger {
	return &ledger{
		t: t, swept: swept, reload: reload, account: credit.NewAccount("ana"),
		stored: map[string][]byte{}, printed: map[string]bool{}, usages: map[string]credit.Fact{}, show: map[string]bool{},
	}
}

func (l *ledger) run(file string, s step) {
	l.t.Helper()
	defer func() {
		if r := recover(); r != nil {
			l.t.Fatalf("%s:%d: %s: panic: %v", file, s.line, s.text, r)
		}
	}()
	answer, err := l.step(s.text)
	if err != nil {
		if !errors.As(err, &l.refusal) {
			l.t.Fatalf("%s:%d: %s: %v", file, s.line, s.text, err)
		}
		if s.expected == nil {
			l.t.Fatalf("%s:%d: %s: not expected to be refused: %v", file, s.line, s.text, err)
		}
		answer = append(answer, l.refused(l.refusal))
	}
	if s.expected != nil && !slices.Equal(answer, s.expected) {
		if len(answer) != 0 || !slices.Equal(s.expected, []string{"nothing"}) {
			l.t.Errorf("%s:%d: %s\n  expected\n    %s\n  got\n    %s", file, s.line, s.text,
				strings.Join(s.expected, "\n    "), strings.Join(answer, "\n    "))
		}
	}
	l.closes(fmt.Sprintf("%s:%d: %s", file, s.line, s.text))
}

// decide does what the loop does for one command. What fell due is committed with the command's own
// facts; a refusal commits nothing, unless facts came beside it.
func (l *ledger) decide(command rules.Command) ([]string, error) {
	a := l.account.Clone()
	due := rules.Settle(a, l.book, l.now)
	l.inOrder(due)
	facts, err := command.Decide(a, l.book, l.now)
	if err != nil && len(facts) == 0 {
		return nil, err
	}
	for _, d := range due {
		l.commit(d.Facts)
	}
	l.commit(facts)
	return l.tellAll(facts), err
}

// fallDue answers with what fell due by now and was not told before, and books it when a sweep would.
func (l *ledger) fallDue() []string {
	if !l.account.Exists() {
		return nil
	}
	a := l.account.Clone()
	due := rules.Settle(a, l.book, l.now)
	l.inOrder(due)
	var answer []string
	for _, d := range due {
		if !l.printed[d.Key] {
			answer = append(answer, l.tellAll(d.Facts)...)
		}
		l.printed[d.Key] = true
		if l.swept {
			l.commit(d.Facts)
		}
	}
	return answer
}

func (l *ledger) inOrder(due []rules.Due) {
	l.t.Helper()
	var last time.Time
	seen := map[string]bool{}
	for _, d := range due {
		if seen[d.Key] || d.Key == "" || len(d.Facts) == 0 {
			l.t.Fatalf("fell due twice, without a key or without a fact: %q", d.Key)
		}
		seen[d.Key] = true
		for _, f := range d.Facts {
			if f.At.Before(last) || f.At.After(l.now) {
				l.t.Fatalf("%s at %s is out of order: the one before is at %s, now is %s", d.Key, f.At, last, l.now)
			}
			last = f.At
		}
	}
}

// commit folds the facts as they come back from the journal's own encoding.
func (l *ledger) commit(facts []credit.Fact) {
	l.t.Helper()
	if len(facts) == 0 {
		return
	}
	for i := range facts {
		facts[i].ID = uuid.New()
	}
	body, err := credit.EncodeCommit("/creditstream/"+l.tenant+"/0", []credit.Entry{{Account: "ana", Key: "k", Recorded: l.now, Facts: facts}})
	if err != nil {
		l.t.Fatal(err)
	}
	entries, err := credit.DecodeCommit(body)
	if err != nil || len(entries) != 1 || len(entries[0].Facts) != len(facts) {
		l.t.Fatalf("read back %s: %v", body, err)
	}
	for i, f := range entries[0].Facts {
		if !reflect.DeepEqual(f.Event, facts[i].Event) || !f.At.Equal(facts[i].At) {
			l.t.Fatalf("written as %s\n  and read back as %s", asJSON(facts[i].Event), asJSON(f.Event))
		}
		f.Raw = nil
		l.account.Evolve(f.Event, f.At)
		l.facts = append(l.facts, f)
		l.closeTerms(l.account, f.Event.Kind())
	}
	drainInto(l.account, l.stored)
	if l.reload {
		l.account = restore(l.t, l.stored)
	}
}

func drainInto(a *credit.Account, stored map[string][]byte) {
	a.Drain(nil,
		func(part credit.Part, id string, value []byte) { stored[string(part)+id] = slices.Clone(value) },
		func(part credit.Part, id string) { delete(stored, string(part)+id) })
}

func restore(t *testing.T, stored map[string][]byte) *credit.Account {
	t.Helper()
	a := credit.NewAccount("ana")
	for _, key := range slices.Sorted(maps.Keys(stored)) {
		part := credit.Part(key[0])
		if part == credit.PartReversed || part == credit.PartDue {
			continue
		}
		if err := a.Restore(part, key[1:], stored[key]); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Restored(); err != nil {
		t.Fatal(err)
	}
	return a
}

// closes checks what must hold after every step, as booked and as settled by now.
func (l *ledger) closes(where string) {
	l.t.Helper()
	if !l.account.Exists() {
		return
	}
	settled := l.account.Clone()
	rules.Settle(settled, l.book, l.now)
	for _, a := range []*credit.Account{l.account, settled} {
		l.closeTerms(a, where)
	}
	balance := rules.BalanceOf(settled, l.book, l.now)
	sum := rules.BalanceTerms{}
	for _, p := range balance.Pools {
		if !p.Close() {
			l.t.Errorf("%s: the terms of pool %s do not close: %+v", where, p.Pool, p.BalanceTerms)
		}
		if p.Unit == rules.UnitCredit {
			sum.Total += p.Total
			sum.Remaining += p.Remaining
		}
	}
	if !balance.Close() || sum.Total != balance.Total || sum.Remaining != balance.Remaining {
		l.t.Errorf("%s: the account's terms do not close or are not the sum of its pools: %+v", where, balance)
	}
	for _, lot := range settled.Lots() {
		if lot.Remaining < 0 || lot.Held < 0 || lot.Breakage < 0 || lot.Remaining > 0 && !lot.Alive(l.now) {
			l.t.Errorf("%s: lot %+v cannot be", where, *lot)
		}
	}
	l.checksAreRight(settled, where)
	l.usedAddsUp(where)
	l.revenueAddsUp(where)
	back := restore(l.t, l.stored)
	for _, pair := range [][2]any{
		{back.Lots(), l.account.Lots()}, {back.Holds(), l.account.Holds()}, {back.Purchases(), l.account.Purchases()},
		{back.NextDue(), l.account.NextDue()}, {rules.BalanceOf(back, l.book, l.now), rules.BalanceOf(l.account, l.book, l.now)},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			l.t.Errorf("%s: the account is not what it was when it is read back:\n  %s\n  %s", where, asJSON(pair[0]), asJSON(pair[1]))
		}
	}
}

func (l *ledger) closeTerms(a *credit.Account, where string) {
	l.t.Helper()
	for _, p := range a.Pools() {
		if !p.Terms.Close() {
			l.t.Fatalf("%s: the terms of pool %s do not close: %+v", where, p.Name, p.Terms)
		}
	}
}

// refold folds all facts from the first and wants the records that the steps wrote one by one.
func (l *ledger) refold() {
	l.t.Helper()
	a := credit.NewAccount("ana")
	for _, f := range l.facts {
		a.Evolve(f.Event, f.At)
	}
	stored := map[string][]byte{}
	drainInto(a, stored)
	if !maps.EqualFunc(stored, l.stored, slices.Equal) {
		l.t.Errorf("folded at once the account differs from folded step by step:\n  %q\n  %q", stored, l.stored)
	}
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// load reads a shipped catalog and makes changes to it: path=value, where the path may name what is not
// there yet and an empty value removes it.
func (l *ledger) load(tenant string, changes []string) error {
	text, err := os.ReadFile("../../deploy/catalogs/" + tenant + ".yaml")
	if err != nil {
		return err
	}
	l.tenant, l.source, l.book = tenant, nil, &rules.Book{}
	if err := yaml.Unmarshal(text, &l.source); err != nil {
		return err
	}
	return l.publish(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), changes)
}

func (l *ledger) publish(at time.Time, changes []string) error {
	for _, change := range changes {
		path, value, ok := strings.Cut(change, "=")
		if !ok {
			return fmt.Errorf("%q is not path=value", change)
		}
		names := strings.Split(path, ".")
		in := l.source
		for _, name := range names[:len(names)-1] {
			next, ok := in[name].(map[string]any)
			if !ok {
				next = map[string]any{}
				in[name] = next
			}
			in = next
		}
		delete(in, names[len(names)-1])
		if value == "" {
			continue
		}
		var parsed any
		if err := yaml.Unmarshal([]byte(value), &parsed); err != nil {
			return err
		}
		in[names[len(names)-1]] = parsed
	}
	text, err := yaml.Marshal(l.source)
	if err != nil {
		return err
	}
	catalog, err := rules.ParseCatalog(text)
	if err != nil {
		return err
	}
	if err := l.book.Accepts(catalog); err != nil {
		return err
	}
	l.book = l.book.With(at, catalog)
	return nil
}

func (l *ledger) zone() *time.Location {
	name := l.book.At(l.now).Timezone
	if l.account.Exists() {
		name = l.account.Timezone()
	}
	loc, err := rules.LoadZone(name)
	if err != nil {
		l.t.Fatal(err)
	}
	return loc
}

// instant reads 2026-01-31, 2026-01-31T09:00, 2026-01-31T09:00:00.000000001 (local) or …Z.
func (l *ledger) instant(text string) (time.Time, error) {
	loc := l.zone()
	if short, utc := strings.CutSuffix(text, "Z"); utc {
		text, loc = short, time.UTC
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, loc); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 2026-01-31T09:00", text)
}

func (l *ledger) amount(text string) (credit.Amount, error) {
	return credit.ParseAmount(strings.ReplaceAll(text, ",", ""), l.book.At(l.now).Scale)
}

func (l *ledger) money(text string) (credit.Money, error) {
	currency := l.book.At(l.now).Currency
	if amount, other, ok := strings.Cut(text, ":"); ok {
		text, currency = amount, other
	}
	return rules.ParseMoney(currency, text)
}

func whole(text string) (int64, error) {
	return strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
}
