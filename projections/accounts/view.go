package accounts

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// View is the accounts view of one journal. Reads may run concurrently with the one who writes through a
// Stage, and see what was committed last.
type View struct {
	*projections.View
	buffers sync.Pool // of *buffer
}

// buffer is memory to load an account with, which would be a third of the garbage of that.
type buffer struct{ key, head []byte }

// Of gives the view of one journal in a store its methods.
func Of(store *projections.Store, name projections.Name) (*View, error) {
	v, err := store.View(name, Version)
	if err != nil {
		return nil, err
	}
	return &View{View: v}, nil
}

// Load returns an account as of the checkpoint; one that does not Exist when there is none of that id.
func (v *View) Load(account string) (*credit.Account, error) {
	a, err := v.loadHead(account)
	if a == nil && err == nil {
		a, err = v.loadParts(account)
	}
	if err != nil {
		return nil, fmt.Errorf("load account %s of %s: %w", account, v.Name(), err)
	}
	return a, nil
}

// loadHead loads an account whose head record is all there is of it, as that of most is: one record costs a third
// of a scan. nil means that there may be more, or nothing.
func (v *View) loadHead(account string) (*credit.Account, error) {
	b, _ := v.buffers.Get().(*buffer)
	if b == nil {
		b = new(buffer)
	}
	defer v.buffers.Put(b)
	var ok bool
	var err error
	b.key = appendPart(b.key[:0], account, credit.PartHead, "")
	if b.head, ok, err = v.Get(b.head[:0], b.key); err != nil || !ok {
		return nil, err
	}
	a := credit.NewAccount(account)
	if err := a.Restore(credit.PartHead, "", b.head); err != nil {
		return nil, fmt.Errorf("%w: %w", projections.ErrDamaged, err)
	}
	if !a.Whole() {
		return nil, nil
	}
	if err := a.Restored(); err != nil {
		return nil, fmt.Errorf("%w: %w", projections.ErrDamaged, err)
	}
	return a, nil
}

// loadParts loads an account with a scan over all of its records.
func (v *View) loadParts(account string) (*credit.Account, error) {
	var buf [160]byte
	from := appendAccount(buf[:0], account)
	var head, end [160]byte
	iter, err := v.IterWith(appendPart(head[:0], account, credit.PartHead, ""), from, append(append(end[:0], from...), loadUntil))
	if err != nil {
		return nil, err
	}
	a := credit.NewAccount(account)
	iter.First()
	_, err = restore(a, iter, from)
	if closed := iter.Close(); err == nil {
		err = closed
	}
	return a, err
}

// restore reads the parts that iter stands at, whose keys start with own. It stops at the first record that
// is none of them; found says whether there was any.
func restore(a *credit.Account, iter *projections.Iter, own []byte) (found bool, err error) {
	skip := len(own)
	for ; iter.Valid(); iter.Next() {
		key := iter.Key()
		if len(key) <= skip || key[skip] >= loadUntil || !bytes.HasPrefix(key, own) {
			break
		}
		value, err := iter.ValueAndErr()
		if err != nil {
			return found, err
		}
		found = true
		if err := a.Restore(credit.Part(key[skip]), string(key[skip+1:]), value); err != nil {
			return found, fmt.Errorf("%w: %w", projections.ErrDamaged, err)
		}
	}
	if !found {
		return false, iter.Error()
	}
	if err := a.Restored(); err != nil {
		return true, fmt.Errorf("%w: %w", projections.ErrDamaged, err)
	}
	return true, iter.Error()
}

// Lookup finds an idempotency key; false when no entry carries it.
func (v *View) Lookup(account, key string) (Key, bool, error) {
	var buf [320]byte
	var value [64]byte
	found, ok, err := v.Get(value[:0], appendKey(buf[:0], account, key))
	if err != nil || !ok {
		return Key{}, false, err
	}
	k, err := decodeKey(found)
	return k, err == nil, err
}

// Reversed is how many units of a use, named by its key, were taken back.
func (v *View) Reversed(account, usage string) (int64, error) {
	value, ok, err := v.Get(nil, appendPart(nil, account, credit.PartReversed, usage))
	if err != nil || !ok {
		return 0, err
	}
	units, err := credit.DecodeReversed(value)
	if err != nil {
		return 0, fmt.Errorf("reversals of use %s of account %s: %w: %w", usage, account, projections.ErrDamaged, err)
	}
	return units, nil
}

// LastKey is the greatest idempotency key below one, of all that were ever used, or "".
func (v *View) LastKey(below string) (string, error) {
	last, there, err := v.Last([]byte{tagKey}, append([]byte{tagKey}, below...))
	if err != nil {
		return "", fmt.Errorf("find the last key of %s: %w", v.Name(), err)
	}
	if !there {
		return "", nil
	}
	key, _, ok := projections.CutText(last[1:])
	if !ok {
		return "", fmt.Errorf("find the last key of %s: %w", v.Name(), projections.ErrDamaged)
	}
	return key, nil
}

// PurchaseAccount finds the account that a purchase is for.
func (v *View) PurchaseAccount(purchase string) (account string, ok bool, err error) {
	value, ok, err := v.Get(nil, appendPurchase(nil, purchase))
	return string(value), ok, err
}

// Due lists up to limit accounts for which something falls due at before or earlier, earliest first.
func (v *View) Due(before time.Time, limit int) ([]string, error) {
	iter, err := v.Iter([]byte{tagDue}, dueUntil(before))
	if err != nil {
		return nil, err
	}
	var due []string
	for iter.First(); iter.Valid() && len(due) < limit; iter.Next() {
		if key := iter.Key(); len(key) > 9 {
			due = append(due, string(key[9:]))
		}
	}
	if err := iter.Close(); err != nil {
		return nil, fmt.Errorf("find what is due in %s: %w", v.Name(), err)
	}
	return due, nil
}

// pageScan bounds how many accounts one call of Accounts looks at, whatever it keeps.
const pageScan = 20_000

// Accounts lists accounts by id, from the one behind after: up to limit that keep wants (nil: all). next is
// what to give as after to go on, and empty at the end; a page may be short, or empty, before the end.
func (v *View) Accounts(after string, limit int, keep func(*credit.Account) bool) (page []*credit.Account, next string, err error) {
	from := []byte{tagAccount}
	if after != "" {
		from = append(appendAccount(nil, after), 0xff)
	}
	iter, err := v.Iter(from, []byte{tagAccount + 1})
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if closed := iter.Close(); err == nil && closed != nil {
			err = fmt.Errorf("list accounts of %s: %w", v.Name(), closed)
		}
	}()
	valid := iter.First()
	for range pageScan {
		if !valid {
			return page, "", iter.Error()
		}
		id, _, ok := projections.CutText(iter.Key()[1:])
		if !ok {
			return nil, "", fmt.Errorf("list accounts of %s: key %q: %w", v.Name(), iter.Key(), projections.ErrDamaged)
		}
		if len(page) == limit {
			return page, next, nil
		}
		a := credit.NewAccount(id)
		start := appendAccount(nil, id)
		found, err := restore(a, iter, start)
		if err != nil {
			return nil, "", fmt.Errorf("list accounts of %s: %w", v.Name(), err)
		}
		if found && (keep == nil || keep(a)) {
			page = append(page, a)
		}
		next = id
		valid = iter.SeekGE(append(start, 0xff))
	}
	return page, next, nil
}

// Catalogs lists all versions of the tenant's rules, oldest first.
func (v *View) Catalogs() ([]PublishedCatalog, error) {
	iter, err := v.Iter([]byte{tagCatalog}, []byte{tagCatalog + 1})
	if err != nil {
		return nil, err
	}
	var catalogs []PublishedCatalog
	for iter.First(); iter.Valid(); iter.Next() {
		c, err := decodeCatalog(iter.Key(), iter.Value())
		if err != nil {
			_ = iter.Close()
			return nil, fmt.Errorf("catalogs of %s: %w", v.Name(), err)
		}
		catalogs = append(catalogs, c)
	}
	if err := iter.Close(); err != nil {
		return nil, fmt.Errorf("catalogs of %s: %w", v.Name(), err)
	}
	return catalogs, nil
}
