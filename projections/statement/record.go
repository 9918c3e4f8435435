package statement

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// The records, after the view's prefix (texts end with 0x00, see projections.AppendText):
//
//	f | account | n (uint64)    the n-th fact of an account, from 1, in the order of the journal
//	s | account                 where the account stands: how many facts, what remains, which lots ended
const (
	tagFact  = 'f'
	tagState = 's'
)

// recordFormat is the first byte of every value.
const recordFormat = 1

func appendFact(dst []byte, account string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(projections.AppendText(append(dst, tagFact), account), n)
}

func appendState(dst []byte, account string) []byte {
	return append(append(dst, tagState), account...)
}

// Record is one fact of an account.
type Record struct {
	// N counts the account's facts, from 1.
	N uint64
	// At is the fact's entry in the journal, Index its place among the facts of that entry.
	At    projections.Position
	Index uint32
	// Time is when it happened, Recorded when the shard decided it.
	Time     time.Time
	Recorded time.Time
	// Remaining is what all pools counted in credits had after it, in the tenant's smallest unit.
	Remaining credit.Amount
	Kind      string
	Key       string
	Actor     string
	Source    string
	// Data is the event as it stands in the journal. It is valid until the next record is read.
	Data json.RawMessage

	types   uint32 // bits of the types of its lines
	meter   string // of its lines, where they have one
	classes string // of the draws that need it, see class
}

// A class says what a draw did that concerned a lot. What it was is known when the fact is folded, and not
// from the fact alone.
type class = byte

const (
	onLive   class = iota // the lot lives: what remains changed
	onEnded               // the lot ended within the current cycle: used and expired changed
	onClosed              // the lot belongs to a closed cycle, which is restated
)

func (r *Record) append(dst []byte) []byte {
	dst = append(dst, recordFormat)
	dst = binary.AppendUvarint(dst, r.At.Sequence)
	dst = binary.AppendUvarint(dst, uint64(r.At.Offset))
	dst = binary.AppendUvarint(dst, uint64(r.Index))
	dst = binary.AppendVarint(dst, r.Time.UnixNano())
	dst = binary.AppendVarint(dst, r.Recorded.UnixNano())
	dst = binary.AppendVarint(dst, int64(r.Remaining))
	dst = binary.AppendUvarint(dst, uint64(r.types))
	for _, s := range [...]string{r.Kind, r.Key, r.Actor, r.Source, r.meter, r.classes} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return append(dst, r.Data...)
}

var errRecord = fmt.Errorf("record of a statement: %w", projections.ErrDamaged)

// decode reads a record; strings are copied, Data is not.
func (r *Record) decode(n uint64, value []byte) error {
	if len(value) == 0 || value[0] != recordFormat {
		return errRecord
	}
	d := decoder{b: value[1:]}
	r.N = n
	r.At = projections.Position{Sequence: d.uint(), Offset: uint32(d.uint())}
	r.Index = uint32(d.uint())
	r.Time = time.Unix(0, d.int()).UTC()
	r.Recorded = time.Unix(0, d.int()).UTC()
	r.Remaining = credit.Amount(d.int())
	r.types = uint32(d.uint())
	for _, s := range [...]*string{&r.Kind, &r.Key, &r.Actor, &r.Source, &r.meter, &r.classes} {
		*s = string(d.bytes())
	}
	r.Data = d.b
	if d.bad {
		return errRecord
	}
	return nil
}

// Event decodes the fact.
func (r *Record) Event(decoder *credit.Decoder) (credit.Event, error) {
	e, err := decoder.Event(r.Kind, r.Data)
	if err != nil {
		return nil, fmt.Errorf("fact %d: %w: %w", r.N, errRecord, err)
	}
	return e, nil
}

// state is where an account's statement stands.
type state struct {
	account   string
	facts     uint64
	cycle     uint32
	remaining credit.Amount
	// ended are the lots that a late use or a reversal may still concern, oldest first.
	ended   []endedLot
	touched bool
}

type endedLot struct {
	lot   string
	at    int64 // unix nanoseconds
	cycle uint32
}

func (s *state) append(dst []byte) []byte {
	dst = append(dst, recordFormat)
	dst = binary.AppendUvarint(dst, s.facts)
	dst = binary.AppendUvarint(dst, uint64(s.cycle))
	dst = binary.AppendVarint(dst, int64(s.remaining))
	for _, e := range s.ended {
		dst = append(binary.AppendUvarint(dst, uint64(len(e.lot))), e.lot...)
		dst = binary.AppendVarint(dst, e.at)
		dst = binary.AppendUvarint(dst, uint64(e.cycle))
	}
	return dst
}

func (s *state) decode(value []byte) error {
	if len(value) == 0 || value[0] != recordFormat {
		return errRecord
	}
	d := decoder{b: value[1:]}
	s.facts, s.cycle, s.remaining = d.uint(), uint32(d.uint()), credit.Amount(d.int())
	for len(d.b) > 0 {
		s.ended = append(s.ended, endedLot{string(d.bytes()), d.int(), uint32(d.uint())})
	}
	if d.bad {
		return errRecord
	}
	return nil
}

// decoder reads varints; after the first mistake it reads zeroes.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint() uint64 {
	u, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return u
}

func (d *decoder) int() int64 {
	i, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return i
}

func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

var errNoData = errors.New("a fact has no data: its commit was not sealed")
