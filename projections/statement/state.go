package statement

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"creditstream/events/credit"
)

// state is where an account's statement stands.
type state struct {
	account   string
	facts     uint64
	cycle     uint32
	remaining credit.Amount
	// early says, for each length of stretch, when the earliest fact of the one under way happened; see stretch.
	early []int64
	// until is how many bytes of facts have to come before the next snapshot, see snapshot.go.
	until uint64
	// ended are the lots that a late use or a reversal may still concern, oldest first. They are a record of
	// their own: an account may have many, and few facts end one.
	ended []endedLot
	// byLot is where a lot is in ended; nil as long as those are few.
	byLot map[string]int

	touched bool
	// written says that ended is in the view as it is here; recorded, that there is a record of it at all.
	written, recorded bool
	// stored is how many of the facts are in the view, and not only in the batch.
	stored uint64
	// folded is the account after its facts, where it is kept from one snapshot to the next.
	folded *credit.Account
	size   int // what folded counts for
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
	dst = binary.AppendUvarint(dst, s.until)
	dst = binary.AppendUvarint(dst, uint64(len(s.ended)))
	for _, e := range s.early {
		dst = binary.AppendVarint(dst, e)
	}
	return dst
}

// decode reads all but the ended lots, and says how many those are.
func (s *state) decode(value []byte) (ended uint64, err error) {
	if len(value) == 0 || value[0] != recordFormat {
		return 0, errRecord
	}
	d := credit.Fields{Rest: value[1:]}
	s.facts, s.cycle, s.remaining, s.until = d.Uint(), uint32(d.Uint()), credit.Amount(d.Int()), d.Uint()
	ended = d.Uint()
	for len(d.Rest) > 0 {
		s.early = append(s.early, d.Int())
	}
	if d.Bad {
		return 0, errRecord
	}
	s.stored = s.facts
	return ended, nil
}

// decodeCount reads how many facts an account has.
func decodeCount(value []byte) (uint64, error) {
	if len(value) == 0 || value[0] != recordFormat {
		return 0, errRecord
	}
	d := credit.Fields{Rest: value[1:]}
	facts := d.Uint()
	if d.Bad {
		return 0, errRecord
	}
	return facts, nil
}

func (s *state) appendEnded(dst []byte) []byte {
	dst = append(dst, recordFormat)
	for _, e := range s.ended {
		dst = append(binary.AppendUvarint(dst, uint64(len(e.lot))), e.lot...)
		dst = binary.AppendVarint(dst, e.at)
		dst = binary.AppendUvarint(dst, uint64(e.cycle))
	}
	return dst
}

func (s *state) decodeEnded(value []byte) error {
	if len(value) == 0 || value[0] != recordFormat {
		return errRecord
	}
	d := credit.Fields{Rest: value[1:]}
	for len(d.Rest) > 0 {
		s.ended = append(s.ended, endedLot{string(d.Bytes()), d.Int(), uint32(d.Uint())})
	}
	if d.Bad {
		return errRecord
	}
	s.written, s.recorded = true, true
	return nil
}

// fewLots is how many ended lots are looked through one by one: most accounts have none.
const fewLots = 16

// find returns where a lot is in ended; -1 when it is not.
func (s *state) find(lot string) int {
	if len(s.ended) <= fewLots {
		return slices.IndexFunc(s.ended, func(e endedLot) bool { return e.lot == lot })
	}
	if s.byLot == nil {
		s.byLot = make(map[string]int, len(s.ended))
		for i := range s.ended {
			s.byLot[s.ended[i].lot] = i
		}
	}
	if i, ok := s.byLot[lot]; ok {
		return i
	}
	return -1
}

func (s *state) class(d *credit.Draw) class {
	switch i := s.find(d.Lot); {
	case i < 0:
		return onLive
	case s.ended[i].cycle == s.cycle:
		return onEnded
	default:
		return onClosed
	}
}

// end notes that a lot ended, once.
func (s *state) end(lot string, at time.Time) {
	if s.find(lot) >= 0 {
		return
	}
	if s.byLot != nil {
		s.byLot[lot] = len(s.ended)
	}
	s.ended = append(s.ended, endedLot{lot, at.UnixNano(), s.cycle})
	s.written = false
}

// startCycle forgets lots that no late use can reach any more.
func (s *state) startCycle(number uint32, forget time.Time) {
	s.cycle = number
	if forget.IsZero() {
		return
	}
	kept := slices.DeleteFunc(s.ended, func(e endedLot) bool { return e.at <= forget.UnixNano() })
	if len(kept) < len(s.ended) {
		s.byLot, s.written = nil, false
	}
	s.ended = kept
}

// Facts that acted before they were recorded (late use, what was booked after it fell due) may stand anywhere
// behind an instant that somebody asks about. So that they are found without reading everything since, every
// stretch-th fact says when the earliest of the stretch that ends with it happened, every (stretch × fan)-th
// also that of so many, and so on: a stretch whose earliest came later is passed over as a whole.
const (
	stretch = 64
	fan     = 32
)

// never is later than any instant.
const never = math.MaxInt64

// stretches is how many stretches end with the n-th fact.
func stretches(n uint64) (count int) {
	for width := uint64(stretch); n > 0 && n%width == 0; width *= fan {
		count++
	}
	return count
}

// happened notes when the fact happened that was counted last, and adds the earliest of each stretch that ends
// with it to early.
func (s *state) happened(at time.Time, early []int64) []int64 {
	if len(s.early) == 0 {
		s.early = append(s.early, never)
	}
	s.early[0] = min(s.early[0], at.UnixNano())
	for level := range stretches(s.facts) {
		if level+1 == len(s.early) {
			s.early = append(s.early, never)
		}
		earliest := s.early[level]
		early = append(early, earliest)
		s.early[level+1] = min(s.early[level+1], earliest)
		s.early[level] = never
	}
	return early
}
