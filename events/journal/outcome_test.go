package journal_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"creditstream/events/journal"
)

// impatient repeats soon, so that the tests do not take long.
var impatient = journal.Config{Name: acme, Create: true, AckTimeout: 100 * time.Millisecond, MaxPending: 4}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// length is the number of commits, as another client reads them.
func length(t *testing.T, s *server.Server) int {
	t.Helper()
	commits, err := readAll(t.Context(), open(t, dial(t, s.ClientURL()), journal.Config{Name: acme}), 1)
	if err != nil {
		t.Fatal(err)
	}
	return len(commits)
}

func TestAppendWhoseAckIsLostIsThereOnce(t *testing.T) {
	s := startPlain(t, t.TempDir(), 0)
	g := startGate(t, s)
	j := open(t, dial(t, g.url()), impatient)
	fill(t, j, 2)

	g.loseAnswers.Store(true)
	third, fourth := appendTo(t, j, "[3]"), appendTo(t, j, "[4]")
	eventually(t, "both are stored", func() bool { return length(t, s) == 4 })
	eventually(t, "the stall is reported", func() bool { return j.State().Stall != "" && j.State().Pending == 2 })
	select {
	case o := <-third:
		t.Fatalf("an outcome without an ack: %+v", o)
	default:
	}

	g.heal()
	for i, outcomes := range []<-chan outcome{third, fourth} {
		if o := await(t, outcomes); o.err != nil || o.head.Sequence != uint64(3+i) {
			t.Errorf("append %d: %+v", 3+i, o)
		}
	}
	if state := j.State(); state.Stall != "" || state.Pending != 0 || state.Err != nil {
		t.Errorf("the state after that: %+v", state)
	}
	fill(t, j, 2)
	if n := length(t, s); n != 6 {
		t.Errorf("the journal has %d commits, want 6", n)
	}
}

func TestAppendThatIsLostOnTheWayIsSentAgain(t *testing.T) {
	s := startPlain(t, t.TempDir(), 0)
	g := startGate(t, s)
	j := open(t, dial(t, g.url()), impatient)
	fill(t, j, 2)

	g.loseRequests.Store(true)
	third, fourth := appendTo(t, j, "[3]"), appendTo(t, j, "[4]")
	eventually(t, "the stall is reported", func() bool { return j.State().Stall != "" })
	if n := length(t, s); n != 2 {
		t.Fatalf("the journal has %d commits, nothing was to arrive", n)
	}
	g.heal()
	for i, outcomes := range []<-chan outcome{third, fourth} {
		if o := await(t, outcomes); o.err != nil || o.head.Sequence != uint64(3+i) {
			t.Errorf("append %d: %+v", 3+i, o)
		}
	}
	if n := length(t, s); n != 4 {
		t.Errorf("the journal has %d commits, want 4", n)
	}
}

func TestUnknownAppendIsFencedWhenARivalHasItsPlace(t *testing.T) {
	s := startPlain(t, t.TempDir(), 0)
	g := startGate(t, s)
	j := open(t, dial(t, g.url()), impatient)
	fill(t, j, 2)

	g.loseRequests.Store(true)
	third, fourth := appendTo(t, j, "[]"), appendTo(t, j, "[4]")
	rival := open(t, dial(t, s.ClientURL()), journal.Config{Name: acme})
	// The same bytes at the same place, and yet not ours.
	taken, err := rival.TakeOver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.heal()
	for i, outcomes := range []<-chan outcome{third, fourth} {
		if o := await(t, outcomes); !errors.Is(o.err, journal.ErrFenced) {
			t.Errorf("append %d: %+v", 3+i, o)
		}
	}
	if n := length(t, s); n != 3 || rival.Head() != taken {
		t.Errorf("the journal has %d commits, want 3", n)
	}
}

func TestAppendWaitsForAServerThatIsAway(t *testing.T) {
	dir := t.TempDir()
	s := startPlain(t, dir, 0)
	j := open(t, dial(t, s.ClientURL()), impatient)
	fill(t, j, 2)
	port := portOf(s)
	stopPlain(s)

	outcomes := []<-chan outcome{appendTo(t, j, "[3]"), appendTo(t, j, "[4]"), appendTo(t, j, "[5]"), appendTo(t, j, "[6]")}
	if err := j.Append([]byte("[]"), nil); !errors.Is(err, journal.ErrBusy) {
		t.Errorf("one more than may be pending: %v", err)
	}
	eventually(t, "the stall is reported", func() bool { return j.State().Stall != "" })
	s = startPlain(t, dir, port)
	for i, outcomes := range outcomes {
		if o := await(t, outcomes); o.err != nil || o.head.Sequence != uint64(3+i) {
			t.Errorf("append %d: %+v", 3+i, o)
		}
	}
	if n := length(t, s); n != 6 {
		t.Errorf("the journal has %d commits, want 6", n)
	}
}

// lostEnd is an open journal of four commits whose server is stopped; the one that startOlder starts in its place
// knows the first two.
func lostEnd(t *testing.T, cfg journal.Config) (j *journal.Journal, startOlder func()) {
	t.Helper()
	dir, older := t.TempDir(), t.TempDir()
	s := startPlain(t, dir, 0)
	port := portOf(s)
	j = open(t, dial(t, s.ClientURL()), cfg)
	fill(t, j, 2)
	stopPlain(s)
	if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s = startPlain(t, dir, port)
	fill(t, j, 2)
	stopPlain(s)
	return j, func() { startPlain(t, older, port) }
}

func TestJournalThatLostItsEndIsDamagedNotFenced(t *testing.T) {
	j, startOlder := lostEnd(t, impatient)
	startOlder()
	if o := await(t, appendTo(t, j, "[5]")); !errors.Is(o.err, journal.ErrDamaged) {
		t.Errorf("appending to a journal that lost its end: %+v", o)
	}
	if err := j.State().Err; !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("the state after that: %v", err)
	}
}

func TestJournalWhoseEndWasReplacedIsDamaged(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	s := startPlain(t, dir, 0)
	port := portOf(s)
	j := open(t, dial(t, s.ClientURL()), impatient)
	fill(t, j, 2)
	stopPlain(s)
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s = startPlain(t, dir, port)
	fill(t, j, 1)
	stopPlain(s)

	// The sequence is the same, what is there is not.
	s = startPlain(t, other, 0)
	rival := open(t, dial(t, s.ClientURL()), journal.Config{Name: acme})
	if o := await(t, appendTo(t, rival, `["other"]`)); o.err != nil || o.head.Sequence != 3 {
		t.Fatalf("%+v", o)
	}
	stopPlain(s)
	startPlain(t, other, port)
	next := appendTo(t, j, "[4]")
	eventually(t, "it has an outcome or is stored", func() bool { return j.State().Pending == 0 })
	if o := await(t, next); !errors.Is(o.err, journal.ErrDamaged) {
		t.Errorf("appending to a journal with another end: %+v", o)
	}
}

func TestServerThatForgotTheLastIDIsOverruledByTheLog(t *testing.T) {
	s := startPlain(t, t.TempDir(), 0)
	j := open(t, dial(t, s.ClientURL()), impatient)
	fill(t, j, 2)
	j.ForgetLastID()
	for i, outcomes := range []<-chan outcome{appendTo(t, j, "[3]"), appendTo(t, j, "[4]"), appendTo(t, j, "[5]")} {
		if o := await(t, outcomes); o.err != nil || o.head.Sequence != uint64(3+i) {
			t.Errorf("append %d: %+v", 3+i, o)
		}
	}
	if n := length(t, s); n != 5 {
		t.Errorf("the journal has %d commits, want 5", n)
	}
}

func TestCloseLeavesAppendsUnknown(t *testing.T) {
	s := startPlain(t, t.TempDir(), 0)
	g := startGate(t, s)
	j := open(t, dial(t, g.url()), impatient)
	fill(t, j, 1)
	g.loseAnswers.Store(true)
	second, third := appendTo(t, j, "[2]"), appendTo(t, j, "[3]")
	for range 2 {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, outcomes := range []<-chan outcome{second, third} {
		if o := await(t, outcomes); !errors.Is(o.err, journal.ErrClosed) {
			t.Errorf("in flight at Close: %+v", o)
		}
	}
	if err := j.Append([]byte("[]"), nil); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestFollowGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := startPlain(t, dir, 0)
	port := portOf(s)
	j := open(t, dial(t, s.ClientURL()), impatient)
	fill(t, j, 2)
	reader := open(t, dial(t, s.ClientURL()), journal.Config{Name: acme})
	commits := make(chan journal.Commit)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for c, err := range reader.Follow(ctx, 1) {
			if err != nil {
				ended <- err
				return
			}
			commits <- c
		}
	}()
	for want := range uint64(2) {
		if c := await(t, commits); c.Sequence != want+1 {
			t.Fatalf("commit %d, want %d", c.Sequence, want+1)
		}
	}
	stopPlain(s)
	startPlain(t, dir, port)
	fill(t, j, 2)
	for want := range uint64(2) {
		if c := await(t, commits); c.Sequence != want+3 {
			t.Fatalf("commit %d, want %d", c.Sequence, want+3)
		}
	}
	cancel()
	if err := await(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// While the server's disk refuses writes, what looks like damage may be what a failed write left in its memory: it
// counts only once the fault is over.
func TestDamageCountsOnlyWithoutAFault(t *testing.T) {
	cfg := impatient
	var fault atomic.Bool
	var asked atomic.Int32
	cfg.Fault = func() error {
		asked.Add(1)
		if fault.Load() {
			return errors.New("a write failed")
		}
		return nil
	}
	j, startOlder := lostEnd(t, cfg)
	fault.Store(true)
	startOlder()
	outcome := appendTo(t, j, "[5]")
	eventually(t, "the damage was seen more often than it takes to believe it", func() bool { return asked.Load() > 6 })
	if state := j.State(); state.Err != nil || state.Pending != 1 {
		t.Fatalf("during the fault: %+v", state)
	}
	fault.Store(false)
	if o := await(t, outcome); !errors.Is(o.err, journal.ErrDamaged) {
		t.Errorf("after the fault: %+v", o)
	}
}
