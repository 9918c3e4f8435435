package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// A digit of a journal's file is changed while the server runs. The server still answers from its memory, so nothing that
// asks it would notice: the verification names file, commit and what to do, and doing that rescues all of it.
func TestADamagedFileIsNamedWhileTheServerHasItInMemory(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	n, tenant := openShop(t, Config{Data: data, TestClock: damageClock})
	do := func(key string, c rules.Command) {
		t.Helper()
		if answer := tenant.Do(t.Context(), accounts.Request{Account: "a", Key: key, Hash: credit.Hash{1}, Command: c}); answer.Err != nil {
			t.Fatal(answer.Err)
		}
	}
	do("open", &rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "bought", Credits: 10_00}}})
	do("use", &rules.Use{Meter: "call", Quantity: 2})
	at := n.Journal("shop", 0).Head().Sequence
	do("again", &rules.Use{Meter: "call", Quantity: 1})
	if found, err := n.Verify(t.Context(), "", nil); err != nil || !found.OK || found.Journals[0].Damaged != 0 {
		t.Fatalf("before: %+v, %v", found, err)
	}
	path := filepath.Join(data, "nats", "jetstream", "CREDITSTREAM", "streams", "JOURNAL_shop_0", "msgs", "1.blk")
	changeInPlace(t, path, `"quantity":2`, `"quantity":3`)
	for range 2 {
		found, err := n.Verify(t.Context(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		r := found.Journals[0]
		if found.OK || r.OK || r.Lost != 0 || r.Damaged != 1 || len(r.Files) != 1 || len(r.Faults) != 1 || r.Different != 0 {
			t.Fatalf("damaged: %+v", r)
		}
		if f := r.Files[0]; f.File != path || f.First != at || f.Last != at || !strings.Contains(f.Advice, "credits backup TO") {
			t.Errorf("the file is %+v, the commit %d", f, at)
		}
		if f := r.Faults[0]; f.Sequence != at || !strings.Contains(f.Problem, path) || !strings.Contains(f.Problem, "memory") {
			t.Errorf("the fault is %+v", f)
		}
	}
	rescued := filepath.Join(t.TempDir(), "rescued.tar")
	out, err := os.Create(rescued)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Backup(t.Context(), out, false); err != nil {
		t.Fatalf("the advice: %v", err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := VerifyData(t.Context(), data, nil, Verifying{})
	if r := found.Journals[0]; err != nil || found.OK || r.Lost == 0 || r.Damaged != 1 || len(r.Files) != 1 || !strings.Contains(r.Files[0].Advice, "credits restore FROM") || strings.Contains(r.Faults[0].Problem, "memory") {
		t.Errorf("stopped: %+v, %v", r, err)
	}
	into := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), RestoreConfig{From: rescued, Data: into}); err != nil {
		t.Fatal(err)
	}
	if found, err := VerifyData(t.Context(), into, nil, Verifying{}); err != nil || !found.OK || found.Journals[0].Position < at+1 {
		t.Errorf("restored: %+v, %v", found, err)
	}
}

// changeInPlace changes a text of a file that somebody has open.
func changeInPlace(t *testing.T, path, from, to string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte(from))
	if at < 0 {
		t.Fatalf("%s is not in %s", from, path)
	}
	if _, err := file.WriteAt([]byte(to), int64(at)); err != nil {
		t.Fatal(err)
	}
}

// What is written while it is verified is not damaged.
func TestVerifyBesideAWriterFindsNothing(t *testing.T) {
	t.Parallel()
	n, tenant := openShop(t, Config{Data: t.TempDir(), TestClock: damageClock, PatrolShare: 1})
	const writers = 4
	for w := range writers {
		lots := []rules.OpeningLot{{Pool: "bought", Credits: 1_000_000_00}}
		if answer := tenant.Do(t.Context(), accounts.Request{Account: fmt.Sprint(w), Command: &rules.ImportAccount{Lots: lots}}); answer.Err != nil {
			t.Fatal(answer.Err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				answer := tenant.Do(ctx, accounts.Request{Account: fmt.Sprint(w), Key: fmt.Sprint(i), Command: &rules.Use{Meter: "call", Quantity: 1}})
				if answer.Err != nil && ctx.Err() == nil {
					t.Error(answer.Err)
					return
				}
			}
		})
	}
	defer writing.Wait()
	defer stop()
	verified := uint64(0)
	for rounds := range 8 {
		found, err := n.Verify(t.Context(), "", nil)
		if err != nil || !found.OK {
			t.Fatalf("verified %d times: %+v, %v", rounds, found, err)
		}
		if at := found.Journals[0].Position; at <= verified {
			t.Fatalf("nobody wrote between commit %d and %d", verified, at)
		}
		verified = found.Journals[0].Position
	}
}
