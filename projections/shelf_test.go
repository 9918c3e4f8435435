package projections_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"creditstream/projections"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// commits is a writer that commits record by record, and knows what the records are as of each commit.
type commits struct {
	t        *testing.T
	rng      *rand.Rand
	view     *projections.View
	batch    *projections.Batch
	now      map[string]string
	sequence uint64
	were     []map[string]string // as of each commit
}

func newCommits(t *testing.T, rng *rand.Rand, view *projections.View) *commits {
	return &commits{t: t, rng: rng, view: view, batch: view.NewCommitBatch(), now: map[string]string{}, were: []map[string]string{{}}}
}

func (c *commits) key() string { return string("akp"[c.rng.IntN(3)]) + fmt.Sprint(c.rng.IntN(60)) }

// commit puts "mark" with each record that begins with a0 or a1, and puts and drops some records, also twice in one commit and longer or shorter than they were.
func (c *commits) commit() {
	c.t.Helper()
	var keys []string
	for range 1 + c.rng.IntN(8) {
		keys = append(keys, c.key())
		if keys[len(keys)-1] < "a2" {
			keys = append(keys, "mark")
		}
	}
	for _, key := range keys {
		var err error
		if c.rng.IntN(5) == 0 && key != "mark" {
			err = c.batch.Drop(append(c.batch.Key(), key...))
			delete(c.now, key)
		} else {
			c.now[key] = strings.Repeat(string(rune('a'+c.rng.IntN(26))), 1+c.rng.IntN(40))
			err = c.batch.Put(append(c.batch.Key(), key...), []byte(c.now[key]))
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	c.sequence++
	c.were = append(c.were, maps.Clone(c.now))
	if err := c.batch.Commit(projections.Head{Journal: "j", Sequence: c.sequence}); err != nil {
		c.t.Fatal(err)
	}
}

// read compares some of what the view says with what it should.
func (c *commits) read() {
	c.t.Helper()
	key := c.key()
	value, there, err := c.view.Get(nil, []byte(key))
	if want, is := c.now[key]; err != nil || there != is || string(value) != want {
		c.t.Fatalf("commit %d: record %s is %q, %t, %v, and should be %q, %t", c.sequence, key, value, there, err, want, is)
	}
	if head, err := c.view.Checkpoint(); err != nil || head.Sequence != c.sequence {
		c.t.Fatalf("the checkpoint is %v, %v after commit %d", head, err, c.sequence)
	}
}

// readAll compares the records from one key to another. A key of the model's own is a record of the view's.
func (c *commits) readAll(from, to string, open func(from, to []byte) (*projections.Iter, error)) {
	c.t.Helper()
	iter, err := open([]byte(from), []byte(to))
	if err != nil {
		c.t.Fatal(err)
	}
	got := map[string]string{}
	for iter.First(); iter.Valid(); iter.Next() {
		if key := string(iter.Key()); key != "" {
			got[key] = string(iter.Value())
		} else if n := binary.BigEndian.Uint64(iter.Value()); n != c.sequence {
			c.t.Fatalf("all is read as of commit %d after commit %d", n, c.sequence)
		}
	}
	if err := iter.Close(); err != nil {
		c.t.Fatal(err)
	}
	want := maps.Clone(c.now)
	maps.DeleteFunc(want, func(key, _ string) bool { return key < from || to != "" && key >= to })
	if !maps.Equal(got, want) {
		c.t.Fatalf("commit %d, from %q to %q: %v instead of %v", c.sequence, from, to, got, want)
	}
}

// readLast compares the greatest key from one to another, which is one of them at least as often as not.
func (c *commits) readLast(from, to string) {
	c.t.Helper()
	want := ""
	for key := range c.now {
		if key >= from && key < to {
			want = max(want, key)
		}
	}
	got, ok, err := c.view.Last([]byte(from), []byte(to))
	if err != nil || string(got) != want || ok != (want != "") {
		c.t.Fatalf("commit %d, from %q to %q: the last key is %q, %t, %v, and should be %q", c.sequence, from, to, got, ok, err, want)
	}
}

// A view that is written commit by commit is at each moment what was committed, wherever of it is written already, and
// so it is when it is opened again.
func TestAViewIsWhatWasCommitted(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := vfs.NewMem()
		store, err := projections.Open(projections.Config{Dir: "views", View: "trial", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		view, err := store.SmallTables().SmallShelves(1<<10+rng.IntN(40<<10)).View(acme, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := newCommits(t, rng, view)
		for range 400 {
			c.commit()
			c.read()
			switch from, to := c.key(), c.key(); rng.IntN(40) {
			case 4, 5, 6:
				c.readAll("a", "a2", func(from, to []byte) (*projections.Iter, error) { return view.IterWith([]byte("mark"), from, to) })
			case 0:
				c.readAll("", "", view.Iter)
			case 1, 7, 8:
				c.readAll(min(from, to), max(from, to), view.Iter)
			case 9, 10, 11:
				c.readLast(min(from, to), max(from, to))
			case 2:
				c.readAll("p", "q", view.Iter)
			case 3: // a batch that goes past the shelf
				past := view.NewBatch()
				if err := past.Put(append(past.Key(), from...), []byte("past")); err != nil {
					t.Fatal(err)
				}
				if from < "a2" {
					c.now["mark"] = "past"
					if err := past.Put(append(past.Key(), "mark"...), []byte("past")); err != nil {
						t.Fatal(err)
					}
				}
				c.now[from] = "past"
				if c.sequence++; past.Commit(projections.Head{Journal: "j", Sequence: c.sequence}) != nil || past.Close() != nil {
					t.Fatal("commit past the shelf")
				}
				c.were = append(c.were, maps.Clone(c.now))
			}
		}
		if err := errors.Join(c.batch.Close(), store.Close()); err != nil {
			t.Fatal(err)
		}
		if store, err = projections.Open(projections.Config{Dir: "views", View: "trial", FS: fs}); err != nil {
			t.Fatal(err)
		}
		if c.view, err = store.View(acme, 1); err != nil {
			t.Fatal(err)
		}
		c.read()
		c.readAll("", "", c.view.Iter)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A view that is thrown away has nothing left, in memory either.
func TestAViewThatIsThrownAwayIsEmpty(t *testing.T) {
	store := openStore(t, vfs.NewMem(), folds[0])
	view, err := store.View(acme, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := newCommits(t, rand.New(rand.NewPCG(8, 9)), view)
	c.commit()
	if err := view.Reset(1); err != nil || !view.Empty() {
		t.Fatal("thrown away:", err)
	}
	c.sequence, c.now = 0, nil
	c.readAll("", "", view.Iter)
	for range 60 {
		c.read()
	}
	c.now = map[string]string{}
	c.commit()
	c.read()
	c.readAll("", "", view.Iter)
	if err := c.batch.Close(); err != nil {
		t.Fatal(err)
	}
}

// Invariant 4 of a view that is written commit by commit: wherever a crash cuts its store off, it is as of its checkpoint.
func TestCommittedViewsSurviveACrashAtAnyWrite(t *testing.T) {
	crash := newCrashes("trial", rand.New(rand.NewPCG(21, 22)))
	store, err := projections.Open(projections.Config{Dir: "views", View: "trial", MemTable: 64 << 10, FS: crash.fs})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.SmallTables().SmallShelves(4<<10).View(acme, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := newCommits(t, rand.New(rand.NewPCG(23, 24)), view)
	for range 1500 {
		c.commit()
	}
	if err := errors.Join(c.batch.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
	positions := map[uint64]bool{}
	for _, l := range crash.left {
		after, err := projections.Open(projections.Config{Dir: "views", View: "trial", FS: l.fs})
		if err != nil {
			t.Fatalf("%s: %v", l.what, err)
		}
		view, err := after.View(acme, 1)
		if err != nil {
			t.Fatalf("%s: %v", l.what, err)
		}
		head, err := view.Checkpoint()
		if err != nil {
			t.Fatalf("%s: %v", l.what, err)
		}
		positions[head.Sequence] = true
		then := &commits{t: t, view: view, sequence: head.Sequence, now: c.were[head.Sequence]}
		then.readAll("", "", view.Iter)
		if err := after.Close(); err != nil {
			t.Fatalf("%s: %v", l.what, err)
		}
	}
	if len(positions) < 10 {
		t.Errorf("%d crashes left views at %d places only", len(crash.left), len(positions))
	}
}

// Who reads while commits are made sees all that was committed before, and of no commit a part.
func TestReadersSeeWholeCommits(t *testing.T) {
	store, err := projections.Open(projections.Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.SmallTables().SmallShelves(6<<10).View(acme, 1)
	if err != nil {
		t.Fatal(err)
	}
	const records = 20
	var committed atomic.Int64
	var readers sync.WaitGroup
	stop := make(chan struct{})
	read := func(once func(least int64) error) {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := once(committed.Load()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	number := func(value []byte) (n int64) {
		_, _ = fmt.Sscanf(string(value), "%d", &n)
		return n
	}
	read(func(least int64) error {
		key := fmt.Sprint("r", least%records)
		value, there, err := view.Get(nil, []byte(key))
		if n := number(value); err != nil || n < least || !there && least > 0 {
			return fmt.Errorf("record %s is of commit %d, %v, after commit %d", key, n, err, least)
		}
		return nil
	})
	read(func(least int64) error {
		iter, err := view.Iter([]byte("r"), []byte("s"))
		if err != nil {
			return err
		}
		seen := map[int64]int{}
		for iter.First(); iter.Valid(); iter.Next() {
			seen[number(iter.Value())]++
		}
		if all := slices.Collect(maps.Keys(seen)); len(all) > 1 || len(all) == 1 && (all[0] < least || seen[all[0]] != records) {
			return errors.Join(fmt.Errorf("after commit %d there are records of commits %v", least, seen), iter.Close())
		}
		return iter.Close()
	})
	batch := view.NewCommitBatch()
	for n := int64(1); n <= 3000; n++ {
		for r := range records {
			if err := batch.Put(fmt.Append(batch.Key(), "r", r), fmt.Append(nil, n)); err != nil {
				t.Fatal(err)
			}
		}
		if n%3 == 0 { // what comes and goes keeps the shelf filling up
			if err := batch.Put(fmt.Append(batch.Key(), "x", n), make([]byte, 300)); err != nil {
				t.Fatal(err)
			}
		}
		if err := batch.Commit(projections.Head{Journal: "j", Sequence: uint64(n)}); err != nil {
			t.Fatal(err)
		}
		committed.Store(n)
	}
	close(stop)
	readers.Wait()
	if err := errors.Join(batch.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
}

// A disk that takes no table holds up neither commits nor readers, and when it takes them again nothing is missing.
func TestCommitsGoOnWhileTheDiskFails(t *testing.T) {
	memory := vfs.NewMem()
	var failing atomic.Bool
	var refused atomic.Int32
	config := projections.Config{Dir: "views", View: "trial", FS: errorfs.Wrap(memory, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".sst") {
			refused.Add(1)
			return errors.New("no space")
		}
		return nil
	}))}
	store, err := projections.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.SmallTables().SmallShelves(4<<10).View(acme, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := newCommits(t, rand.New(rand.NewPCG(5, 6)), view)
	for i := range 600 {
		failing.Store(i >= 200 && i < 400)
		c.commit()
		c.read()
		if i%50 == 0 {
			c.readAll("", "", view.Iter)
		}
	}
	if refused.Load() == 0 {
		t.Error("no table was refused")
	}
	if err := errors.Join(c.batch.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
	if store, err = projections.Open(config); err != nil {
		t.Fatal(err)
	}
	if c.view, err = store.View(acme, 1); err != nil {
		t.Fatal(err)
	}
	c.readAll("", "", c.view.Iter)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
