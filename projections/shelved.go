package projections

// shelved is a pile whose records are found by key. A record that is put again takes the place of the former.
type shelved struct {
	pile
	slots []uint64  // a hash, 32 bits, and the number of its record, from 1; 0 is an empty one
	tags  [4]uint64 // a bit for each first byte that some key has
	read  byte      // what was looked at, so that it is
	order order
}

// leastSlots is how many slots there are at first, and slotSize how many bytes each takes.
const (
	leastSlots = 1 << 8
	slotSize   = 8
)

// takeAll puts the records of a pile; hashes are those of their keys.
func (s *shelved) takeAll(p *pile, hashes []uint32) {
	for (len(s.records)+len(p.records))*2 > len(s.slots) {
		s.grow()
	}
	for from := 0; from < len(hashes); from += lookedAtOnce {
		to := min(from+lookedAtOnce, len(hashes))
		s.look(hashes[from:to])
		for n := from; n < to; n++ {
			s.set(hashes[n], p.key(uint32(n)), p.value(uint32(n)), p.records[n].dropped)
		}
	}
	s.head = p.head
}

// lookedAtOnce is how many records look looks for.
const lookedAtOnce = 32

// look reads where the records of some hashes are, so that the memory of all of them is on its way at the same time
// and is not waited for one after another.
func (s *shelved) look(hashes []uint32) {
	var found [lookedAtOnce]uint32
	last := uint32(len(s.slots) - 1)
	for i, hash := range hashes {
		found[i] = uint32(s.slots[hash&last])
	}
	var places [lookedAtOnce]*byte
	for i, n := range found[:len(hashes)] {
		if n > 0 {
			r := &s.records[n-1]
			places[i] = &s.chunks[r.chunk][r.at]
		}
	}
	for _, place := range places[:len(hashes)] {
		if place != nil {
			s.read += *place
		}
	}
}

// set puts a record. Where it fits it takes the memory of the former one.
func (s *shelved) set(hash uint32, key, value []byte, dropped bool) {
	i := s.slot(hash, key)
	if n := uint32(s.slots[i]); n == 0 {
		s.tags[key[0]/64] |= 1 << (key[0] % 64)
	} else if r := &s.records[n-1]; len(value) <= int(r.value) {
		copy(s.chunks[r.chunk][r.at+r.key:], value)
		r.value, r.dropped = uint32(len(value)), dropped
		return
	}
	s.put(key, value, dropped)
	s.slots[i] = uint64(hash)<<32 | uint64(len(s.records))
}

// slot is where the record of a key is, or would be.
func (s *shelved) slot(hash uint32, key []byte) int {
	last := uint32(len(s.slots) - 1)
	for i := hash & last; ; i = (i + 1) & last {
		slot := s.slots[i]
		if slot == 0 || uint32(slot>>32) == hash && string(s.key(uint32(slot)-1)) == string(key) {
			return int(i)
		}
	}
}

func (s *shelved) grow() {
	old := s.slots
	s.slots = make([]uint64, max(2*len(old), leastSlots))
	last := uint32(len(s.slots) - 1)
	for _, slot := range old {
		if slot == 0 {
			continue
		}
		i := uint32(slot>>32) & last
		for s.slots[i] != 0 {
			i = (i + 1) & last
		}
		s.slots[i] = slot
	}
}

// find is the number of a key's record.
func (s *shelved) find(hash uint32, key []byte) (n uint32, there bool) {
	if s == nil || len(s.slots) == 0 {
		return 0, false
	}
	slot := uint32(s.slots[s.slot(hash, key)])
	return slot - 1, slot != 0
}

// within reports whether there may be a record with a key in [from, to); an empty to is behind all.
func (s *shelved) within(from, to []byte) bool {
	if s == nil {
		return false
	}
	for tag, last := tagsBetween(from, to); tag <= last; tag++ {
		if s.tags[tag/64]&(1<<(tag%64)) != 0 {
			return true
		}
	}
	return false
}

// tagsBetween is the first and the last byte that a key in [from, to) may begin with.
func tagsBetween(from, to []byte) (first, last int) {
	if len(from) > 0 {
		first = int(from[0])
	}
	switch len(to) {
	case 0:
		return first, 255
	case 1:
		return first, int(to[0]) - 1
	}
	return first, int(to[0])
}

func (s *shelved) empty() {
	s.pile.empty()
	clear(s.slots)
	s.tags = [4]uint64{}
	s.order.empty()
}

// capacity is how many bytes it takes, empty or not.
func (s *shelved) capacity() int {
	return slotSize*len(s.slots) + s.order.capacity() + s.pile.capacity()
}
