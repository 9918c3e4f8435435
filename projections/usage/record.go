package usage

import (
	"encoding/binary"
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// The records, after the view's prefix (texts end with 0x00, see projections.AppendText):
//
//	c | account | cycle (uint32)                       from when to when a cycle was
//	u | account                                        the present time zone and cycle, and what was used on the latest day
//	u | account | cycle (uint32) | day (uint32) | meter   what was used before: quantity, credits, units
//
// The totals of the latest day on which an account used anything are in its own record, so that a use looks up, and
// changes, one record. They get records of their own with the first use on a later day; those of the day that find no more
// room, at once.
const (
	tagCycle = 'c'
	tagUsage = 'u'
)

// recordFormat is the first byte of every value.
const recordFormat = 2

// mostOpen is how many totals of the latest day, by cycle and meter, an account's record has room for: it is written with
// each batch that has a use.
const mostOpen = 8

// Day is a date: days since 1970-01-01.
type Day int32

// DayOf is the date at an instant in a time zone.
func DayOf(t time.Time, zone *time.Location) Day {
	year, month, day := t.In(zone).Date()
	return Day(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86_400)
}

// String is the date as 2006-01-02.
func (d Day) String() string { return time.Unix(int64(d)*86_400, 0).UTC().Format(time.DateOnly) }

// Total is what was used. Amounts are in the tenant's smallest unit.
type Total struct {
	Quantity int64
	// Credits is what pools counted in credits paid, Units what pools counted in units of the meter did.
	Credits credit.Amount
	Units   credit.Amount
}

func (t *Total) add(o Total) {
	t.Quantity += o.Quantity
	t.Credits += o.Credits
	t.Units += o.Units
}

var errRecord = fmt.Errorf("record of usage: %w", projections.ErrDamaged)

func (t *Total) append(dst []byte) []byte {
	return t.appendSums(append(dst, recordFormat))
}

func (t *Total) appendSums(dst []byte) []byte {
	dst = binary.AppendVarint(dst, t.Quantity)
	dst = binary.AppendVarint(dst, int64(t.Credits))
	return binary.AppendVarint(dst, int64(t.Units))
}

func (t *Total) decode(value []byte) error {
	d, err := begin(value)
	if err != nil {
		return err
	}
	*t = Total{d.Int(), credit.Amount(d.Int()), credit.Amount(d.Int())}
	return end(&d)
}

// place is where a total is.
type place struct {
	account string
	cycle   uint32
	day     Day
	meter   string
}

// flipped makes days before 1970 sort first.
const flipped = 1 << 31

func (p *place) append(dst []byte) []byte {
	dst = appendCycle(append(dst, tagUsage), p.account, p.cycle)
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.day)+flipped)
	return append(dst, p.meter...)
}

func appendCycle(dst []byte, account string, cycle uint32) []byte {
	return binary.BigEndian.AppendUint32(projections.AppendText(dst, account), cycle)
}

func cutPlace(key []byte) (p place, ok bool) {
	account, rest, ok := projections.CutText(key[1:])
	if !ok || len(rest) < 8 {
		return place{}, false
	}
	return place{account, binary.BigEndian.Uint32(rest), Day(binary.BigEndian.Uint32(rest[4:]) - flipped), string(rest[8:])}, true
}

// Cycle is when a cycle was, half-open.
type Cycle struct {
	Number   uint32
	From, To time.Time
}

func (c *Cycle) append(dst []byte) []byte {
	dst = append(dst, recordFormat)
	dst = binary.AppendVarint(dst, c.From.UnixNano())
	return binary.AppendVarint(dst, c.To.UnixNano())
}

func (c *Cycle) decode(value []byte) error {
	d, err := begin(value)
	if err != nil {
		return err
	}
	c.From, c.To = time.Unix(0, d.Int()).UTC(), time.Unix(0, d.Int()).UTC()
	return end(&d)
}

func appendState(dst []byte, account string) []byte {
	return projections.AppendText(append(dst, tagUsage), account)
}

// state is the zone and cycle that an account is in, and what it used on the latest day.
type state struct {
	zone  string
	cycle Cycle
	day   Day    // the latest; meaningless as long as open is empty
	open  []open // in the order of their first use
}

// open is a total of the latest day.
type open struct {
	cycle uint32
	meter string
	Total
}

func (s *state) append(dst []byte) []byte {
	dst = s.cycle.append(dst)
	dst = binary.AppendUvarint(dst, uint64(s.cycle.Number))
	dst = appendText(dst, s.zone)
	if len(s.open) == 0 {
		return dst
	}
	dst = binary.AppendVarint(dst, int64(s.day))
	for i := range s.open {
		o := &s.open[i]
		dst = appendText(binary.AppendUvarint(dst, uint64(o.cycle)), o.meter)
		dst = o.appendSums(dst)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// find is the open total of a cycle and meter; nil when there is none.
func (s *state) find(cycle uint32, meter string) *open {
	for i := range s.open {
		if o := &s.open[i]; o.cycle == cycle && o.meter == meter {
			return o
		}
	}
	return nil
}

func (s *state) decode(value []byte) error {
	d, err := begin(value)
	if err != nil {
		return err
	}
	s.cycle.From, s.cycle.To = time.Unix(0, d.Int()).UTC(), time.Unix(0, d.Int()).UTC()
	s.cycle.Number = uint32(d.Uint())
	s.zone = string(d.Bytes())
	if len(d.Rest) > 0 {
		s.day = Day(d.Int())
	}
	for len(d.Rest) > 0 && !d.Bad {
		s.open = append(s.open, open{cycle: uint32(d.Uint()), meter: string(d.Bytes()), Total: Total{d.Int(), credit.Amount(d.Int()), credit.Amount(d.Int())}})
	}
	return end(&d)
}

// begin reads the format of a value.
func begin(value []byte) (credit.Fields, error) {
	if len(value) == 0 || value[0] != recordFormat {
		return credit.Fields{}, errRecord
	}
	return credit.Fields{Rest: value[1:]}, nil
}

// end is nil when all of a record was read.
func end(f *credit.Fields) error {
	if !f.Done() {
		return errRecord
	}
	return nil
}
