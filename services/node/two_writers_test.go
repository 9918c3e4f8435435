package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// runWriter is the process that is stopped in the middle of its load: a node on the NATS server, and clients
// that charge until they are refused. It says of each charge what became of it.
func runWriter(dir, services, writer string) error {
	ctx := context.Background()
	starting, cancel := context.WithTimeout(ctx, 20*time.Second) // a server that is not there is waited for, for ever
	defer cancel()
	n, err := Start(starting, Config{Data: dir, Catalogs: "../../deploy/catalogs", Views: []string{}, External: External{URL: services, WriterURL: writer}})
	if err != nil {
		return err
	}
	tenant, err := n.Accounts().Tenant("tecpet")
	if err != nil {
		return err
	}
	var load sync.WaitGroup
	for c := range 8 {
		load.Go(func() {
			account := fmt.Sprint("a", c)
			answer := tenant.Do(ctx, accounts.Request{Account: account, Key: "open", Hash: credit.Hash{1}, Command: &rules.ImportAccount{
				Lots: []rules.OpeningLot{{Pool: "purchased", Credits: 1e15}},
			}})
			for i := 0; answer.Err == nil; i++ {
				key := fmt.Sprint("old-", i)
				if answer = tenant.Do(ctx, sticker(account, key)); answer.Err == nil {
					fmt.Println("yes " + account + " " + key)
				}
			}
			fmt.Println("no " + account + " " + strings.ReplaceAll(answer.Err.Error(), "\n", " "))
		})
	}
	load.Wait()
	fmt.Println("over")
	return nil // it leaves like one that was killed: there is nothing to close that could be trusted
}

func sticker(account, key string) accounts.Request {
	return accounts.Request{Account: account, Key: key, Hash: credit.Hash{1}, Command: &rules.Use{Meter: "sticker", Quantity: 1}}
}

// other is that process as the test sees it.
type other struct {
	cmd   *exec.Cmd
	dir   string
	lines chan string  // closed when it has ended
	last  bytes.Buffer // what it said before it ended
	wait  func() error
}

func startOther(t *testing.T, e *elsewhere) *other {
	t.Helper()
	o := &other{cmd: exec.Command(os.Args[0]), dir: t.TempDir(), lines: make(chan string, 1<<20)}
	o.cmd.Env = append(os.Environ(), "CREDITS_WRITER="+o.dir, "CREDITS_WRITER_SERVICES="+e.url("services"), "CREDITS_WRITER_WRITER="+e.url("writer"))
	o.cmd.Stderr = &o.last
	out, err := o.cmd.StdoutPipe()
	if err == nil {
		err = o.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(o.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			o.lines <- lines.Text()
		}
	})
	o.wait = sync.OnceValue(func() error {
		reading.Wait()
		return o.cmd.Wait()
	})
	t.Cleanup(func() {
		_ = o.cmd.Process.Kill()
		_ = o.wait()
	})
	return o
}

// line is the next thing that it says. It is not to end before the test has seen what it is for.
func (o *other) line(t *testing.T) string {
	t.Helper()
	line, running := <-o.lines
	if !running {
		t.Fatalf("the other writer has ended (%v), saying:\n%s", o.wait(), &o.last)
	}
	return line
}

func (o *other) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := o.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// journalOf reads a journal past the code that is under test: at which sequences each key stands.
func journalOf(t *testing.T, nc *nats.Conn) map[string][]uint64 {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "JOURNAL_tecpet_0")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]uint64)
	for sequence := uint64(1); sequence <= stream.CachedInfo().State.LastSeq; sequence++ {
		m, err := stream.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := credit.DecodeCommit(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			key := entry.Account + " " + entry.Key
			found[key] = append(found[key], sequence)
		}
	}
	return found
}

// strays are entries of the one who was stopped that came after the takeover.
func strays(found map[string][]uint64, takeover uint64) (all []string) {
	for key, sequences := range found {
		for _, sequence := range sequences {
			if strings.Contains(key, " old-") && sequence > takeover {
				all = append(all, fmt.Sprint(key, " at ", sequence))
			}
		}
	}
	return all
}

// A writer is stopped in the middle of its load, another takes the shard over, and the first goes on: its
// append is refused by the log, it answers nobody with success any more, and what it had answered before is
// there, once, and known to the other.
func TestAWriterThatWasStoppedIsHarmlessWhenItGoesOn(t *testing.T) {
	t.Parallel()
	e := startElsewhere(t)
	old := startOther(t, e)
	acknowledged := make(map[string]bool)
	for len(acknowledged) < 200 {
		line := old.line(t)
		if key, yes := strings.CutPrefix(line, "yes "); yes {
			acknowledged[key] = true
		}
		if strings.HasPrefix(line, "no ") {
			t.Fatalf("the other writer is refused before anybody stops it: %s", line)
		}
	}
	old.signal(t, syscall.SIGSTOP)
	dir := t.TempDir()
	shareSecret(t, old.dir, dir)
	n := e.node(Config{Data: dir, Views: []string{}, AcceptLostAnchors: true})
	takeover := n.Journal("tecpet", 0).Head().Sequence
	for i := range 20 {
		if answer := tenantOf(t, n).Do(t.Context(), sticker("a0", fmt.Sprint("new-", i))); answer.Err != nil {
			t.Fatal(answer.Err)
		}
	}
	old.signal(t, syscall.SIGCONT)
	refused := 0
	for line := ""; line != "over"; {
		line = old.line(t)
		if key, yes := strings.CutPrefix(line, "yes "); yes {
			acknowledged[key] = true
		}
		if strings.HasPrefix(line, "no ") {
			refused++
		}
	}
	if refused != 8 {
		t.Errorf("%d of 8 clients of the stale writer were refused", refused)
	}
	found := journalOf(t, e.login("writer"))
	for key := range acknowledged {
		if len(found[key]) != 1 {
			t.Errorf("%s was acknowledged and stands at %v", key, found[key])
		}
	}
	if late := strays(found, takeover); len(late) > 0 {
		t.Errorf("the stale writer wrote after commit %d: %v", takeover, late)
	}
	for key := range acknowledged {
		account, name, _ := strings.Cut(key, " ")
		if answer := tenantOf(t, n).Do(t.Context(), sticker(account, name)); answer.Err != nil || !answer.Replayed {
			t.Errorf("%s, asked again of the other writer: %+v", key, answer)
		}
	}
	if report, err := n.Verify(t.Context(), "tecpet", nil); err != nil || !report.OK {
		t.Errorf("verify: %+v, %v", report, err)
	}
	unfenced(t, e, n, takeover)
}

// shareSecret gives a second node what the credentials on the server are peppered with, as its operator does.
func shareSecret(t *testing.T, from, to string) {
	t.Helper()
	pepper, err := os.ReadFile(filepath.Join(from, "pepper"))
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "pepper"), pepper, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// unfenced leaves the fence out: what the stale writer would have written is accepted, the look at the journal
// finds it, and the other writer serves nothing on top of it.
func unfenced(t *testing.T, e *elsewhere, n *Node, takeover uint64) {
	t.Helper()
	at := n.Accounts().Clock().Now()
	body, err := credit.EncodeCommit("/creditstream/tecpet/0", []credit.Entry{{Account: "a0", Key: "old-stray", Hash: credit.Hash{1}, Recorded: at, Facts: []credit.Fact{
		{At: at, Event: &credit.UsageRecorded{Meter: "sticker", Quantity: 1, Cost: 1_000_000, Draws: []credit.Draw{{Lot: "l1", Pool: "purchased", Amount: 1_000_000, Cycle: 1}}, Catalog: 1}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	writer := e.login("writer")
	if _, err := writer.RequestMsg(&nats.Msg{Subject: "journal.tecpet.0", Data: body}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if late := strays(journalOf(t, writer), takeover); len(late) != 1 {
		t.Errorf("without the fence the stray is not noticed: %v", late)
	}
	if answer := tenantOf(t, n).Do(t.Context(), sticker("a0", "after the stray")); !errors.Is(answer.Err, accounts.ErrUnavailable) {
		t.Errorf("built on a stray: %+v", answer)
	}
	if report, err := n.Verify(t.Context(), "tecpet", nil); err == nil && report.OK {
		t.Error("verify finds nothing wrong with a stray")
	}
}
