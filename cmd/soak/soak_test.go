package main

import (
	"fmt"
	"os"
	"testing"
)

// TestMain is the server under test when it was started as one.
func TestMain(m *testing.M) {
	if text := os.Getenv(victimEnv); text != "" {
		if err := victim(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// campaigned runs a few rounds of a campaign; `task soak` runs many.
func campaigned(t *testing.T, c campaign, rounds int) result {
	t.Helper()
	r, err := run(t.Context(), c, session{rounds: rounds, seed: 20, dir: t.TempDir(), say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	if r.Left != "" {
		t.Skip("left out: " + r.Left)
	}
	if !r.sound() {
		t.Errorf("%s: %+v", r.verdict(), r)
	}
	for _, p := range r.Problems {
		t.Error(p)
	}
	return r
}

// Invariants 1 to 5 under power cuts, on the two models of what a sync promises.
func TestPowerCuts(t *testing.T) {
	r := campaigned(t, power{}, 3)
	if r.Faults < 3 {
		t.Errorf("%d cuts of 3", r.Faults)
	}
	for _, k := range []kind{usage, event, hold, grant, purchase} {
		if r.ByKind[k] == 0 {
			t.Errorf("the load is to be mixed, and no %s was acknowledged: %v", k, r.ByKind)
		}
	}
}

// A server that does not sync loses what it acknowledged, and the same harness says so: else it proves nothing.
func TestAServerThatDoesNotSyncIsFoundOut(t *testing.T) {
	r := campaigned(t, control{}, 1)
	if r.Lost == 0 || r.Lost >= r.Acknowledged {
		t.Errorf("%d of %d acknowledged commands were lost; those from before it stopped to sync are there", r.Lost, r.Acknowledged)
	}
}

// Invariants 1 to 5 under kill -9, at each of the named points and at random.
func TestKills(t *testing.T) {
	if r := campaigned(t, kill{}, len(points())); r.Faults != len(points()) {
		t.Errorf("%d kills of %d", r.Faults, len(points()))
	}
}

// Invariant 1 on a disk that is nearly full, and on one whose syncs fail: new work is refused, reads go on, and the
// server recovers by itself.
func TestADiskThatFillsUpOrFails(t *testing.T) {
	if r := campaigned(t, disk{}, 3); r.Faults != 3 {
		t.Errorf("%d disorders of 3", r.Faults)
	}
}

// Invariants 8 and 9 on files that are damaged by chance, with the two controls.
func TestDamage(t *testing.T) {
	if r := campaigned(t, damaged{}, 4); r.Faults != 4 || r.Noticed+r.Harmless != 4 {
		t.Errorf("of 4 damages %d were noticed and %d harmless", r.Noticed, r.Harmless)
	}
}

func TestCampaignsAreChosenByName(t *testing.T) {
	chosen, err := choose("kill=7,power")
	if err != nil || len(chosen) != 2 || chosen[0].Name() != "kill" || chosen[0].rounds != 7 || chosen[1].Name() != "power" || chosen[1].rounds != 0 {
		t.Errorf("%+v, %v", chosen, err)
	}
	for _, wrong := range []string{"kill=", "kill=0", "kill=x", "none", "power,,kill"} {
		if _, err := choose(wrong); err == nil {
			t.Errorf("--campaign %s was taken", wrong)
		}
	}
}
