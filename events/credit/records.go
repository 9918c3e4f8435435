package credit

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// appendHead encodes the head record. How the account is set up, which few facts change, is encoded once.
func (a *Account) appendHead(dst []byte) []byte {
	if a.setUp == nil {
		a.setUp = a.appendSetUp(make([]byte, 0, 96))
	}
	dst = append(dst, a.setUp...)
	dst = binary.AppendUvarint(dst, a.lotCount)
	dst = binary.AppendUvarint(dst, a.holdCount)
	dst = binary.AppendUvarint(dst, a.purchaseCount)
	dst = binary.AppendVarint(dst, int64(a.low))
	dst = appendBool(dst, a.exhausted)
	dst = binary.AppendUvarint(dst, uint64(len(a.pools)))
	for _, p := range a.pools {
		dst = appendString(dst, p.Name)
		dst = appendString(dst, p.Unit)
		for _, t := range [...]Amount{p.Terms.Opening, p.Terms.Started, p.Terms.Returned, p.Terms.Used, p.Terms.Held, p.Terms.Expired, p.Terms.Revoked, p.Terms.Remaining} {
			dst = binary.AppendVarint(dst, int64(t))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(a.debts)))
	for _, d := range a.debts {
		dst = binary.AppendVarint(appendString(dst, d.Meter), int64(d.Amount))
	}
	dst = binary.AppendUvarint(dst, uint64(len(a.carries)))
	for _, c := range a.carries {
		dst = binary.AppendVarint(appendString(dst, c.Meter), c.Units)
	}
	dst = appendBool(dst, len(a.lots) > inlineLots)
	if len(a.lots) <= inlineLots {
		dst = binary.AppendUvarint(dst, uint64(len(a.lots)))
		for _, l := range a.lots {
			dst = l.append(dst)
		}
	}
	return dst
}

// appendSetUp encodes what stands before everything that a use changes.
func (a *Account) appendSetUp(dst []byte) []byte {
	dst = append(dst, stateFormat)
	dst = appendTime(dst, a.opened)
	dst = appendBool(dst, a.closed)
	dst = appendString(dst, a.timezone)
	dst = appendString(dst, a.nextTimezone)
	dst = appendTime(dst, a.anchor)
	dst = binary.AppendUvarint(dst, uint64(a.cycle.Number))
	dst = binary.AppendVarint(dst, int64(a.cycle.Step))
	dst = appendTime(dst, a.cycle.From)
	dst = appendTime(dst, a.cycle.To)
	dst = appendString(dst, a.plan)
	dst = appendBool(dst, a.pending != nil)
	if a.pending != nil {
		dst = appendString(dst, a.pending.Plan)
		dst = appendTime(dst, a.pending.Due)
	}
	dst = appendString(dst, a.approval)
	dst = appendString(dst, a.method.Provider)
	dst = appendString(dst, a.method.Reference)
	dst = appendString(dst, a.method.Label)
	return appendMetadata(dst, a.metadata)
}

func (a *Account) decodeHead(d *decoder) {
	a.opened = d.time()
	a.closed = d.bool()
	a.timezone, a.nextTimezone = d.string(), d.string()
	a.anchor = d.time()
	a.cycle = Cycle{Number: uint32(d.Uint()), Step: int(d.Int()), From: d.time(), To: d.time()}
	a.plan = d.string()
	if d.bool() {
		a.pending = &PendingPlan{Plan: d.string(), Due: d.time()}
	}
	a.approval = d.string()
	a.method = PaymentMethod{Provider: d.string(), Reference: d.string(), Label: d.string()}
	a.metadata = d.metadata()
	a.lotCount, a.holdCount, a.purchaseCount = d.Uint(), d.Uint(), d.Uint()
	a.low = Amount(d.Int())
	a.exhausted = d.bool()
	for range d.items(leastPool) {
		p := &Pool{Name: d.string(), Unit: d.string()}
		for _, t := range [...]*Amount{&p.Terms.Opening, &p.Terms.Started, &p.Terms.Returned, &p.Terms.Used, &p.Terms.Held, &p.Terms.Expired, &p.Terms.Revoked, &p.Terms.Remaining} {
			*t = Amount(d.Int())
		}
		a.pools = append(a.pools, p)
	}
	for range d.items(leastMeter) {
		a.debts = append(a.debts, Debt{Meter: d.string(), Amount: Amount(d.Int())})
	}
	for range d.items(leastMeter) {
		a.carries = append(a.carries, Carry{Meter: d.string(), Units: d.Int()})
	}
	if a.lotsOutside = d.bool(); !a.lotsOutside {
		for range d.items(leastLot) {
			a.lots = append(a.lots, decodeLot(d))
		}
	}
}

func (l *Lot) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, l.Ordinal)
	dst = appendString(dst, l.Pool)
	dst = appendString(dst, l.Unit)
	dst = appendString(dst, l.Kind)
	dst = appendBool(dst, l.Paid)
	for _, amount := range [...]Amount{l.Granted, l.Remaining, l.Held, l.Breakage} {
		dst = binary.AppendVarint(dst, int64(amount))
	}
	dst = appendTime(dst, l.Starts)
	dst = appendTime(dst, l.Ends)
	dst = appendTime(dst, l.Warns)
	dst = appendBool(dst, l.Ended)
	dst = binary.AppendUvarint(dst, uint64(l.EndedCycle))
	dst = appendBool(dst, l.Warned)
	dst = appendString(dst, l.Price.Currency)
	dst = binary.AppendVarint(dst, l.Price.Minor)
	dst = binary.AppendVarint(dst, l.Recognised)
	return binary.AppendUvarint(dst, uint64(l.Cycles))
}

func decodeLot(d *decoder) *Lot {
	n := d.Uint()
	return &Lot{
		ID: "l" + strconv.FormatUint(n, 10), Ordinal: n, Pool: d.string(), Unit: d.string(), Kind: d.string(), Paid: d.bool(),
		Granted: Amount(d.Int()), Remaining: Amount(d.Int()), Held: Amount(d.Int()), Breakage: Amount(d.Int()),
		Starts: d.time(), Ends: d.time(), Warns: d.time(), Ended: d.bool(), EndedCycle: uint32(d.Uint()), Warned: d.bool(),
		Price: Money{Currency: d.string(), Minor: d.Int()}, Recognised: d.Int(), Cycles: uint32(d.Uint()),
	}
}

func (h *Hold) append(dst []byte) []byte {
	dst = append(dst, stateFormat)
	dst = binary.AppendUvarint(dst, h.Ordinal)
	dst = appendString(dst, h.Meter)
	dst = binary.AppendVarint(dst, h.Quantity)
	dst = binary.AppendVarint(dst, int64(h.Cost))
	dst = binary.AppendUvarint(dst, uint64(len(h.Draws)))
	for _, w := range h.Draws {
		dst = appendString(dst, w.Lot)
		dst = appendString(dst, w.Pool)
		dst = binary.AppendVarint(dst, int64(w.Amount))
		dst = appendString(dst, w.Unit)
		dst = binary.AppendUvarint(dst, uint64(w.Cycle))
	}
	dst = binary.AppendVarint(dst, h.Carry)
	dst = appendTime(dst, h.Placed)
	dst = appendTime(dst, h.Expires)
	return binary.AppendUvarint(dst, uint64(h.Catalog))
}

func decodeHold(d *decoder, id string) *Hold {
	h := &Hold{ID: id, Ordinal: d.Uint(), Meter: d.string(), Quantity: d.Int(), Cost: Amount(d.Int())}
	for range d.items(leastDraw) {
		h.Draws = append(h.Draws, Draw{Lot: d.string(), Pool: d.string(), Amount: Amount(d.Int()), Unit: d.string(), Cycle: uint32(d.Uint())})
	}
	h.Carry, h.Placed, h.Expires, h.Catalog = d.Int(), d.time(), d.time(), uint32(d.Uint())
	return h
}

func (p *Purchase) append(dst []byte) []byte {
	dst = append(dst, stateFormat)
	dst = binary.AppendUvarint(dst, p.Ordinal)
	for _, s := range [...]string{p.Status, p.Pack, p.Pool, p.Price.Currency, p.Provider, p.Approved, p.Method, p.Lot, p.Reference, p.InvoiceRef, p.ReceiptURL, p.Reason} {
		dst = appendString(dst, s)
	}
	dst = binary.AppendVarint(dst, int64(p.Credits))
	dst = binary.AppendVarint(dst, p.Price.Minor)
	dst = appendTime(dst, p.Requested)
	dst = appendTime(dst, p.PaysUntil)
	dst = appendTime(dst, p.PaidAt)
	dst = binary.AppendUvarint(dst, uint64(p.Catalog))
	return appendMetadata(dst, p.Metadata)
}

func decodePurchase(d *decoder, id string) *Purchase {
	p := &Purchase{ID: id, Ordinal: d.Uint()}
	for _, s := range [...]*string{&p.Status, &p.Pack, &p.Pool, &p.Price.Currency, &p.Provider, &p.Approved, &p.Method, &p.Lot, &p.Reference, &p.InvoiceRef, &p.ReceiptURL, &p.Reason} {
		*s = d.string()
	}
	p.Credits, p.Price.Minor = Amount(d.Int()), d.Int()
	p.Requested, p.PaysUntil, p.PaidAt = d.time(), d.time(), d.time()
	p.Catalog = uint32(d.Uint())
	p.Metadata = d.metadata()
	return p
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendTime writes nanoseconds since 1970; the doors refuse instants that an int64 cannot hold.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(dst, math.MinInt64)
	}
	return binary.AppendVarint(dst, t.UnixNano())
}

func appendMetadata(dst []byte, m Metadata) []byte {
	if len(m) == 0 {
		return appendString(dst, "")
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("credit: metadata that came from JSON is none: %v", err))
	}
	return appendString(dst, string(text))
}

var errDamaged = errors.New("record is damaged")

// decoder reads what the append functions wrote; after the first error it returns zeroes.
type decoder struct{ Fields }

func (d *decoder) byte() byte {
	if len(d.Rest) == 0 {
		d.Fail()
		return 0
	}
	c := d.Rest[0]
	d.Rest = d.Rest[1:]
	return c
}

func (d *decoder) bool() bool { return d.byte() == 1 }

// The fewest bytes that an item takes: one for each of its fields. A count that would take more than there is
// is damage, and is not believed before memory is taken for it.
const (
	leastPool  = 10
	leastMeter = 2
	leastLot   = 19
	leastDraw  = 5
	leastPart  = 10 // a hold or a purchase, with its name
)

// items reads a count of items, each of at least so many bytes.
func (d *decoder) items(least int) int {
	n := d.Uint()
	if n > uint64(len(d.Rest)/least) {
		d.Fail()
		return 0
	}
	return int(n)
}

func (d *decoder) string() string { return string(d.Bytes()) }

func (d *decoder) time() time.Time {
	n := d.Int()
	if n == math.MinInt64 || d.Bad {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func (d *decoder) metadata() Metadata {
	text := d.string()
	if text == "" {
		return nil
	}
	var m Metadata
	if json.Unmarshal([]byte(text), &m) != nil {
		d.Fail()
		return nil
	}
	return m
}
