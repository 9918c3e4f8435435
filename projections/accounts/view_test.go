package accounts_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
	"creditstream/projections/accounts"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var name = projections.Name{Tenant: "tecpet", Shard: 0}

func open(t testing.TB, fs vfs.FS) (*projections.Store, *accounts.View) {
	t.Helper()
	store, err := projections.Open(projections.Config{Dir: "views", View: "accounts", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	view, err := accounts.Of(store, name)
	if err != nil {
		t.Fatal(err)
	}
	return store, view
}

func shut(t testing.TB, store *projections.Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// loop does what the writer's loop does: it folds into accounts that it caches and stages what changed.
type loop struct {
	view     *accounts.View
	stage    *accounts.Stage
	accounts map[string]*credit.Account
	sequence uint64
}

func newLoop(view *accounts.View) *loop {
	return &loop{view: view, stage: view.Stage(), accounts: make(map[string]*credit.Account)}
}

func (l *loop) commit(t testing.TB, entries []credit.Entry) {
	t.Helper()
	l.sequence++
	for i := range entries {
		e := &entries[i]
		l.stage.Key(e.Account, e.Key, e.Hash, l.sequence, uint32(i))
		if e.Account == "" {
			c := e.Facts[0].Event.(*credit.CatalogPublished)
			l.stage.Catalog(c.Version, e.Facts[0].At, c.Source)
			continue
		}
		a := l.accounts[e.Account]
		if a == nil {
			var err error
			if a, err = l.view.Load(e.Account); err != nil {
				t.Fatal(err)
			}
			l.accounts[e.Account] = a
		}
		for _, f := range e.Facts {
			a.Evolve(f.Event, f.At)
		}
		l.stage.Account(a)
	}
	if err := l.stage.Commit(projections.Head{Journal: "j", Sequence: l.sequence}); err != nil {
		t.Fatal(err)
	}
}

func dump(t testing.TB, view *projections.View) []string {
	t.Helper()
	iter, err := view.Iter(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var records []string
	for iter.First(); iter.Valid(); iter.Next() {
		records = append(records, fmt.Sprintf("%q = %x", iter.Key(), iter.Value()))
	}
	if err := iter.Close(); err != nil {
		t.Fatal(err)
	}
	return records
}

func TestLoadedAccountsAreTheFold(t *testing.T) {
	store, view := open(t, vfs.NewMem())
	l := newLoop(view)
	source := trial.New(1, 12)
	for range 60 {
		entries, _ := source.Commit(15)
		l.commit(t, entries)
	}
	for _, want := range source.Accounts() {
		got, err := view.Load(want.ID())
		if err != nil {
			t.Fatal(err)
		}
		if g, w := describe(got), describe(want); g != w {
			t.Fatalf("account %s\n got %s\nwant %s", want.ID(), g, w)
		}
	}
	nobody, err := view.Load("nobody")
	if err != nil || nobody.Exists() {
		t.Fatalf("an account that was never opened: exists %v, %v", nobody.Exists(), err)
	}
	if err := l.stage.Close(); err != nil {
		t.Fatal(err)
	}
	shut(t, store)
}

// describe is everything that rules can read of an account.
func describe(a *credit.Account) string {
	var b bytes.Buffer
	fmt.Fprintln(&b, a.ID(), a.Opened(), a.Closed(), a.Timezone(), a.NextTimezone(), a.Anchor(), a.Cycle(), a.Plan(), a.Approval(), a.PaymentMethod(), a.Metadata(), a.NextDue(), a.Debts(), a.Low(), a.Exhausted(), a.NextLot(0), a.NextHold())
	if p := a.Pending(); p != nil {
		fmt.Fprintln(&b, *p)
	}
	for _, p := range a.Pools() {
		fmt.Fprintf(&b, "%s %s %+v:", p.Name, p.Unit, p.Terms)
		for _, l := range p.Live() {
			fmt.Fprint(&b, " ", l.ID)
		}
		fmt.Fprintln(&b)
	}
	for _, l := range a.Lots() {
		fmt.Fprintf(&b, "%+v\n", *l)
	}
	for _, h := range a.Holds() {
		fmt.Fprintf(&b, "%+v\n", *h)
	}
	for _, p := range a.Purchases() {
		fmt.Fprintf(&b, "%+v\n", *p)
	}
	for _, p := range a.Awaiting() {
		fmt.Fprint(&b, p.ID, " ")
	}
	// Whether something waits to be drained is not the account's state.
	return strings.ReplaceAll(b.String(), "dirty:true", "dirty:false")
}

func TestKeysPurchasesAndCatalogs(t *testing.T) {
	store, view := open(t, vfs.NewMem())
	defer shut(t, store)
	l := newLoop(view)
	defer func() { _ = l.stage.Close() }()
	source := trial.New(2, 5)
	type indexed struct {
		account, key string
		want         accounts.Key
	}
	var keys []indexed
	reversed := make(map[[2]string]int64)
	purchases := make(map[string]string)
	var catalogs []accounts.PublishedCatalog
	for range 80 {
		entries, _ := source.Commit(15)
		l.commit(t, entries)
		for i, e := range entries {
			if e.Hash != (credit.Hash{}) {
				keys = append(keys, indexed{e.Account, e.Key, accounts.Key{Hash: e.Hash, Sequence: l.sequence, Offset: uint32(i)}})
			} else if _, ok, err := view.Lookup(e.Account, e.Key); ok || err != nil {
				t.Fatalf("%s, which nobody asked for, is in the index: %v", e.Key, err)
			}
			for _, f := range e.Facts {
				switch event := f.Event.(type) {
				case *credit.UsageReversed:
					reversed[[2]string{e.Account, event.Usage}] = event.Total
				case *credit.PurchaseRequested:
					purchases[event.Purchase] = e.Account
				case *credit.CatalogPublished:
					catalogs = append(catalogs, accounts.PublishedCatalog{Version: event.Version, At: f.At, Source: event.Source})
				}
			}
		}
	}
	for _, k := range keys {
		got, ok, err := view.Lookup(k.account, k.key)
		if err != nil || !ok || got != k.want {
			t.Fatalf("key %s of %s: %+v, %v, %v; want %+v", k.key, k.account, got, ok, err, k.want)
		}
		if _, ok, err := view.Lookup(k.account+"x", k.key); ok || err != nil {
			t.Fatalf("key %s is found for another account: %v", k.key, err)
		}
	}
	for use, want := range reversed {
		if got, err := view.Reversed(use[0], use[1]); err != nil || got != want {
			t.Fatalf("reversed of %v: %d, %v; want %d", use, got, err, want)
		}
	}
	for purchase, want := range purchases {
		if got, ok, err := view.PurchaseAccount(purchase); got != want || !ok || err != nil {
			t.Fatalf("purchase %s: %s, %v, %v; want %s", purchase, got, ok, err, want)
		}
	}
	if got, err := view.Catalogs(); err != nil || !reflect.DeepEqual(got, catalogs) || len(got) == 0 {
		t.Fatalf("catalogs: %+v, %v; want %+v", got, err, catalogs)
	}
	if len(reversed) == 0 || len(purchases) == 0 {
		t.Fatal("the journal has no reversal or no purchase")
	}
}

func TestDueAndLists(t *testing.T) {
	store, view := open(t, vfs.NewMem())
	defer shut(t, store)
	l := newLoop(view)
	defer func() { _ = l.stage.Close() }()
	source := trial.New(3, 30)
	for range 40 {
		entries, _ := source.Commit(15)
		l.commit(t, entries)
	}
	for _, before := range []time.Duration{-time.Hour, 24 * time.Hour, 10 * 24 * time.Hour, 100 * 24 * time.Hour} {
		limit := source.Now().Add(before)
		want := make(map[string]bool)
		for _, a := range source.Accounts() {
			if due := a.NextDue(); !due.IsZero() && !due.After(limit) {
				want[a.ID()] = true
			}
		}
		got, err := view.Due(limit, 1000)
		if err != nil || len(got) != len(want) {
			t.Fatalf("due by %s: %v, %v; want %v", limit, got, err, want)
		}
		var last time.Time
		for _, id := range got {
			due := source.Account(id).NextDue()
			if !want[id] || due.Before(last) {
				t.Fatalf("due by %s: %v is not in order", limit, got)
			}
			last = due
		}
	}
	opened := 0
	for _, a := range source.Accounts() {
		if a.Exists() && a.Plan() == "max" {
			opened++
		}
	}
	seen, after := 0, ""
	for {
		page, next, err := view.Accounts(after, 3, func(a *credit.Account) bool { return a.Plan() == "max" })
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			if describe(a) != describe(source.Account(a.ID())) {
				t.Fatalf("listed account %s differs", a.ID())
			}
		}
		seen += len(page)
		if after = next; next == "" {
			break
		}
	}
	if seen != opened || opened == 0 {
		t.Fatalf("%d accounts listed, %d are there", seen, opened)
	}
}

// A key that ends in what another account starts with must not stand for it.
func TestNamesCannotRunIntoEachOther(t *testing.T) {
	store, view := open(t, vfs.NewMem())
	defer shut(t, store)
	stage := view.Stage()
	defer func() { _ = stage.Close() }()
	stage.Key("c", "a\x00b", credit.Hash{1}, 1, 0)
	stage.Key("b\x00c", "a", credit.Hash{2}, 1, 1)
	if err := stage.Commit(projections.Head{Journal: "j", Sequence: 1}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		account, key string
		hash         byte
	}{{"c", "a\x00b", 1}, {"b\x00c", "a", 2}} {
		if got, ok, err := view.Lookup(k.account, k.key); !ok || err != nil || got.Hash[0] != k.hash {
			t.Fatalf("key %q of %q: %+v, %v, %v", k.key, k.account, got, ok, err)
		}
	}
}

func TestDamagedRecordIsNotServed(t *testing.T) {
	store, view := open(t, vfs.NewMem())
	defer shut(t, store)
	l := newLoop(view)
	defer func() { _ = l.stage.Close() }()
	source := trial.New(4, 1)
	entries, _ := source.Commit(30)
	l.commit(t, entries)
	b := view.NewBatch()
	defer func() { _ = b.Close() }()
	key := append(b.Key(), "aaccount-000000\x00l"...)
	if err := b.Drop(append(key, source.Accounts()[0].Pools()[0].Live()[0].ID...)); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(projections.Head{Journal: "j", Sequence: 2}); err != nil {
		t.Fatal(err)
	}
	if a, err := view.Load("account-000000"); err == nil {
		t.Fatalf("an account without one of its lots is served: %s", describe(a))
	}
}

func TestCheckpointAndRecordsSurviveAReopen(t *testing.T) {
	fs := vfs.NewMem()
	store, view := open(t, fs)
	l := newLoop(view)
	source := trial.New(5, 10)
	for range 20 {
		entries, _ := source.Commit(10)
		l.commit(t, entries)
	}
	before := dump(t, view.View)
	if err := l.stage.Close(); err != nil {
		t.Fatal(err)
	}
	shut(t, store)
	store, view = open(t, fs)
	defer shut(t, store)
	if head, err := view.Checkpoint(); err != nil || head.Sequence != 20 || head.Journal != "j" {
		t.Fatalf("checkpoint %+v, %v", head, err)
	}
	if after := dump(t, view.View); !reflect.DeepEqual(before, after) {
		t.Fatal("records differ after a reopen")
	}
}

// The writer's loop and the fold of a catch-up write the same records, whatever the size of a batch.
func TestFoldWritesWhatTheLoopWrites(t *testing.T) {
	store, view := open(t, vfs.NewMem())
	defer shut(t, store)
	l := newLoop(view)
	defer func() { _ = l.stage.Close() }()
	source := trial.New(6, 40)
	var commits [][]credit.Entry
	for range 150 {
		entries, body := source.Commit(12)
		decoded, err := credit.DecodeCommit(body)
		if err != nil {
			t.Fatal(err)
		}
		l.commit(t, entries)
		commits = append(commits, decoded)
	}
	want := dump(t, view.View)
	for _, size := range []int{1, 7, 150} {
		other, folded := open(t, vfs.NewMem())
		work, batch := accounts.Fold{}.Begin(folded.View), folded.NewBatch()
		for i, entries := range commits {
			for j := range entries {
				if err := work.Apply(batch, projections.Position{Sequence: uint64(i + 1), Offset: uint32(j)}, &entries[j]); err != nil {
					t.Fatal(err)
				}
			}
			if (i+1)%size != 0 && i+1 < len(commits) {
				continue
			}
			if err := work.Flush(batch); err != nil {
				t.Fatal(err)
			}
			if err := batch.Commit(projections.Head{Journal: "j", Sequence: uint64(i + 1)}); err != nil {
				t.Fatal(err)
			}
		}
		got := dump(t, folded.View)
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("batches of %d commits: record %d\n got %s\nwant %s", size, i, got[i], want[i])
			}
		}
		if len(got) != len(want) {
			t.Fatalf("batches of %d commits: %d records, want %d", size, len(got), len(want))
		}
		if err := batch.Close(); err != nil {
			t.Fatal(err)
		}
		shut(t, other)
	}
}
