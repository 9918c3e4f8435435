package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"creditstream/events/bus"
	"creditstream/events/bus/index"
	"creditstream/events/journal"
	"creditstream/projections"
	accountsview "creditstream/projections/accounts"
	"creditstream/projections/statement"
	"creditstream/projections/usage"
	"creditstream/services/rules"
)

// Verification is the reports of all journals that were verified.
type Verification struct {
	OK       bool                 `json:"ok"`
	Journals []projections.Report `json:"journals"`
	// Faults are what is wrong with the streams of all tenants: credentials, and keys of personal texts.
	Faults []string `json:"faults,omitempty"`
}

// Verifying says what to verify.
type Verifying struct {
	// Tenant is whose journals; "": all of them.
	Tenant string
	// Shard is which of them; nil: all of them.
	Shard *int
	// Heads are signed ones, whose signatures were checked: the journals must have gone through them.
	Heads []journal.SignedHead
	// Progress, which may be nil, is told how many commits of a journal were read.
	Progress func(name journal.Name, done, total uint64)
	// Surveyed, which may be nil, is told how many files of a stopped server's journal were read, before its commits are.
	Surveyed func(name journal.Name, done, total int)
}

func (v *Verifying) wants(name journal.Name) bool {
	return (v.Tenant == "" || v.Tenant == name.Tenant) && (v.Shard == nil || *v.Shard == name.Shard)
}

// config is what all verifications of a journal have in common. The rules are those that the journal itself
// says were published: no view is asked.
func (v *Verifying) config(name journal.Name, data string) projections.VerifyConfig {
	books := new(rules.Book)
	cfg := projections.VerifyConfig{
		Scratch: filepath.Join(data, "views"),
		Catalog: func(version uint32, at time.Time, source string) error {
			c, err := rules.ParseCatalog([]byte(source))
			if err != nil {
				return err
			}
			c.Version = version
			books.Publish(at, c)
			return nil
		},
		MayPay: func(catalog uint32, pool, meter string) bool {
			c := books.Version(catalog)
			return c != nil && c.Pays(pool, meter)
		},
		MayOwe: func(catalog uint32) bool {
			c := books.Version(catalog)
			return c != nil && c.Debt.Allowed()
		},
	}
	for i := range v.Heads {
		if v.Heads[i].Name() == name {
			cfg.Heads = append(cfg.Heads, v.Heads[i].Head())
		}
	}
	if v.Progress != nil {
		cfg.Progress = func(done, total uint64) { v.Progress(name, done, total) }
	}
	return cfg
}

// add takes a report up, or what kept one from being made.
func (a *Verification) add(report projections.Report) {
	a.OK = a.OK && report.OK
	a.Journals = append(a.Journals, report)
}

// addFaults takes up what is wrong with streams that are no journals.
func (a *Verification) addFaults(faults []error) {
	a.OK = a.OK && len(faults) == 0
	a.Faults = append(a.Faults, describe(faults)...)
}

// missing reports the signed heads of journals that are not there at all.
func (a *Verification) missing(v *Verifying) {
	for i := range v.Heads {
		h := &v.Heads[i]
		there := slices.ContainsFunc(a.Journals, func(r projections.Report) bool { return r.Tenant == h.Tenant && r.Shard == h.Shard })
		if !there && v.wants(h.Name()) {
			report := refusal(h.Name(), &journal.At{Sequence: h.Sequence, Err: errors.New("a signed head knows this commit, and there is no such journal")})
			report.Rewritten = 1
			a.add(report)
		}
	}
}

// refusal is the report about a journal that cannot even be read.
func refusal(name journal.Name, reason error) projections.Report {
	return projections.Report{
		Tenant: name.Tenant, Shard: name.Shard, Barred: reason.Error(), Views: []projections.ViewReport{},
		Faults: []projections.Fault{{Sequence: journal.SequenceOf(reason), Problem: reason.Error()}},
	}
}

// Verify is VerifyBooks for the journals of a tenant ("": of all tenants).
func (n *Node) Verify(ctx context.Context, tenant string, progress func(name journal.Name, done, total uint64)) (Verification, error) {
	return n.VerifyBooks(ctx, Verifying{Tenant: tenant, Progress: progress})
}

// VerifyBooks folds journals from their start by code of its own and compares every hash, balance and view. It
// runs beside everything else. The journals of tenants that are not served are read as far as that goes, without
// their views.
func (n *Node) VerifyBooks(ctx context.Context, v Verifying) (Verification, error) {
	all := Verification{OK: true, Journals: []projections.Report{}}
	for _, t := range n.accounts.Tenants() {
		for i := range t.Shards() {
			name := journal.Name{Tenant: t.Name(), Shard: i}
			if !v.wants(name) {
				continue
			}
			cfg := v.config(name, n.cfg.Data)
			cfg.Served = true
			report, err := n.views.runner.Verify(ctx, name, cfg)
			if err != nil {
				return Verification{}, fmt.Errorf("verify %s: %w", name, err)
			}
			all.add(report)
		}
	}
	known, err := journalsOf(ctx, n.services, n.cfg.Data)
	if err != nil {
		return Verification{}, err
	}
	for _, barred := range n.accounts.Barred() {
		known[journal.Name{Tenant: barred.Tenant}] = true
		for _, name := range sorted(known) {
			if name.Tenant != barred.Tenant || !v.wants(name) {
				continue
			}
			i := inspection{data: n.cfg.Data, log: n.log, bus: n.bus}
			report, err := i.journal(ctx, n, name, &v)
			if err != nil {
				return Verification{}, fmt.Errorf("verify %s: %w", name, err)
			}
			report.Barred, report.OK = barred.Reason.Error(), false
			if len(report.Faults) == 0 {
				report.Faults = []projections.Fault{{Sequence: journal.SequenceOf(barred.Reason), Problem: barred.Reason.Error()}}
			}
			all.add(report)
		}
	}
	all.missing(&v)
	if n.marks != nil && v.Tenant == "" {
		faults, err := n.marks.check(ctx)
		if err != nil {
			return Verification{}, fmt.Errorf("verify: %w", err)
		}
		all.addFaults(faults)
	}
	return all, nil
}

func sorted(names map[journal.Name]bool) []journal.Name {
	list := make([]journal.Name, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	slices.SortFunc(list, compareNames)
	return list
}

// inspection looks at journals, and views, as they are found.
type inspection struct {
	data   string
	log    *slog.Logger
	bus    *bus.Server // that has the journals; nil when it is elsewhere
	stores []inspected
	found  map[journal.Name]*index.Found // in the files, before there was a server; nil where nobody looked
}

// inspected is the store of one kind of view, or why it cannot be opened.
type inspected struct {
	fold  projections.Fold
	store *projections.Store
	err   error
}

func (i *inspection) openStores() {
	for _, fold := range []projections.Fold{accountsview.Fold{}, statement.Fold{}, usage.Fold{}} {
		store, err := projections.Open(projections.Config{Dir: filepath.Join(i.data, "views"), View: fold.Name(), ReadOnly: true, Logger: i.log})
		i.stores = append(i.stores, inspected{fold, store, err})
	}
}

func (i *inspection) close() error {
	var faults []error
	for _, s := range i.stores {
		if s.store != nil {
			faults = append(faults, s.store.Close())
		}
	}
	return errors.Join(faults...)
}

func (i *inspection) run(ctx context.Context, server connector, v *Verifying) (Verification, error) {
	nc, err := server.Connect("creditstream-verify")
	if err != nil {
		return Verification{}, err
	}
	defer nc.Close()
	known, err := journalsOf(ctx, nc, i.data)
	if err != nil {
		return Verification{}, err
	}
	for _, s := range i.stores {
		if s.store == nil {
			continue
		}
		names, err := s.store.Journals()
		if err != nil {
			i.log.Warn("a view store does not say which journals it knows", "error", err)
		}
		for _, name := range names {
			known[name] = true
		}
	}
	for name, files := range i.found {
		if files.Last > 0 || len(files.Damaged) > 0 {
			known[name] = true // though the server may not take it
		}
	}
	all := Verification{OK: true, Journals: []projections.Report{}}
	for _, name := range sorted(known) {
		if !v.wants(name) {
			continue
		}
		report, err := i.journal(ctx, server, name, v)
		if err != nil {
			return Verification{}, fmt.Errorf("verify %s: %w", name, err)
		}
		all.add(report)
	}
	all.missing(v)
	if v.Tenant == "" {
		faults, err := checkMarked(ctx, nc, i.data, i.log)
		if err != nil {
			return Verification{}, fmt.Errorf("verify: %w", err)
		}
		all.addFaults(faults)
	}
	return all, nil
}

// journal verifies one journal, its end, and the views that there are of it.
func (i *inspection) journal(ctx context.Context, server connector, name journal.Name, v *Verifying) (projections.Report, error) {
	nc, err := server.Connect("creditstream-verify")
	if err != nil {
		return projections.Report{}, err
	}
	defer nc.Close()
	opened := journal.Config{Name: name, Inspect: true, Anchor: anchorPath(i.data, name), Logger: i.log}
	if i.bus != nil {
		opened.Blocks = blocksOf(i.bus, name)
	}
	j, err := journal.Open(ctx, nc, opened)
	found := foundFiles(i.found[name])
	if err != nil {
		report := refusal(name, err)
		if found != nil {
			report.AddFound(found)
		}
		return report, ctx.Err()
	}
	cfg := v.config(name, i.data)
	cfg.Found = found
	cfg.Journal = j
	var broken []projections.ViewReport
	for _, s := range i.stores {
		if s.err != nil {
			broken = append(broken, projections.NotCompared(s.fold.Name(), s.err))
			continue
		}
		view, err := s.store.View(name, s.fold.Version())
		switch {
		case errors.Is(err, projections.ErrNoView): // it is made at the next start
		case err != nil:
			broken = append(broken, projections.NotCompared(s.fold.Name(), err))
		default:
			cfg.Views = append(cfg.Views, projections.VerifiedView{Fold: s.fold, View: view})
		}
	}
	report, err := projections.Verify(ctx, cfg)
	if err != nil {
		return report, err
	}
	for _, b := range broken {
		b.Advice = projections.Remedy(b.View, name)
		report.Views = append(report.Views, b)
	}
	report.OK = report.OK && len(broken) == 0
	err = j.CheckAnchor(ctx)
	if err != nil {
		report.OK, report.Barred = false, err.Error()
		report.Faults = append(report.Faults, projections.Fault{Sequence: journal.SequenceOf(err), Problem: err.Error()})
	}
	i.advise(&report, report.Lost > 0 || errors.Is(err, journal.ErrDamaged))
	return report, ctx.Err()
}

// advise makes what is to be done about views good for this directory. From a journal that lacks commits no view can be made
// anew: a directory into which it is restored makes its own.
func (i *inspection) advise(report *projections.Report, lacks bool) {
	for k := range report.Views {
		switch v := &report.Views[k]; {
		case lacks:
			v.Advice = ""
		case v.Advice != "":
			v.Advice += " --data " + i.data
		}
	}
}

// Rebuild folds a journal's view anew beside the live one and switches to it when both are equal.
func (n *Node) Rebuild(ctx context.Context, view string, name journal.Name) (projections.Rebuilt, error) {
	return n.views.runner.Rebuild(ctx, view, name, projections.RebuildOptions{})
}
