package statement

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// The records, after the view's prefix (texts end with 0x00, see projections.AppendText):
//
//	e | account                 the lots that ended and that a late use or a reversal may still concern
//	f | account | n (uint64)    the n-th fact of an account, from 1, in the order of the journal
//	k | account | n (uint64)    the account itself after its n-th fact, see snapshot.go
//	s | account                 where the account stands: how many facts, what remains
const (
	tagEnded    = 'e'
	tagFact     = 'f'
	tagSnapshot = 'k'
	tagState    = 's'
)

// recordFormat is the first byte of every value, but of those of snapshots.
const recordFormat = 3

func appendFact(dst []byte, account string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(projections.AppendText(append(dst, tagFact), account), n)
}

func appendSnapshot(dst []byte, account string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(projections.AppendText(append(dst, tagSnapshot), account), n)
}

func appendEnded(dst []byte, account string) []byte {
	return append(append(dst, tagEnded), account...)
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
	// Data is the event: a use as use.go writes it, all others as they stand in the journal. It is valid until the
	// next record is read.
	Data []byte

	// early says when the earliest fact happened of the stretches that end with this one, the shortest first:
	// see stretch.
	early   []int64
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
	dst = binary.AppendVarint(dst, r.Recorded.UnixNano()-r.Time.UnixNano())
	dst = binary.AppendVarint(dst, int64(r.Remaining))
	dst = binary.AppendUvarint(dst, uint64(r.types))
	for _, e := range r.early {
		dst = binary.AppendVarint(dst, e)
	}
	kind := r.Kind
	if kind == usageRecorded {
		kind = "" // nearly all are
	}
	for _, s := range [...]string{kind, r.Key, r.Actor, r.Source, r.meter, r.classes} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return append(dst, r.Data...)
}

var errRecord = fmt.Errorf("record of a statement: %w", projections.ErrDamaged)

// decode reads a record; strings are copied, Data is not.
func (r *Record) decode(n uint64, value []byte) error {
	d, err := r.decodeNumbers(n, value)
	if err != nil {
		return err
	}
	r.decodeKind(&d)
	for _, s := range [...]*string{&r.Key, &r.Actor, &r.Source, &r.meter, &r.classes} {
		*s = string(d.Bytes())
	}
	r.Data = d.Rest
	if d.Bad {
		return errRecord
	}
	return nil
}

// decodeFact is decode of what a fold needs.
func (r *Record) decodeFact(n uint64, value []byte) error {
	d, err := r.decodeNumbers(n, value)
	if err != nil {
		return err
	}
	r.decodeKind(&d)
	for range 3 {
		d.Bytes()
	}
	if meter := d.Bytes(); string(meter) != r.meter { // as often that of the one before
		r.meter = string(meter)
	}
	d.Bytes()
	r.Data = d.Rest
	if d.Bad {
		return errRecord
	}
	return nil
}

func (r *Record) decodeKind(d *credit.Fields) {
	switch kind := d.Bytes(); {
	case len(kind) == 0:
		r.Kind = usageRecorded
	case string(kind) != r.Kind: // most are of the kind before them
		r.Kind = string(kind)
	}
}

// decodeNumbers reads what comes before the texts, which are left in the fields that it returns.
func (r *Record) decodeNumbers(n uint64, value []byte) (credit.Fields, error) {
	if len(value) == 0 || value[0] != recordFormat {
		return credit.Fields{}, errRecord
	}
	d := credit.Fields{Rest: value[1:]}
	r.N = n
	r.At = projections.Position{Sequence: d.Uint(), Offset: uint32(d.Uint())}
	r.Index = uint32(d.Uint())
	r.Time = time.Unix(0, d.Int()).UTC()
	r.Recorded = time.Unix(0, r.Time.UnixNano()+d.Int()).UTC()
	r.Remaining = credit.Amount(d.Int())
	r.types = uint32(d.Uint())
	r.early = r.early[:0]
	for range stretches(n) {
		r.early = append(r.early, d.Int())
	}
	if d.Bad {
		return d, errRecord
	}
	return d, nil
}

// Event decodes the fact.
func (r *Record) Event(decoder *credit.Decoder) (credit.Event, error) {
	if r.Kind == usageRecorded {
		return r.use(decoder)
	}
	e, err := decoder.Event(r.Kind, r.Data)
	if err != nil {
		return nil, fmt.Errorf("fact %d: %w: %w", r.N, errRecord, err)
	}
	return e, nil
}

var errNoData = errors.New("a fact has no data: its commit was not sealed")
