package journal_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

// blocks is a Config.Blocks.
type blocks = func(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error

// withBlocks is a journal that is read from the files of a server.
func withBlocks(s *bus.Server) journal.Config {
	return journal.Config{Name: acme, Create: true, Blocks: s.Blocks(acme.Stream(), acme.Subject())}
}

func TestBlocksAreReadLikeTheServer(t *testing.T) {
	s := startBus(t, bus.Config{})
	fill(t, open(t, connect(t, s), journal.Config{}), 12)
	asked := open(t, connect(t, s), journal.Config{Name: acme})
	cfg, read := withBlocks(s), 0
	plain := cfg.Blocks
	cfg.Blocks = func(ctx context.Context, from, to uint64, yield func(uint64, time.Time, []byte, []byte) bool) error {
		return plain(ctx, from, to, func(sequence uint64, stored time.Time, header, body []byte) bool {
			read++
			return yield(sequence, stored, header, body)
		})
	}
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
	sound := withBlocks(s).Blocks
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
			cfg := withBlocks(s)
			cfg.Blocks = instead(at, change)
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
		}
	}
	cfg := withBlocks(s)
	cfg.Blocks = func(context.Context, uint64, uint64, func(uint64, time.Time, []byte, []byte) bool) error {
		return errors.New("no files")
	}
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
// writes. Who reads along must not cost that.
func TestWhoReadsAlongKeepsNoBlocksInMemory(t *testing.T) {
	s := startBus(t, bus.Config{StoreDir: filepath.Join(t.TempDir(), "nats"), UnsafeNoSync: true})
	j := open(t, connect(t, s), withBlocks(s))
	const (
		block   = 8 << 20
		written = 12 * block
		most    = 4 * block
	)
	body := `["` + strings.Repeat("x", 512<<10) + `"]`
	before, read := live(), uint64(0)
	for range written / len(body) {
		if o := await(t, appendTo(t, j, body)); o.err != nil {
			t.Fatal(o.err)
		}
		for c, err := range j.Read(t.Context(), read+1) {
			if err != nil {
				t.Fatal(err)
			}
			read = c.Sequence
		}
	}
	if read != j.Head().Sequence {
		t.Errorf("%d of %d commits were read", read, j.Head().Sequence)
	}
	if kept := live() - before; kept > most {
		t.Errorf("of %d MiB that were written and read %d are kept in memory", written>>20, kept>>20)
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
