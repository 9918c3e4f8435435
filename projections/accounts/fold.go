package accounts

import (
	"cmp"
	"fmt"
	"strings"

	"creditstream/events/credit"
	"creditstream/projections"
)

// Version of the records; views of another one are rebuilt.
const Version = 2

// cacheAccounts bounds the accounts that a Work keeps between batches, about 2 KiB each.
const cacheAccounts = 16_384

// Fold is the kind of view.
type Fold struct {
	cache int // instead of the bounds of what a Work keeps, for tests
}

// Name is "accounts".
func (Fold) Name() string { return "accounts" }

// Version is Version.
func (Fold) Version() uint32 { return Version }

// Begin starts to fold on from what v holds.
func (f Fold) Begin(v *projections.View) projections.Work {
	w := &work{view: &View{View: v}, accounts: make(map[string]*credit.Account), all: v.Empty(), cache: cmp.Or(f.cache, cacheAccounts)}
	w.bind()
	return w
}

// work drains each account once per batch, however many entries changed it.
type work struct {
	puts
	view     *View
	accounts map[string]*credit.Account
	all      bool // no account is in the view and not in accounts
	cache    int
	touched  []*credit.Account
}

// Apply folds one entry.
func (w *work) Apply(b *projections.Batch, at projections.Position, e *credit.Entry) error {
	w.to = b
	if e.Key != "" {
		w.Key(e.Account, e.Key, e.Hash, at.Sequence, at.Offset)
	}
	if e.Account == "" {
		return w.tenant(e)
	}
	a, err := w.load(e.Account)
	if err != nil {
		return err
	}
	if !a.Changed() {
		w.touched = append(w.touched, a)
	}
	for i := range e.Facts {
		a.Evolve(e.Facts[i].Event, e.Facts[i].At)
	}
	return w.takeErr()
}

// Full bounds a batch to accounts that fit into the cache.
func (w *work) Full() bool { return len(w.touched) >= w.cache }

// tenant folds an entry about no account.
func (w *work) tenant(e *credit.Entry) error {
	for _, f := range e.Facts {
		c, ok := f.Event.(*credit.CatalogPublished)
		if !ok {
			return fmt.Errorf("a %s names no account", f.Event.Kind())
		}
		w.Catalog(c.Version, f.At, c.Source)
	}
	return w.takeErr()
}

func (w *work) load(id string) (*credit.Account, error) {
	if a := w.accounts[id]; a != nil {
		return a, nil
	}
	id = strings.Clone(id) // it is a part of the commit
	if w.all {
		a := credit.NewAccount(id)
		w.accounts[id] = a
		return a, nil
	}
	a, err := w.view.Load(id)
	if err != nil {
		return nil, err
	}
	w.accounts[id] = a
	return a, nil
}

// Flush drains what was touched, and forgets accounts beyond the bound: any, as a replay has no favourites
// that would be worth the bookkeeping.
func (w *work) Flush(b *projections.Batch) error {
	w.to = b
	for _, a := range w.touched {
		w.Account(a)
	}
	clear(w.touched)
	w.touched = w.touched[:0]
	for id := range w.accounts {
		if len(w.accounts) <= w.cache {
			break
		}
		w.all = false
		delete(w.accounts, id)
	}
	return w.takeErr()
}

// Own is where the parts of an account are.
func (Fold) Own(account string) [][2][]byte {
	own := appendAccount(nil, account)
	return [][2][]byte{{own, append(own[:len(own):len(own)], 0xff)}}
}
