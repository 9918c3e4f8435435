package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

func TestAppendedCommitsAreReadBackInAChain(t *testing.T) {
	j := open(t, connect(t, startBus(t, bus.Config{})), journal.Config{})
	taken, err := j.TakeOver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if taken.Sequence != 1 || taken != j.Head() {
		t.Fatalf("took over at %+v, head is %+v", taken, j.Head())
	}
	heads := fill(t, j, 20)

	commits, err := readAll(t.Context(), j, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(commits) != 21 {
		t.Fatalf("read %d commits, want 21", len(commits))
	}
	if commits[0].Prev != j.Start().Hash || string(commits[0].Body) != "[]" {
		t.Errorf("the first commit is %s after %s, want an empty one after the start", commits[0].Body, commits[0].Prev)
	}
	for i, c := range commits {
		if i > 0 && c.Head != heads[i] {
			t.Errorf("commit %d is at %+v, was acknowledged at %+v", i+1, c.Head, heads[i])
		}
		if i > 0 && c.Prev != commits[i-1].Hash {
			t.Errorf("commit %d does not follow the one before it", i+1)
		}
		if c.Stored.IsZero() {
			t.Errorf("commit %d has no time", i+1)
		}
		got, err := j.Get(t.Context(), c.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		if got.Head != c.Head || got.Prev != c.Prev || !bytes.Equal(got.Body, c.Body) || !got.Stored.Equal(c.Stored) {
			t.Errorf("Get gives %+v, Read gave %+v", got, c)
		}
	}
	tail, err := readAll(t.Context(), j, 15)
	if err != nil || len(tail) != 7 || tail[0].Sequence != 15 {
		t.Errorf("reading from 15: %d commits, %v", len(tail), err)
	}
	if beyond, err := readAll(t.Context(), j, 22); err != nil || len(beyond) != 0 {
		t.Errorf("reading beyond the end: %d commits, %v", len(beyond), err)
	}
	if _, err := j.Get(t.Context(), 22); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("Get beyond the end: %v", err)
	}
}

func TestReopenedJournalGoesOnWhereItWas(t *testing.T) {
	dir := t.TempDir()
	s := startBus(t, bus.Config{StoreDir: dir})
	j := open(t, connect(t, s), journal.Config{Name: acme, Create: true, Shards: 4})
	heads := fill(t, j, 5)
	start := j.Start()
	j.Close()
	s.Shutdown()

	nc := connect(t, startBus(t, bus.Config{StoreDir: dir}))
	again := open(t, nc, journal.Config{Name: acme})
	if again.Head() != heads[5] || again.Start() != start || again.Shards() != 4 {
		t.Fatalf("reopened at %+v (of %d shards), was at %+v", again.Head(), again.Shards(), heads[5])
	}
	if taken, err := again.TakeOver(t.Context()); err != nil || taken.Sequence != 6 {
		t.Fatalf("took over at %+v: %v", taken, err)
	}
	if commits, err := readAll(t.Context(), again, 1); err != nil || len(commits) != 6 {
		t.Fatalf("read %d commits: %v", len(commits), err)
	}
	if _, err := tryOpen(t, nc, journal.Config{Name: acme, Shards: 2}); err == nil {
		t.Error("opened with another count of shards")
	}
	if _, err := tryOpen(t, nc, journal.Config{Name: journal.Name{Tenant: "umbra"}}); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("opened a journal that is not there: %v", err)
	}
}

func TestPipelinedAppendsGetTheirOutcomesInOrder(t *testing.T) {
	j := open(t, connect(t, startBus(t, bus.Config{})), journal.Config{MaxPending: 16})
	const total = 200
	var mu sync.Mutex
	var got []journal.Head
	finished := make(chan struct{})
	var next func(n int)
	next = func(n int) {
		err := j.Append(fmt.Appendf(nil, `[%d]`, n), func(h journal.Head, err error) {
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			got = append(got, h)
			if len(got) == total {
				close(finished)
			}
			mu.Unlock()
			// Appending from done keeps sixteen in flight.
			if n+16 < total {
				next(n + 16)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
	for n := range 16 {
		next(n)
	}
	await(t, finished)
	for i, h := range got {
		if h.Sequence != uint64(i+1) {
			t.Fatalf("outcome %d is of commit %d", i+1, h.Sequence)
		}
	}
	commits, err := readAll(t.Context(), j, 1)
	if err != nil || len(commits) != total {
		t.Fatalf("read %d commits: %v", len(commits), err)
	}
	if j.Head() != commits[total-1].Head {
		t.Errorf("head is %+v, the last commit is %+v", j.Head(), commits[total-1].Head)
	}
}

func TestSizeIsCheckedBeforeAnythingIsSent(t *testing.T) {
	j := open(t, connect(t, startBus(t, bus.Config{})), journal.Config{})
	never := func(journal.Head, error) { t.Error("done was called") }
	if err := j.Append(make([]byte, journal.MaxBody+1), never); !errors.Is(err, journal.ErrTooLarge) {
		t.Errorf("a body over the limit: %v", err)
	}
	largest := bytes.Repeat([]byte(" "), journal.MaxBody)
	outcomes := make(chan outcome, 1)
	if err := j.Append(largest, func(h journal.Head, err error) { outcomes <- outcome{h, err} }); err != nil {
		t.Fatal(err)
	}
	if o := await(t, outcomes); o.err != nil || o.head.Sequence != 1 {
		t.Errorf("the largest body: %+v", o)
	}
	if c, err := j.Get(t.Context(), 1); err != nil || !bytes.Equal(c.Body, largest) {
		t.Errorf("the largest body is read back as %d bytes: %v", len(c.Body), err)
	}
}

func TestFollowWaitsForWhatComesLater(t *testing.T) {
	s := startBus(t, bus.Config{})
	j := open(t, connect(t, s), journal.Config{})
	heads := fill(t, j, 3)
	reader := open(t, connect(t, s), journal.Config{Name: acme})
	commits := make(chan journal.Commit)
	ctx := t.Context()
	go func() {
		defer close(commits)
		for c, err := range reader.Follow(ctx, 2) {
			if err != nil {
				t.Error(err)
				return
			}
			commits <- c
			if c.Sequence == 5 {
				return
			}
		}
	}()
	for _, want := range heads[2:] {
		if c := await(t, commits); c.Head != want {
			t.Errorf("followed to %+v, want %+v", c.Head, want)
		}
	}
	for _, want := range fill(t, j, 2)[1:] {
		if c := await(t, commits); c.Head != want {
			t.Errorf("followed to %+v, want %+v", c.Head, want)
		}
	}
	if _, more := <-commits; more {
		t.Error("a commit came twice")
	}
}

func TestCheckKnowsItsOwnCheckpoints(t *testing.T) {
	s := startBus(t, bus.Config{})
	j := open(t, connect(t, s), journal.Config{})
	other := open(t, connect(t, s), journal.Config{Name: journal.Name{Tenant: "umbra"}, Create: true})
	heads := fill(t, j, 3)
	foreign := fill(t, other, 3)
	ahead, diverged, wrongStart := heads[3], heads[2], j.Start()
	ahead.Sequence = 4
	diverged.Hash[0]++
	wrongStart.Hash[0]++
	for _, test := range []struct {
		name string
		head journal.Head
		want error
	}{
		{"the start", j.Start(), nil},
		{"in the middle", heads[2], nil},
		{"the end", heads[3], nil},
		{"beyond the end", ahead, journal.ErrAhead},
		{"another hash", diverged, journal.ErrDiverged},
		{"another start", wrongStart, journal.ErrDiverged},
		{"another tenant's", foreign[2], journal.ErrOtherJournal},
		{"none", journal.Head{}, journal.ErrOtherJournal},
	} {
		if err := j.Check(t.Context(), test.head); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}
