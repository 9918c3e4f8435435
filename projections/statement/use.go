package statement

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"creditstream/events/credit"
)

// Nearly all facts are uses, and most of the JSON of a use are the names of its fields. So the record of a use has
// its values only, in this order; those marked are there where their bit is set:
//
//	quantity, cost, what remained of credits less what remains after the record, catalog, bits
//	how many draws, and of each: lot, pool, unit, amount, cycle, revenue
//	debt*, unpaid*, why*, carry*, description*, attributes*
//
// Its meter is the record's.

// usageRecorded is the kind of a use.
const usageRecorded = "UsageRecorded"

// The bits of what not every use has.
const (
	hasDebt = 1 << iota
	hasUnpaid
	hasWhy
	hasCarry
	hasDescription
	hasAttributes
	noSuchBit
)

// leastDraw is the fewest bytes that a draw takes: one for each of its fields.
const leastDraw = 6

func (r *Record) appendUse(dst []byte, u *credit.UsageRecorded) []byte {
	dst = binary.AppendVarint(dst, u.Quantity)
	dst = binary.AppendVarint(dst, int64(u.Cost))
	dst = binary.AppendVarint(dst, int64(u.Remaining-r.Remaining)) // it wraps around, and back when it is read
	dst = binary.AppendUvarint(dst, uint64(u.Catalog))
	bits := bitsOf(u)
	dst = append(dst, bits)
	dst = binary.AppendUvarint(dst, uint64(len(u.Draws)))
	for i := range u.Draws {
		d := &u.Draws[i]
		dst = appendText(dst, d.Lot)
		dst = appendText(dst, d.Pool)
		dst = appendText(dst, d.Unit)
		dst = binary.AppendVarint(dst, int64(d.Amount))
		dst = binary.AppendUvarint(dst, uint64(d.Cycle))
		dst = binary.AppendVarint(dst, d.Revenue)
	}
	if bits == 0 {
		return dst
	}
	return appendSeldom(dst, u, bits)
}

func bitsOf(u *credit.UsageRecorded) (bits byte) {
	for i, there := range [...]bool{u.Debt != 0, u.Unpaid != 0, u.Why != "", u.Carry != nil, u.Description != "", len(u.Attributes) > 0} {
		if there {
			bits |= 1 << i
		}
	}
	return bits
}

// appendSeldom writes what not every use has.
func appendSeldom(dst []byte, u *credit.UsageRecorded, bits byte) []byte {
	if bits&hasDebt != 0 {
		dst = binary.AppendVarint(dst, int64(u.Debt))
	}
	if bits&hasUnpaid != 0 {
		dst = binary.AppendVarint(dst, int64(u.Unpaid))
	}
	if bits&hasWhy != 0 {
		dst = appendText(dst, u.Why)
	}
	if bits&hasCarry != 0 {
		dst = binary.AppendVarint(dst, *u.Carry)
	}
	if bits&hasDescription != 0 {
		dst = appendText(dst, u.Description)
	}
	if bits&hasAttributes != 0 {
		dst = append(binary.AppendUvarint(dst, uint64(len(u.Attributes))), u.Attributes...)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// use reads what appendUse wrote.
func (r *Record) use(decoder *credit.Decoder) (*credit.UsageRecorded, error) {
	d := credit.Fields{Rest: r.Data}
	u := &credit.UsageRecorded{Meter: r.meter, Quantity: d.Int(), Cost: credit.Amount(d.Int())}
	u.Remaining = r.Remaining + credit.Amount(d.Int())
	u.Catalog = uint32(d.Uint())
	bits := d.Uint()
	draws := d.Uint()
	if bits >= noSuchBit || draws > uint64(len(d.Rest)/leastDraw) {
		d.Fail()
		draws = 0
	}
	if draws > 0 {
		u.Draws = make([]credit.Draw, draws)
	}
	for i := range u.Draws {
		u.Draws[i] = credit.Draw{
			Lot: decoder.Word(d.Bytes()), Pool: decoder.Word(d.Bytes()), Unit: decoder.Word(d.Bytes()),
			Amount: credit.Amount(d.Int()), Cycle: uint32(d.Uint()), Revenue: d.Int(),
		}
	}
	seldom(&d, u, byte(bits), decoder)
	if !d.Done() {
		return nil, fmt.Errorf("fact %d: %w", r.N, errRecord)
	}
	return u, nil
}

// seldom reads what appendSeldom wrote.
func seldom(d *credit.Fields, u *credit.UsageRecorded, bits byte, decoder *credit.Decoder) {
	if bits&hasDebt != 0 {
		u.Debt = credit.Amount(d.Int())
	}
	if bits&hasUnpaid != 0 {
		u.Unpaid = credit.Amount(d.Int())
	}
	if bits&hasWhy != 0 {
		u.Why = decoder.Word(d.Bytes())
	}
	if bits&hasCarry != 0 {
		carry := d.Int()
		u.Carry = &carry
	}
	if bits&hasDescription != 0 {
		u.Description = string(d.Bytes())
	}
	if bits&hasAttributes != 0 {
		u.Attributes = json.RawMessage(string(d.Bytes()))
	}
}
