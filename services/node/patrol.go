package node

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"creditstream/projections"
)

// openPatrol starts the continuous check of the books, and counts what it does.
func (n *Node) openPatrol() {
	if n.cfg.PatrolShare > 0 {
		n.patrol = n.views.runner.Patrol(projections.PatrolConfig{
			Share: min(n.cfg.PatrolShare, 1), Busy: n.busy, Found: n.onFinding, Now: n.clock.Now, Logger: n.log,
		})
	}
	status := func(value func(projections.PatrolStatus) float64) func() float64 {
		return func() float64 {
			if n.patrol == nil {
				return 0
			}
			return value(n.patrol.Status())
		}
	}
	for _, m := range []struct {
		name, help string
		value      func() float64
	}{
		{"creditstream_patrol_position", "Commits checked in the present round of the continuous check, over all journals.", status(func(s projections.PatrolStatus) float64 { return float64(s.Position) })},
		{"creditstream_patrol_commits", "Commits that the present round of the continuous check has to check.", status(func(s projections.PatrolStatus) float64 { return float64(s.Total) })},
		{"creditstream_patrol_rounds_total", "Full rounds of the continuous check.", status(func(s projections.PatrolStatus) float64 { return float64(s.Rounds) })},
		{"creditstream_patrol_accounts_total", "Accounts whose records were compared with a refold.", status(func(s projections.PatrolStatus) float64 { return float64(s.Compared) })},
		{"creditstream_patrol_differences_total", "Differences that the continuous check found.", status(func(s projections.PatrolStatus) float64 { return float64(s.Found) })},
		{"creditstream_patrol_last_round_age_seconds", "Time since the last full round ended; 0 before the first.", status(func(s projections.PatrolStatus) float64 {
			if s.LastRound.IsZero() {
				return 0
			}
			return n.clock.Now().Sub(s.LastRound).Seconds()
		})},
		{"creditstream_tenants_barred", "Tenants that are not served because their balances cannot be trusted.", func() float64 { return float64(len(n.accounts.Barred())) }},
	} {
		n.doors.api.Metrics().MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.name, Help: m.help}, m.value))
	}
}

// busy reports whether any shard has requests waiting.
func (n *Node) busy() bool {
	for _, t := range n.accounts.Tenants() {
		for _, s := range t.Shards() {
			if s.Waiting() > 0 {
				return true
			}
		}
	}
	return false
}

// onFinding bars what cannot be trusted: the tenant, when it is the journal or the accounts that decisions rest on;
// else the view, which is built anew.
func (n *Node) onFinding(f projections.Finding) {
	accountsView := n.views.accounts.Name()
	if f.View == "" || f.View == accountsView {
		n.bar(f.Name.Tenant, f.Err)
	}
	if f.View == "" {
		return
	}
	if err := n.views.runner.Distrust(context.Background(), f.View, f.Name, f.Err); err != nil {
		n.log.Error("a view that differs from its journal could not be built anew", "view", f.View, "journal", f.Name.String(), "error", err)
		return
	}
	if f.View != accountsView {
		n.log.Info("a view was built anew", "view", f.View, "journal", f.Name.String())
	}
}
