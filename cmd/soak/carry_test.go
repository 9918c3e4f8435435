package main

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"creditstream/cmd/internal/faultfs"
	"creditstream/events/bus"
	"creditstream/events/bus/index"
)

// Invariants 1 and 9: a power cut at any moment while an index is carried on leaves none that knows more than the disk. The
// server would take what is missing for lost, go on behind it, and the journal would be damaged.
func TestAnIndexNeverKnowsMoreThanTheDisk(t *testing.T) {
	if reason := faultfs.Unsupported(); reason != "" {
		t.Skip("left out: " + reason)
	}
	const indexed, late = 9, 12 // a block has 4 of them: the last one begins a block
	durable, crashed, work := t.TempDir(), t.TempDir(), t.TempDir()
	onJournal(t, work, func(j *small) { j.publish(t, indexed) })
	onJournal(t, work, func(j *small) {
		// A kill leaves the old index, and of the blocks only the last record may not be synced.
		j.publish(t, late-1)
		copyTree(t, work, durable)
		copyTree(t, work, crashed)
		j.publish(t, 1)
		copyTree(t, work, crashed)
	})
	cut := func(model faultfs.Model, n int, kept faultfs.Kept, rng *rand.Rand) (ended bool) {
		disk := faultfs.NewDisk(model)
		onMount(t, disk, func(dir string) {
			copyTree(t, durable, dir)
			if err := bus.SyncDir(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			copyTree(t, crashed, dir) // in the page cache only
			ended = carryUntil(t, disk, dir, n)
		})
		onMount(t, disk.Cut(kept, rng), func(dir string) {
			streams, err := index.Carry(t.Context(), dir, 0)
			if err != nil || len(streams) != 1 || ended && (streams[0].Carried || streams[0].Left != "") {
				t.Errorf("after the power cut at operation %d (%s kept), which came too late: %+v, %v", n, kept, streams, err)
			}
			onJournal(t, dir, func(j *small) {
				state := j.stream.CachedInfo().State
				if state.Msgs != state.LastSeq || state.LastSeq < indexed+late-1 || ended && state.LastSeq != indexed+late {
					t.Errorf("power cut at operation %d (%s kept): %d messages, the last is %d", n, kept, state.Msgs, state.LastSeq)
				}
			})
		})
		return ended
	}
	for _, model := range []faultfs.Model{faultfs.Ordered, faultfs.Strict} {
		for n, ended := 0, false; !ended; n++ {
			for i, kept := range []faultfs.Kept{faultfs.Nothing, faultfs.Some, faultfs.Some, faultfs.Some} {
				ended = cut(model, n, kept, rand.New(rand.NewPCG(uint64(n), uint64(i))))
			}
		}
	}
}

// carryUntil carries the index of the journal until the disk fails at the nth operation; it says whether it came to its
// end before that.
func carryUntil(t *testing.T, disk *faultfs.Disk, dir string, n int) bool {
	t.Helper()
	disk.SetFault(func(faultfs.Op, string) syscall.Errno {
		if n--; n < 0 {
			return syscall.EIO
		}
		return 0
	})
	streams, err := index.Carry(t.Context(), dir, 0)
	if err != nil || len(streams) != 1 {
		t.Fatalf("%+v, %v", streams, err)
	}
	disk.Freeze()
	return streams[0].Carried
}

// small is a stream that only grows, whose blocks JetStream keeps small.
type small struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

func (j *small) publish(t *testing.T, count int) {
	t.Helper()
	for range count {
		if _, err := j.js.Publish(t.Context(), "j", bytes.Repeat([]byte{1}, 7000)); err != nil {
			t.Fatal(err)
		}
	}
}

// onJournal runs a server on a directory, and opens or makes the stream.
func onJournal(t *testing.T, dir string, do func(*small)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := bus.Start(ctx, bus.Config{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	nc, err := s.ConnectWriter("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	j, config := new(small), jetstream.StreamConfig{
		Name: "J", Subjects: []string{"j"}, Discard: jetstream.DiscardNew, DenyDelete: true, DenyPurge: true,
		MaxBytes: 100_000, // with such a limit JetStream decides for small blocks, when it starts or makes the stream
	}
	if j.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if _, err = j.js.Stream(ctx, "J"); err != nil {
		if _, err = j.js.CreateStream(ctx, config); err != nil {
			t.Fatal(err)
		}
	}
	for _, config.MaxBytes = range []int64{-1, 100_000} {
		if j.stream, err = j.js.UpdateStream(ctx, config); err != nil {
			t.Fatal(err)
		}
		if config.MaxBytes < 0 {
			do(j)
		}
	}
}

func onMount(t *testing.T, disk *faultfs.Disk, do func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	mount, err := disk.Mount(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := mount.Unmount(); err != nil {
			t.Error(err)
		}
	}()
	store := filepath.Join(dir, "nats")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := bus.SyncName(store); err != nil {
		t.Fatal(err)
	}
	do(store)
}

// copyTree brings a directory up to date with another: what is new in a file is written behind what it has, as a server
// writes to a block.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(from, path)
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		old, err := os.ReadFile(filepath.Join(to, name))
		if err == nil && bytes.Equal(old, text) {
			return nil
		}
		if err == nil && bytes.HasPrefix(text, old) {
			file, err := os.OpenFile(filepath.Join(to, name), os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = file.Write(text[len(old):])
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
