package node

import (
	"context"
	"fmt"
	"path/filepath"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/services/accounts"
)

// Verification is the reports of all journals that were verified.
type Verification struct {
	OK       bool                 `json:"ok"`
	Journals []projections.Report `json:"journals"`
}

// Verify folds the journals of a tenant ("": of all tenants) from their start by code of its own and
// compares every hash, balance and view. It runs beside everything else. progress, which may be nil, is
// told how many commits of a journal were read.
func (n *Node) Verify(ctx context.Context, tenant string, progress func(name journal.Name, done, total uint64)) (Verification, error) {
	tenants := n.accounts.Tenants()
	if tenant != "" {
		t, err := n.accounts.Tenant(tenant)
		if err != nil {
			return Verification{}, err
		}
		tenants = []*accounts.Tenant{t}
	}
	all := Verification{OK: true, Journals: []projections.Report{}}
	for _, t := range tenants {
		for i := range t.Shards() {
			name := journal.Name{Tenant: t.Name(), Shard: i}
			report, err := n.verify(ctx, t, name, progress)
			if err != nil {
				return Verification{}, fmt.Errorf("verify %s: %w", name, err)
			}
			all.OK = all.OK && report.OK
			all.Journals = append(all.Journals, report)
		}
	}
	return all, nil
}

func (n *Node) verify(ctx context.Context, t *accounts.Tenant, name journal.Name, progress func(name journal.Name, done, total uint64)) (projections.Report, error) {
	cfg := projections.VerifyConfig{
		Scratch: filepath.Join(n.cfg.Data, "views"),
		MayPay: func(catalog uint32, pool, meter string) bool {
			c := t.Books().Version(catalog)
			return c != nil && c.Pays(pool, meter)
		},
	}
	if progress != nil {
		cfg.Progress = func(done, total uint64) { progress(name, done, total) }
	}
	return n.views.runner.Verify(ctx, name, cfg)
}

// Rebuild folds a journal's view anew beside the live one and switches to it when both are equal.
func (n *Node) Rebuild(ctx context.Context, view string, name journal.Name) (projections.Rebuilt, error) {
	return n.views.runner.Rebuild(ctx, view, name, projections.RebuildOptions{})
}
