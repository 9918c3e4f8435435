package projections

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shelf is where a view that is written commit by commit keeps the records of its latest commits, by key, until there
// are enough of them for a table. An account that is charged again and again is written to the store once, and a record's
// place among all others is looked for once for thousands of commits, not at each in a memtable that is larger than
// the processor's caches: that took a quarter of all the time of a charge.
//
// What stands on the shelf is in memory only, as what stands in a memtable is: after a crash the view is as of its last
// table, and folds on from there. Whoever reads one record finds it here or in the store; whoever goes over
// records has the shelf cleared first.
type shelf struct {
	store  *Store
	seed   maphash.Seed
	hashes []uint32   // of who takes
	turn   sync.Mutex // held while records are on their way to the store
	writer tables     // under turn
	pace   *pace      // of the writer

	mu      sync.RWMutex
	late    *shelved // nil when nothing was put since the shelf was given up
	leaving *shelved // what is written to the store just now; nobody changes it
	spare   *shelved
	err     error           // of the first that could not be written
	told    func(err error) // who folds the view, of that error; nil for who writes the commits that it answers

	takes atomic.Int64  // bytes of late, leaving and spare
	put   atomic.Uint64 // the store's clock at the latest commit
}

const (
	// shelfSize is how many bytes of records the shelf of one view usually has room for, and while they are written, for as many
	// more. Several that are written at the same time share twice that.
	shelfSize = 16 << 20
	// shelvesSize is how many times shelfSize all shelves of a store take at most, with memory that is to be used
	// again and what is on its way to the disk; beyond that, those that were not put on for long are given up.
	shelvesSize = 6
	// mostShelves is how many views of a store have a shelf at a time: those that were written lately, and all of them
	// within so many commits.
	mostShelves = 32
	idleShelf   = 10_000
)

func newShelf(v *View) *shelf {
	pace := newPace()
	return &shelf{store: v.store, seed: maphash.MakeSeed(), writer: tables{view: v, pace: pace}, pace: pace}
}

// take puts the records of a commit on the shelf. An error may be of an earlier commit; nothing is taken after it.
func (s *shelf) take(p *pile) error {
	s.hashes = s.hashes[:0]
	for n := range p.records {
		s.hashes = append(s.hashes, s.hash(p.key(uint32(n))))
	}
	s.mu.Lock()
	if err := s.err; err != nil {
		s.mu.Unlock()
		return err
	}
	if s.late == nil {
		s.late = new(shelved)
	}
	s.late.takeAll(p, s.hashes)
	size, slots := s.late.size, slotSize*len(s.late.slots)
	s.note()
	s.mu.Unlock()
	room, idle := s.store.shelves.put(s)
	if idle != nil {
		// Its view's next commit or reader is told of an error.
		_ = idle.giveUp()
	}
	room = max(room-slots, 1)
	if s.pace.fill(size, room); size >= room {
		s.leave()
	}
	return nil
}

func (s *shelf) hash(key []byte) uint32 { return uint32(maphash.Bytes(s.seed, key)) }

// get appends the value of a record to dst. known is whether the shelf knows of it, and there whether there is one.
func (s *shelf) get(dst, key []byte) (value []byte, known, there bool, err error) {
	hash := s.hash(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.err != nil {
		return dst, false, false, s.err
	}
	for _, on := range [...]*shelved{s.late, s.leaving} {
		if n, ok := on.find(hash, key); ok {
			return append(dst, on.value(n)...), true, !on.records[n].dropped, nil
		}
	}
	return dst, false, false, nil
}

// knows reports whether a record was put, or dropped, that is not in the store yet.
func (s *shelf) knows(key []byte) (bool, error) {
	hash := s.hash(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, on := range [...]*shelved{s.late, s.leaving} {
		if _, ok := on.find(hash, key); ok {
			return true, s.err
		}
	}
	return false, s.err
}

// head is the place of the latest commit that was put; false when there is none that is not in the store.
func (s *shelf) head() (Head, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, on := range [...]*shelved{s.late, s.leaving} {
		if on != nil && on.head != (Head{}) {
			return on.head, true
		}
	}
	return Head{}, false
}

// has reports whether there may be a record with a key in [from, to).
func (s *shelf) has(from, to []byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.err != nil || s.late.within(from, to) || s.leaving.within(from, to)
}

// leave lets what is there be written to the store beside what comes next; it waits for what left before.
func (s *shelf) leave() {
	s.pace.hurry()
	s.turn.Lock()
	s.pace.calm()
	if !s.depart(true) {
		s.turn.Unlock()
		return
	}
	go func() {
		defer s.turn.Unlock()
		s.write()
	}()
}

// clear returns when all that was put can be read in the store, or why it cannot.
func (s *shelf) clear() error { return s.empty(true) }

// giveUp is clear, and gives the shelf's memory back.
func (s *shelf) giveUp() error { return s.empty(false) }

func (s *shelf) empty(goOn bool) error {
	s.pace.hurry()
	defer s.pace.calm()
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.depart(goOn) {
		s.write()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.err
}

// forget lets records be taken again after some could not be written: those are lost, and the view is as its store is.
func (s *shelf) forget() {
	s.pace.hurry()
	defer s.pace.calm()
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = nil
}

// tell has somebody told, with the shelf held, when records are lost: nobody reads the view between the loss and that.
func (s *shelf) tell(told func(err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = told
}

// lose gives up what could not be written, and what came behind it. It is called with mu held.
func (s *shelf) lose(err error) {
	s.err, s.late = err, nil
	s.note()
	if s.told != nil {
		s.told(err)
	}
}

// lost is why records are lost that are not taken again yet; nil when none are.
func (s *shelf) lost() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.err
}

// still waits until nothing is on its way to the store, and reports whether that came to be.
func (s *shelf) still() bool {
	s.pace.hurry()
	defer s.pace.calm()
	for end := time.Now().Add(stillWithin); !s.turn.TryLock(); {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.turn.Unlock()
	return true
}

// stillWithin is how long a table may take to be written to a store that is damaged: it may wait for what can never be.
const stillWithin = 10 * time.Second

// depart makes what is late what is leaving, and reports whether there was any. It is called in turn.
func (s *shelf) depart(goOn bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	some := s.late != nil && s.late.head != (Head{})
	switch {
	case !goOn && some:
		s.leaving, s.late, s.spare = s.late, nil, nil
	case !goOn:
		s.late, s.spare, s.writer.sorter = nil, nil, sorter{}
	case some && s.spare == nil:
		s.leaving, s.late = s.late, new(shelved)
	case some:
		s.leaving, s.late, s.spare = s.late, s.spare, nil
	}
	s.pace.fill(0, 1)
	s.note()
	return some
}

// write writes what is leaving. It is called in turn.
func (s *shelf) write() {
	leaving := s.leaving
	s.writer.prefix, s.writer.sizes = s.writer.view.live.Load().prefix, s.store.tables
	err := s.writer.write(&leaving.pile)
	if err != nil {
		// A disk that is full takes no table. Pebble keeps them in memory, as far as it may, and tries again.
		s.store.log.Errorf("view %s of %s: no table for the commits up to %d: %v", s.store.name, s.writer.view.name, leaving.head.Sequence, err)
		err = s.writer.writeBatch(&leaving.pile)
	}
	s.writer.samples = samples{} // nobody compares what is written here
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = nil
	defer func() {
		if s.spare == nil {
			s.writer.sorter = sorter{} // its memory goes with that of the records
		}
	}()
	if err != nil {
		s.lose(fmt.Errorf("view %s of %s: write up to commit %d: %w", s.store.name, s.writer.view.name, leaving.head.Sequence, err))
		return
	}
	if s.late != nil && leaving.capacity() <= 2*s.store.shelves.roomNow() {
		leaving.empty()
		s.spare = leaving
	}
	s.note()
}

// note counts the memory that is taken. It is called with mu held.
func (s *shelf) note() {
	takes := int64(0)
	for _, on := range [...]*shelved{s.late, s.leaving, s.spare} {
		if on != nil {
			takes += int64(on.capacity())
		}
	}
	s.takes.Store(takes)
}

// shelves is the shelves of a store that have something, or had lately.
type shelves struct {
	size  int // shelfSize
	mu    sync.Mutex
	used  []*shelf // the one that was put on longest ago first
	clock uint64   // how many commits were put on any
}

// put notes that a commit was put on a shelf, and returns how many bytes of records it may have, and another one that
// is to be given up, or nil: one that was not put on for long, when all of them have too much or are too many.
func (l *shelves) put(s *shelf) (room int, idle *shelf) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.used, s); i >= 0 {
		copy(l.used[i:], l.used[i+1:])
		l.used[len(l.used)-1] = s
	} else {
		l.used = append(l.used, s)
	}
	l.clock++
	s.put.Store(l.clock)
	total := int64(0)
	for _, other := range l.used {
		total += other.takes.Load()
	}
	if first := l.used[0]; first != s && (len(l.used) > mostShelves || total > int64(shelvesSize*l.size) || l.clock-first.put.Load() > idleShelf) {
		idle = first
		l.used = append(l.used[:0], l.used[1:]...)
	}
	return l.room(), idle
}

// room is called with mu held.
func (l *shelves) room() int { return min(l.size, 2*l.size/max(len(l.used), 1)) }

// roomNow is how many bytes of records one shelf may have.
func (l *shelves) roomNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.room()
}
