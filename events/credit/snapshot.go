package credit

import (
	"encoding/binary"
	"fmt"
)

// SnapshotFormat is raised whenever the bytes of AppendSnapshot change for the same account: views that keep
// snapshots are then of another version.
const SnapshotFormat = stateFormat

// AppendSnapshot writes all of the account that RestoreSnapshot gives back, in one piece: the same account
// always to the same bytes. What was reversed of single uses is no part of it: there is no bound to how many
// those are, only a new reversal asks for it, and nothing is reversed in the past.
func (a *Account) AppendSnapshot(dst []byte) []byte {
	dst = a.appendHead(dst)
	if len(a.lots) > inlineLots {
		dst = binary.AppendUvarint(dst, uint64(len(a.lots)))
		for _, l := range a.lots {
			dst = l.append(dst)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(a.holds)))
	for _, h := range a.Holds() {
		dst = h.append(appendString(dst, h.ID))
	}
	dst = binary.AppendUvarint(dst, uint64(len(a.purchases)))
	for _, p := range a.Purchases() {
		dst = p.append(appendString(dst, p.ID))
	}
	return dst
}

// RestoreSnapshot reads what AppendSnapshot wrote of the account of that id, and checks that its lots add up to
// its terms.
func RestoreSnapshot(id string, value []byte) (*Account, error) {
	d := &decoder{Fields{Rest: value}}
	if f := d.byte(); f != stateFormat {
		return nil, fmt.Errorf("account %s: snapshot has format %d, not %d", id, f, stateFormat)
	}
	a := NewAccount(id)
	a.decodeHead(d)
	if a.lotsOutside {
		for range d.items(leastLot) {
			a.lots = append(a.lots, decodeLot(d))
		}
	}
	d.holds(a)
	d.purchases(a)
	if !d.Done() {
		return nil, fmt.Errorf("account %s: snapshot: %w", id, errDamaged)
	}
	return a, a.Restored()
}

// holds reads holds in the order that they were placed.
func (d *decoder) holds(a *Account) {
	last := uint64(0)
	for range d.items(leastPart) {
		h := decodeHold(d, d.part())
		if h.Ordinal <= last || a.holds[h.ID] != nil {
			d.Fail()
			return
		}
		if last = h.Ordinal; a.holds == nil {
			a.holds = make(map[string]*Hold)
		}
		a.holds[h.ID] = h
	}
}

// purchases reads purchases in the order of their requests.
func (d *decoder) purchases(a *Account) {
	last := uint64(0)
	for range d.items(leastPart) {
		p := decodePurchase(d, d.part())
		if p.Ordinal <= last || a.purchases[p.ID] != nil {
			d.Fail()
			return
		}
		if last = p.Ordinal; a.purchases == nil {
			a.purchases = make(map[string]*Purchase)
		}
		a.purchases[p.ID] = p
	}
}

// part reads the name of a hold or a purchase, and the format of what follows.
func (d *decoder) part() string {
	name := d.string()
	if d.byte() != stateFormat {
		d.Fail()
	}
	return name
}

// DropChanges forgets what waits to be drained, and what was reversed of single uses: for a fold that never
// drains, whose account would otherwise grow with every fact.
func (a *Account) DropChanges() {
	for _, l := range a.changed.lots {
		l.dirty = false
	}
	for _, h := range a.changed.holds {
		h.dirty = false
	}
	for _, p := range a.changed.purchases {
		p.dirty = false
	}
	a.changed, a.reversed = changes{}, nil
}
