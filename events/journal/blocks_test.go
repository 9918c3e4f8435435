package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

// blocks is a reader of Config.Blocks.
type blocks func(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error

func (b blocks) Read(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error {
	return b(ctx, from, to, yield)
}

func (blocks) File() string { return "a block" }

func (blocks) Into(func(int) []byte) {}

// one makes the same reader again and again.
func one(read blocks) func() journal.Blocks { return func() journal.Blocks { return read } }

// withBlocks is a journal that is read from the files of a server.
func withBlocks(s *bus.Server) journal.Config {
	return journal.Config{Name: acme, Create: true, Blocks: func() journal.Blocks { return s.Blocks(acme.Stream(), acme.Subject()) }}
}

func TestBlocksAreReadLikeTheServer(t *testing.T) {
	s := startBus(t, bus.Config{})
	fill(t, open(t, connect(t, s), journal.Config{}), 12)
	asked := open(t, connect(t, s), journal.Config{Name: acme})
	cfg, read := withBlocks(s), 0
	plain := cfg.Blocks()
	cfg.Blocks = one(func(ctx context.Context, from, to uint64, yield func(uint64, time.Time, []byte, []byte) bool) error {
		return plain.Read(ctx, from, to, func(sequence uint64, stored time.Time, header, body []byte) bool {
			read++
			return yield(sequence, stored, header, body)
		})
	})
	j := open(t, connect(t, s), cfg)
	for from := range uint64(15) {
		want, err := readAll(t.Context(), asked, from)
		if err != nil {
			t.Fatal(err)
		}
		read = 0
		found, err := readAll(t.Context(), j, from)
		if err != nil || !reflect.DeepEqual(found, want) {
			t.Errorf("from %d: %v\n%v\nand not\n%v", from, err, found, want)
		}
		if len(want) > 0 && read < len(want) {
			t.Errorf("from %d: of %d commits %d are read from the blocks", from, len(want), read)
		}
	}
	for c, err := range j.Read(t.Context(), 3) {
		if err != nil || c.Sequence != 3 {
			t.Errorf("the first one of who wants no more is %d: %v", c.Sequence, err)
		}
		break
	}
}

// What the blocks do not give, or give as no commit of this chain can be, the server is asked for.
func TestTheServerIsAskedForWhatTheBlocksDoNotGive(t *testing.T) {
	s := startBus(t, bus.Config{})
	fill(t, open(t, connect(t, s), journal.Config{}), 9)
	want, err := readAll(t.Context(), open(t, connect(t, s), journal.Config{Name: acme}), 1)
	if err != nil {
		t.Fatal(err)
	}
	sound := withBlocks(s).Blocks()
	instead := func(at uint64, change func(sequence *uint64, header, body *[]byte) (goOn bool)) blocks {
		return func(ctx context.Context, from, to uint64, yield func(uint64, time.Time, []byte, []byte) bool) error {
			return sound.Read(ctx, from, to, func(sequence uint64, stored time.Time, header, body []byte) bool {
				if sequence == at && !change(&sequence, &header, &body) {
					return false
				}
				return yield(sequence, stored, header, body)
			})
		}
	}
	other := func(text *[]byte, before, after string) bool {
		*text = bytes.Replace(*text, []byte(before), []byte(after), 1)
		return true
	}
	wrongs := map[string]func(sequence *uint64, header, body *[]byte) bool{
		"it ends there":    func(*uint64, *[]byte, *[]byte) bool { return false },
		"another body":     func(_ *uint64, _, body *[]byte) bool { return other(body, "n", "m") },
		"another sequence": func(sequence *uint64, _, _ *[]byte) bool { *sequence++; return true },
		"another hash before": func(_ *uint64, header, _ *[]byte) bool {
			return other(header, "Creditstream-Prev: ", "Creditstream-Prev: 0")
		},
		"headers that are none": func(_ *uint64, header, _ *[]byte) bool { *header = nil; return true },
	}
	for how, change := range wrongs {
		for at := uint64(1); at <= 9; at++ {
			var said bytes.Buffer
			cfg := withBlocks(s)
			cfg.Blocks, cfg.Logger = one(instead(at, change)), slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelError}))
			j := open(t, connect(t, s), cfg)
			for _, from := range []uint64{1, at, at + 1} {
				found, err := readAll(t.Context(), j, from)
				if err != nil || len(found) != len(want[from-1:]) || len(found) > 0 && !reflect.DeepEqual(found, want[from-1:]) {
					t.Fatalf("%s at %d, read from %d: %d commits, %v", how, at, from, len(found), err)
				}
			}
			found, told, err := audit(t.Context(), j, 1)
			wanted := []uint64{at}
			if how == "it ends there" {
				wanted = nil
			}
			var places []uint64
			for _, d := range told {
				places = append(places, d.First)
			}
			if err != nil || !reflect.DeepEqual(found, want) || !slices.Equal(places, wanted) {
				t.Fatalf("%s at %d, audited: %d commits, %v is damaged, %v", how, at, len(found), told, err)
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
			if damaged := how != "it ends there"; strings.Contains(said.String(), "damaged") != damaged {
				t.Errorf("%s at %d: the log says %q", how, at, said.String())
			}
		}
	}
	cfg := withBlocks(s)
	cfg.Blocks = one(func(context.Context, uint64, uint64, func(uint64, time.Time, []byte, []byte) bool) error {
		return errors.New("no files")
	})
	j := open(t, connect(t, s), cfg)
	if found, err := readAll(t.Context(), j, 4); err != nil || len(found) != 6 {
		t.Errorf("without files %d commits are read, and then %v", len(found), err)
	}
	if found, damaged, err := audit(t.Context(), j, 1); err != nil || len(found) != 9 || len(damaged) > 0 {
		t.Errorf("without files %d commits are audited, %v is damaged, and then %v", len(found), damaged, err)
	}
}

// audit reads all as readAll does, and returns what of the files is damaged.
func audit(ctx context.Context, j *journal.Journal, from uint64) (commits []journal.Commit, damaged []journal.FileDamage, err error) {
	for c, err := range j.Audit(ctx, from, func(d journal.FileDamage) { damaged = append(damaged, d) }) {
		if err != nil {
			return commits, damaged, err
		}
		commits = append(commits, c)
	}
	return commits, damaged, nil
}

// lost is what a reader of blocks says of messages that are in no file.
type lost struct{ first, last uint64 }

func (l lost) Error() string { return "lost" }
func (l lost) Damaged() (file string, first, last uint64, problem string) {
	return "a block", l.first, l.last, "lost"
}

// What the files have lost is told, and nothing else; all of it is read all the same, as long as the server has it.
func TestAnAuditTellsWhatTheFilesHaveLost(t *testing.T) {
	s := startBus(t, bus.Config{})
	writer := open(t, connect(t, s), journal.Config{})
	fill(t, writer, 9)
	cfg, reading := withBlocks(s), blocks(nil)
	cfg.Blocks = func() journal.Blocks { return reading }
	old := open(t, connect(t, s), cfg) // knows 9 commits
	fill(t, writer, 3)
	want, err := readAll(t.Context(), writer, 1)
	if err != nil || len(want) != 12 {
		t.Fatal(len(want), err)
	}
	sound := withBlocks(s).Blocks()
	without := func(told lost, first, last uint64) blocks {
		return func(ctx context.Context, from, to uint64, yield func(uint64, time.Time, []byte, []byte) bool) error {
			end := to
			if from <= last && to >= first {
				end = max(from, first) - 1
			}
			goOn := true
			err := sound.Read(ctx, from, end, func(sequence uint64, stored time.Time, header, body []byte) bool {
				goOn = yield(sequence, stored, header, body)
				return goOn
			})
			if err == nil && goOn && end < to {
				err = told
			}
			return err
		}
	}
	// passing is a trouble at some commits that is over when one looks again.
	passing := func(read blocks, at ...uint64) blocks {
		return func(ctx context.Context, from, to uint64, yield func(uint64, time.Time, []byte, []byte) bool) error {
			for i, n := range at {
				if from <= n && n <= to {
					at = slices.Delete(at, i, i+1)
					return errors.Join(read(ctx, from, n-1, yield), errors.New("too many open files"))
				}
			}
			return read(ctx, from, to, yield)
		}
	}
	for how, c := range map[string]struct {
		read    blocks
		from    uint64
		damaged string
	}{
		"some behind passing troubles": {passing(without(lost{6, 7}, 6, 7), 2, 5), 1, "[{a block 6 7 lost}]"},
		"none":                         {without(lost{1, 0}, 1, 1), 1, "[{a block 1 0 lost}]"},
		"nothing":                      {sound.Read, 1, "[]"},
		"some":                         {without(lost{4, 6}, 4, 6), 1, "[{a block 4 6 lost}]"},
		"from behind the one":          {without(lost{4, 4}, 4, 4), 5, "[{a block 4 4 lost}]"},
		"the first":                    {without(lost{1, 1}, 1, 1), 1, "[{a block 1 1 lost}]"},
		"the last":                     {without(lost{9, 12}, 9, 12), 1, "[{a block 9 9 lost}]"},
		"unacknowledged":               {without(lost{10, 12}, 10, 12), 1, "[]"},
	} {
		reading = c.read
		found, damaged, err := audit(t.Context(), old, c.from)
		if err != nil || !reflect.DeepEqual(found, want[c.from-1:]) || fmt.Sprint(damaged) != c.damaged {
			t.Errorf("%s: %d commits, %v is damaged and not %s: %v", how, len(found), damaged, c.damaged, err)
		}
		for range old.Audit(t.Context(), c.from, func(journal.FileDamage) {}) {
			break
		}
	}
}

// A digit is changed in the file of a server that runs and has it in memory; then the server forgets it.
func TestAnAuditOfADamagedFile(t *testing.T) {
	dir := t.TempDir()
	s := startBus(t, bus.Config{StoreDir: dir})
	fill(t, open(t, connect(t, s), journal.Config{}), 10)
	want, err := readAll(t.Context(), open(t, connect(t, s), journal.Config{Name: acme}), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, reader := range []journal.Config{withBlocks(s), {Name: acme}} {
		found, damaged, err := audit(t.Context(), open(t, connect(t, s), reader), 1)
		if err != nil || !reflect.DeepEqual(found, want) || len(damaged) > 0 {
			t.Errorf("of a sound file: %d commits, %v is damaged: %v", len(found), damaged, err)
		}
	}
	spoil(t, dir, `"n":5`)
	of := []journal.FileDamage{{File: filepath.Join(msgsDir(dir), "1.blk"), First: 6, Last: 6, Problem: "a record's checksum does not match"}}
	found, damaged, err := audit(t.Context(), open(t, connect(t, s), withBlocks(s)), 1)
	if err != nil || !reflect.DeepEqual(found, want) || !reflect.DeepEqual(damaged, of) {
		t.Errorf("of a damaged file: %d commits, %v is damaged: %v", len(found), damaged, err)
	}
	s.Shutdown()
	s = startBus(t, bus.Config{StoreDir: dir})
	found, damaged, err = audit(t.Context(), open(t, connect(t, s), withBlocks(s)), 1)
	if !errors.Is(err, journal.ErrDamaged) || len(found) != 5 || !reflect.DeepEqual(damaged, of) {
		t.Errorf("when the server has nothing better: %d commits, %v is damaged: %v", len(found), damaged, err)
	}
}

func TestChangedByteOfABlockIsNamedByItsCommit(t *testing.T) {
	dir := t.TempDir()
	s := startBus(t, bus.Config{StoreDir: dir})
	fill(t, open(t, connect(t, s), journal.Config{}), 10)
	s.Shutdown()
	spoil(t, dir, `"n":5`)

	s = startBus(t, bus.Config{StoreDir: dir})
	commits, err := readAll(t.Context(), open(t, connect(t, s), withBlocks(s)), 1)
	if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "commit 6:") || len(commits) != 5 {
		t.Errorf("read %d commits, then %v", len(commits), err)
	}
}

// The server keeps each block that somebody read from while it was written for ten seconds, and so more of them the faster one
// writes. Who reads along, or follows, must not cost that.
func TestWhoReadsAlongKeepsNoBlocksInMemory(t *testing.T) {
	const (
		block   = 8 << 20
		written = 12 * block
		most    = 4 * block
	)
	body := `["` + strings.Repeat("x", 512<<10) + `"]`
	for how, readers := range map[string]func(*journal.Journal) func() (uint64, error){"read": readOn, "follow": followOn(t)} {
		t.Run(how, func(t *testing.T) {
			s := startBus(t, bus.Config{StoreDir: filepath.Join(t.TempDir(), "nats"), UnsafeNoSync: true})
			j := open(t, connect(t, s), withBlocks(s))
			read, before := readers(j), live()
			for range written / len(body) {
				o := await(t, appendTo(t, j, body))
				if o.err != nil {
					t.Fatal(o.err)
				}
				if at, err := read(); err != nil || at != o.head.Sequence {
					t.Fatalf("behind commit %d commit %d is read: %v", o.head.Sequence, at, err)
				}
			}
			if kept := live() - before; kept > most {
				t.Errorf("of %d MiB that were written and read %d are kept in memory", written>>20, kept>>20)
			}
		})
	}
}

// readOn reads what is new each time, and returns the last sequence.
func readOn(j *journal.Journal) func() (uint64, error) {
	read := uint64(0)
	return func() (uint64, error) {
		for c, err := range j.Read(context.Background(), read+1) {
			if err != nil {
				return 0, err
			}
			read = c.Sequence
		}
		return read, nil
	}
}

// followOn returns the next sequence each time.
func followOn(t *testing.T) func(*journal.Journal) func() (uint64, error) {
	return func(j *journal.Journal) func() (uint64, error) {
		next, stop := iter.Pull2(j.Follow(t.Context(), 1))
		t.Cleanup(stop)
		return func() (uint64, error) {
			c, err, _ := next()
			return c.Sequence, err
		}
	}
}

// Who follows gets what is acknowledged, from the blocks as long as it is appended here, and then through the server.
func TestFollowGoesOnBehindTheLastThatIsAppendedHere(t *testing.T) {
	s := startBus(t, bus.Config{})
	j := open(t, connect(t, s), withBlocks(s))
	fill(t, j, 3)
	next := followOn(t)(j)
	for want := range uint64(3) {
		if at, err := next(); err != nil || at != want+1 {
			t.Fatalf("commit %d is followed and not %d: %v", at, want+1, err)
		}
	}
	followed := make(chan uint64)
	follow := func() {
		at, err := next()
		if err != nil {
			t.Error(err)
		}
		followed <- at
	}
	go follow()
	awaited(t, j)
	heads := fill(t, j, 1)
	if at := await(t, followed); at != heads[1].Sequence {
		t.Errorf("commit %d is followed and not %d", at, heads[1].Sequence)
	}
	go follow()
	awaited(t, j)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	fill(t, open(t, connect(t, s), journal.Config{Name: acme}), 1)
	if at := await(t, followed); at != 5 {
		t.Errorf("commit %d of another writer is followed and not 5", at)
	}
	ctx, cancel := context.WithCancel(t.Context())
	j = open(t, connect(t, s), withBlocks(s))
	fill(t, j, 1)
	ended := make(chan error, 1)
	go func() {
		for _, err := range j.Follow(ctx, 7) {
			ended <- err
		}
	}()
	awaited(t, j)
	cancel()
	if err := await(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits at the end is told %v", err)
	}
}

// awaited returns when somebody waits for the journal's head to move.
func awaited(t *testing.T, j *journal.Journal) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !j.Awaited(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("nobody waits")
		}
	}
}

// live is how many bytes the heap has without garbage and without what pools keep until the next collection.
func live() int64 {
	var stats runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
