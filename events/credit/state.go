package credit

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// Part is one kind of record that an account is laid out in. Holds, purchases and the lots of an account
// with more than a few are records of their own, so that one with thousands of lots costs what a fact
// touches.
type Part byte

// The parts of an account. PartReversed records are read one at a time, when a reversal asks for them;
// Restore of the others gives the account back.
const (
	PartHead     Part = 'a'
	PartDue      Part = 'd' // its id is NextDue: eight bytes, big-endian unix nanoseconds; for finding what falls due
	PartHold     Part = 'h'
	PartLot      Part = 'l'
	PartPurchase Part = 'p'
	PartReversed Part = 'r'
)

// stateFormat is the first byte of every record.
const stateFormat = 2

// inlineLots is how many lots an account may have for them to stand in its head record: few accounts have
// more, and one record less is a quarter of what it takes to store a charge.
const inlineLots = 3

type dropped struct {
	part Part
	id   string
}

// changes is what Evolve touched since the last Drain.
type changes struct {
	head      bool
	lots      []*Lot
	holds     []*Hold
	purchases []*Purchase
	reversed  []string
	dropped   []dropped
}

func (a *Account) touchLot(l *Lot) {
	if !l.dirty {
		l.dirty = true
		a.changed.lots = append(a.changed.lots, l)
	}
}

func (a *Account) touchHold(h *Hold) {
	if !h.dirty {
		h.dirty = true
		a.changed.holds = append(a.changed.holds, h)
	}
}

func (a *Account) touchPurchase(p *Purchase) {
	if !p.dirty {
		p.dirty = true
		a.changed.purchases = append(a.changed.purchases, p)
	}
}

func (a *Account) drop(part Part, id string) {
	a.changed.dropped = append(a.changed.dropped, dropped{part, id})
}

// Changed reports whether Drain would write anything.
func (a *Account) Changed() bool { return a.changed.head }

// Drain hands out the records that changed since the last Drain: put for what is there, drop for what
// is gone. buf is scratch space, returned for reuse; a value is valid only during the call to put. The
// same account always encodes to the same bytes.
func (a *Account) Drain(buf []byte, put func(part Part, id string, value []byte), drop func(part Part, id string)) []byte {
	if !a.changed.head {
		return buf
	}
	buf = a.appendHead(buf[:0])
	put(PartHead, "", buf)
	recorded := a.lotsOutside
	buf = a.drainLots(buf, put, drop)
	for _, h := range a.changed.holds {
		h.dirty = false
		if a.holds[h.ID] == h {
			buf = h.append(buf[:0])
			put(PartHold, h.ID, buf)
		}
	}
	for _, p := range a.changed.purchases {
		p.dirty = false
		buf = p.append(buf[:0])
		put(PartPurchase, p.ID, buf)
	}
	for _, key := range a.changed.reversed {
		buf = AppendReversed(buf[:0], a.reversed[key])
		put(PartReversed, key, buf)
	}
	for _, d := range a.changed.dropped {
		if d.part != PartLot || recorded {
			drop(d.part, d.id)
		}
	}
	if due := a.NextDue(); !due.Equal(a.booked) {
		if !a.booked.IsZero() {
			drop(PartDue, dueID(a.booked))
		}
		if !due.IsZero() {
			put(PartDue, dueID(due), nil)
		}
		a.booked = due
	}
	c := &a.changed
	*c = changes{lots: c.lots[:0], holds: c.holds[:0], purchases: c.purchases[:0], reversed: c.reversed[:0], dropped: c.dropped[:0]}
	return buf
}

// drainLots writes the lots that do not stand in the head record.
func (a *Account) drainLots(buf []byte, put func(part Part, id string, value []byte), drop func(part Part, id string)) []byte {
	outside := len(a.lots) > inlineLots
	changed := a.changed.lots
	if outside && !a.lotsOutside {
		changed = a.lots
	}
	for _, l := range changed {
		if outside && a.Lot(l.ID) == l {
			buf = l.append(append(buf[:0], stateFormat))
			put(PartLot, l.ID, buf)
		}
	}
	for _, l := range a.changed.lots {
		l.dirty = false
	}
	if !outside && a.lotsOutside {
		for _, l := range a.lots {
			drop(PartLot, l.ID)
		}
	}
	a.lotsOutside = outside
	return buf
}

// Restore reads one record back into an account that is being loaded: PartHead first, then the others
// in any order, then Restored.
func (a *Account) Restore(part Part, id string, value []byte) error {
	d := &decoder{Fields{Rest: value}}
	if f := d.byte(); f != stateFormat {
		return fmt.Errorf("account %s: record %c %q has format %d, not %d", a.id, part, id, f, stateFormat)
	}
	switch part {
	case PartHead:
		a.decodeHead(d)
	case PartLot:
		l := decodeLot(d)
		if l.ID != id {
			d.Fail()
		}
		a.lots = append(a.lots, l)
	case PartHold:
		h := decodeHold(d, id)
		if a.holds == nil {
			a.holds = make(map[string]*Hold)
		}
		a.holds[id] = h
	case PartPurchase:
		p := decodePurchase(d, id)
		if a.purchases == nil {
			a.purchases = make(map[string]*Purchase)
		}
		a.purchases[id] = p
	default:
		return fmt.Errorf("account %s: unknown record %c", a.id, part)
	}
	if !d.Done() {
		return fmt.Errorf("account %s: record %c %q is damaged", a.id, part, id)
	}
	return nil
}

// Whole reports, of an account of which only PartHead was restored, whether that is all there is: it never had a hold
// or a purchase, and its lots stand there.
func (a *Account) Whole() bool { return !a.lotsOutside && a.holdCount == 0 && a.purchaseCount == 0 }

// Restored completes an account after its last Restore and checks that its lots add up to its terms.
func (a *Account) Restored() error {
	slices.SortFunc(a.lots, func(x, y *Lot) int { return cmp.Compare(x.Ordinal, y.Ordinal) })
	for i, l := range a.lots {
		if i > 0 && a.lots[i-1].Ordinal == l.Ordinal {
			return fmt.Errorf("account %s: lot %s is there twice", a.id, l.ID)
		}
		a.noteEnd(l)
		if l.Remaining == 0 {
			continue
		}
		p := a.Pool(l.Pool)
		if p == nil {
			return fmt.Errorf("account %s: lot %s is in pool %s, which the account has not", a.id, l.ID, l.Pool)
		}
		p.live = append(p.live, l)
		if l.unwarned() {
			p.unwarned++
		}
	}
	for _, p := range a.pools {
		slices.SortFunc(p.live, func(x, y *Lot) int {
			if x.Before(y) {
				return -1
			}
			return 1
		})
		var sum Amount
		for _, l := range p.live {
			sum += l.Remaining
		}
		if sum != p.Terms.Remaining {
			return fmt.Errorf("account %s: the lots of pool %s hold %d, its terms say %d", a.id, p.Name, sum, p.Terms.Remaining)
		}
	}
	for _, p := range a.Purchases() {
		if p.Pays() {
			a.awaiting = append(a.awaiting, p)
		}
	}
	a.booked = a.NextDue()
	return nil
}

func dueID(t time.Time) string {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(t.UnixNano()))
	return string(id[:])
}

// SetReversed tells the account how much of a use was reversed, read back from its PartReversed record.
func (a *Account) SetReversed(usage string, units int64) {
	if a.reversed == nil {
		a.reversed = make(map[string]int64)
	}
	a.reversed[usage] = units
}

// AppendReversed encodes a PartReversed record.
func AppendReversed(dst []byte, units int64) []byte {
	return binary.AppendVarint(append(dst, stateFormat), units)
}

// DecodeReversed reads a PartReversed record.
func DecodeReversed(value []byte) (int64, error) {
	d := &decoder{Fields{Rest: value}}
	if d.byte() != stateFormat {
		return 0, errDamaged
	}
	units := d.Int()
	if !d.Done() {
		return 0, errDamaged
	}
	return units, nil
}
