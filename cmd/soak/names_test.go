package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"creditstream/cmd/internal/faultfs"
	"creditstream/events/bus"
	"creditstream/events/journal"
)

// Invariant 1 where names are durable only once their directory was synced: a commit that began a new block
// of the stream is found after a power cut. JetStream does not sync that directory.
func TestTheFirstCommitOfABlockSurvivesByTheLetterOfPOSIX(t *testing.T) {
	if reason := faultfs.Unsupported(); reason != "" {
		t.Skip("left out: " + reason)
	}
	disk := faultfs.NewDisk(faultfs.Strict)
	var durable journal.Head
	onDisk(t, disk, func(s *bus.Server, j *journal.Journal) {
		if err := bus.SyncDir(t.Context(), s.StoreDir()); err != nil {
			t.Fatal(err)
		}
		for range 15 { // a block has 8 MiB
			durable = appended(t, j)
		}
		disk.Freeze()
	})
	found := disk.Cut(faultfs.Nothing, rand.New(rand.NewPCG(1, 1)))
	onDisk(t, found, func(_ *bus.Server, j *journal.Journal) {
		if j.Head() != durable {
			t.Errorf("commit %d was acknowledged, and after the power cut the journal ends at %d", durable.Sequence, j.Head().Sequence)
		}
	})
}

func appended(t *testing.T, j *journal.Journal) journal.Head {
	t.Helper()
	type outcome struct {
		head journal.Head
		err  error
	}
	outcomes := make(chan outcome, 1)
	body := append(append([]byte(`["`), bytes.Repeat([]byte("x"), 700<<10)...), `"]`...)
	if err := j.Append(body, func(h journal.Head, err error) { outcomes <- outcome{h, err} }); err != nil {
		t.Fatal(err)
	}
	o := <-outcomes
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.head
}

// onDisk does something with a journal on a mounted disk.
func onDisk(t *testing.T, disk *faultfs.Disk, do func(*bus.Server, *journal.Journal)) {
	t.Helper()
	onMount(t, disk, func(store string) { inStore(t, store, do) })
}

func inStore(t *testing.T, store string, do func(*bus.Server, *journal.Journal)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := bus.Start(ctx, bus.Config{StoreDir: store})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	nc, err := s.ConnectWriter("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	name := journal.Name{Tenant: "acme"}
	j, err := journal.Open(ctx, nc, journal.Config{Name: name, Create: true, SyncNames: s.SyncNames(name.Stream())})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	do(s, j)
}
