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
	d := &decoder{b: value}
	if f := d.byte(); f != stateFormat {
		return nil, fmt.Errorf("account %s: snapshot has format %d, not %d", id, f, stateFormat)
	}
	a := NewAccount(id)
	a.decodeHead(d)
	if a.lotsOutside {
		for range d.len() {
			a.lots = append(a.lots, decodeLot(d))
		}
	}
	if n := d.len(); n > 0 {
		a.holds = make(map[string]*Hold)
		for range n {
			name := d.part()
			a.holds[name] = decodeHold(d, name)
		}
	}
	if n := d.len(); n > 0 {
		a.purchases = make(map[string]*Purchase)
		for range n {
			name := d.part()
			a.purchases[name] = decodePurchase(d, name)
		}
	}
	if d.err != nil || len(d.b) != 0 {
		return nil, fmt.Errorf("account %s: snapshot: %w", id, errDamaged)
	}
	return a, a.Restored()
}

// part reads the name of a hold or a purchase, and the format of what follows.
func (d *decoder) part() string {
	name := d.string()
	if d.byte() != stateFormat {
		d.fail()
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
