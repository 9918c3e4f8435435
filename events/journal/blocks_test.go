package journal_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

// blocks is a reader of Config.Blocks.
type blocks = func(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error

// one makes the same reader again and again.
func one(read blocks) func() blocks { return func() blocks { return read } }

// withBlocks is a journal that is read from the files of a server.
func withBlocks(s *bus.Server) journal.Config {
	return journal.Config{Name: acme, Create: true, Blocks: s.Blocks(acme.Stream(), acme.Subject())}
}

func TestBlocksAreReadLikeTheServer(t *testing.T) {
	s := startBus(t, bus.Config{})
	fill(t, open(t, connect(t, s), journal.Config{}), 12)
	asked := open(t, connect(t, s), journal.Config{Name: acme})
	cfg, read := withBlocks(s), 0
	plain := cfg.Blocks()
	cfg.Blocks = one(func(ctx context.Context, from, to uint64, yield func(uint64, time.Time, []byte, []byte) bool) error {
		return plain(ctx, from, to, func(sequence uint64, stored time.Time, header, body []byte) bool {
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
			return sound(ctx, from, to, func(sequence uint64, stored time.Time, header, body []byte) bool {
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
	if found, err := readAll(t.Context(), open(t, connect(t, s), cfg), 4); err != nil || len(found) != 6 {
		t.Errorf("without files %d commits are read, and then %v", len(found), err)
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
