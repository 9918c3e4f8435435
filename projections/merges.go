package projections

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// merges says when a store merges tables: as many times at once as Pebble's own rule allows, not before it was opened, and
// not when it is about to be closed. Left to itself Pebble begins while it opens a store, and then waits until that merge is
// over, which after a crash under load took seconds for each store with millions of accounts; and what is being merged when
// a store is closed is waited for as well, which takes more than ten seconds with a hundred million events.
type merges struct {
	givenUp atomic.Bool

	mu      sync.Mutex
	db      pebble.DBForCompaction
	running int
	may     bool // begin

	look  chan struct{} // of one: look whether one may begin
	end   chan struct{}
	ended chan struct{} // nil before Register
	once  sync.Once
}

func newMerges() *merges {
	return &merges{look: make(chan struct{}, 1), end: make(chan struct{})}
}

// lookForMerges is how long a merge that is allowed waits at most. (What a flush allows tells Pebble nobody of: its own
// scheduler looks as often.)
const lookForMerges = 100 * time.Millisecond

// begin lets merges begin.
func (m *merges) begin() {
	m.mu.Lock()
	m.may = true
	m.mu.Unlock()
	m.nudge()
}

// giveUp ends what is being merged, and begins nothing more. Nothing is lost: a merge has taken place once it is through, and
// what was to be merged is there until then.
func (m *merges) giveUp() {
	m.mu.Lock()
	m.may = false
	m.mu.Unlock()
	m.givenUp.Store(true)
}

// files are those of a store on fs: what a merge writes there ends it once merges are given up. Pebble has no other way, and
// takes this for one of its own reasons to end a merge.
func (m *merges) files(fs vfs.FS) vfs.FS { return mergedFiles{fs, &m.givenUp} }

type mergedFiles struct {
	vfs.FS
	givenUp *atomic.Bool
}

// mergedTable is what Pebble calls the files that a merge writes.
const mergedTable = "pebble-compaction"

// Create implements vfs.FS.
func (fs mergedFiles) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := fs.FS.Create(name, category)
	if err != nil || category != mergedTable {
		return file, err
	}
	return mergedFile{file, fs.givenUp}, nil
}

// Unwrap implements vfs.FS.
func (fs mergedFiles) Unwrap() vfs.FS { return fs.FS }

type mergedFile struct {
	vfs.File
	givenUp *atomic.Bool
}

// Write implements vfs.File.
func (f mergedFile) Write(p []byte) (int, error) {
	if f.givenUp.Load() {
		return 0, pebble.ErrCancelledCompaction
	}
	return f.File.Write(p)
}

func (m *merges) nudge() {
	select {
	case m.look <- struct{}{}:
	default:
	}
}

// Register implements pebble.CompactionScheduler.
func (m *merges) Register(_ int, db pebble.DBForCompaction) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.db, m.ended = db, make(chan struct{})
	go m.run()
}

// Unregister implements pebble.CompactionScheduler: it returns when db is not asked any more. A second call, or one
// without Register, does nothing.
func (m *merges) Unregister() {
	m.mu.Lock()
	m.may = false
	ended := m.ended
	m.mu.Unlock()
	m.once.Do(func() { close(m.end) })
	if ended != nil {
		<-ended
	}
}

func (m *merges) run() {
	defer close(m.ended)
	ticker := time.NewTicker(lookForMerges)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-m.look:
		case <-m.end:
			return
		}
		m.grant()
	}
}

// grant begins what waits, as far as it is allowed. Before begin it does not ask db, which is locked while it opens.
func (m *merges) grant() {
	for m.allowed() {
		if waits, _ := m.db.GetWaitingCompaction(); !waits {
			return
		}
		if granted, _ := m.TrySchedule(); !granted {
			return
		}
		if !m.db.Schedule(m) {
			m.mu.Lock()
			m.running--
			m.mu.Unlock()
			return
		}
	}
}

// TrySchedule implements pebble.CompactionScheduler.
func (m *merges) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.allowedLocked() {
		return false, nil
	}
	m.running++
	return true, m
}

func (m *merges) allowed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.allowedLocked()
}

func (m *merges) allowedLocked() bool {
	return m.may && m.running < m.db.GetAllowedWithoutPermission()
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler.
func (m *merges) UpdateGetAllowedWithoutPermission() { m.nudge() }

// Done implements pebble.CompactionGrantHandle.
func (m *merges) Done() {
	m.mu.Lock()
	m.running--
	m.mu.Unlock()
	m.nudge()
}

// Started implements pebble.CompactionGrantHandle.
func (m *merges) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (m *merges) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (m *merges) CumulativeStats(pebble.CompactionGrantHandleStats) {}
