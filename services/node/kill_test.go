package node

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// TestMain runs the victim of the kill test, or a NATS server, when this process was started as one.
func TestMain(m *testing.M) {
	if store := os.Getenv("CREDITS_NATS_STORE"); store != "" {
		if err := runElsewhere(store, os.Getenv("CREDITS_NATS_PORT")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv("CREDITS_WRITER"); dir != "" {
		if err := runWriter(dir, os.Getenv("CREDITS_WRITER_SERVICES"), os.Getenv("CREDITS_WRITER_WRITER")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv("CREDITS_VICTIM"); dir != "" {
		if err := victim(dir, os.Getenv("CREDITS_ROUND")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

const (
	victimAccounts = 20
	victimClients  = 16
	victimCredits  = 1_000_000_00
)

// victim charges accounts for ever and prints each key once its charge was acknowledged. Every key is
// asked for twice, so that a repetition is always in flight too.
func victim(dir, round string) error {
	ctx := context.Background()
	n, err := Start(ctx, Config{Data: dir})
	if err != nil {
		return err
	}
	tenant, err := n.Accounts().Tenant("shop")
	if err != nil {
		if err := n.AddTenant(ctx, "shop", 1); err != nil {
			return err
		}
		if tenant, err = n.Accounts().Tenant("shop"); err != nil {
			return err
		}
		if _, _, err := tenant.Publish(ctx, []byte(catalog), "ana"); err != nil {
			return err
		}
	}
	for i := range victimAccounts {
		answer := tenant.Do(ctx, accounts.Request{Account: fmt.Sprint("a", i), Key: "open", Hash: credit.Hash{1}, Command: &rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "bought", Credits: victimCredits}}}})
		if answer.Err != nil {
			return answer.Err
		}
	}
	fmt.Println("ready")
	var wait sync.WaitGroup
	for client := range victimClients {
		wait.Go(func() {
			for i := 0; ; i++ {
				r := accounts.Request{
					Account: fmt.Sprint("a", rand.IntN(victimAccounts)), Key: fmt.Sprintf("r%s-c%d-%d", round, client, i), Hash: credit.Hash{1},
					Command: &rules.Use{Meter: "call", Quantity: 1},
				}
				for range 2 {
					if answer := tenant.Do(ctx, r); answer.Err != nil {
						fmt.Fprintln(os.Stderr, answer.Err)
						return
					}
					fmt.Println(r.Account + " " + r.Key)
				}
			}
		})
	}
	wait.Wait()
	return fmt.Errorf("the victim ended by itself")
}

// Invariants 1 and 2: the server is killed in the middle of a load, again and again, and started on what
// it left. Everything that was acknowledged (noted outside the victim) is in the journal, once, and the
// views are the fold of the journal.
func TestKilledInTheMiddleOfALoad(t *testing.T) {
	dir := t.TempDir()
	acknowledged := make(map[string]bool)
	for round := range 4 {
		runAndKill(t, dir, round, acknowledged)
	}
	if len(acknowledged) < 100 {
		t.Fatalf("only %d charges were acknowledged before the kills", len(acknowledged))
	}
	n, err := Start(t.Context(), Config{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	found := make(map[string]int)
	folded := make(map[string]*credit.Account)
	for commit, err := range n.Journal("shop", 0).Read(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		entries, err := credit.DecodeCommit(commit.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Account == "" {
				continue
			}
			found[e.Account+" "+e.Key]++
			if folded[e.Account] == nil {
				folded[e.Account] = credit.NewAccount(e.Account)
			}
			for _, f := range e.Facts {
				folded[e.Account].Evolve(f.Event, f.At)
			}
		}
	}
	for key := range acknowledged {
		if found[key] != 1 {
			t.Errorf("%s was acknowledged and is %d times in the journal", key, found[key])
		}
	}
	tenant, err := n.Accounts().Tenant("shop")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range folded {
		got, _, _, err := tenant.Account(id)
		if err != nil {
			t.Fatal(err)
		}
		if got.Pool("bought").Terms != want.Pool("bought").Terms || !want.Pool("bought").Terms.Close() {
			t.Errorf("the view says %+v of %s and the journal %+v", got.Pool("bought").Terms, id, want.Pool("bought").Terms)
		}
	}
	t.Logf("%d charges acknowledged, %d in the journal", len(acknowledged), len(found))
}

func runAndKill(t *testing.T, dir string, round int, acknowledged map[string]bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "CREDITS_VICTIM="+dir, fmt.Sprint("CREDITS_ROUND=", round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for said := 0; lines.Scan(); said++ {
		if said == 30 { // whatever the machine has to do beside it
			time.AfterFunc(time.Duration(rand.IntN(200))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		if lines.Text() != "ready" {
			acknowledged[lines.Text()] = true
		}
	}
	if err := cmd.Wait(); err == nil || ctx.Err() != nil {
		t.Fatalf("round %d: the victim was not killed: %v", round, err)
	}
}
