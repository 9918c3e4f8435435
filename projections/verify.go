package projections

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
)

// VerifyConfig says what to verify, and with what.
type VerifyConfig struct {
	Journal Journal
	// Views are those to compare with the fold of the journal; they may be live.
	Views []VerifiedView
	// Scratch is a directory for what does not fit into memory; empty means the system's for temporary files.
	Scratch string
	// MayPay says whether a pool may pay for a meter by a version of the catalog; nil leaves that unchecked
	// (pools that count units of a meter are checked in any case).
	MayPay func(catalog uint32, pool, meter string) bool
	// Catalog is told each version of the tenant's rules when it is read, before anything that goes by it; its
	// error is a fault of the journal. nil for nobody.
	Catalog func(version uint32, at time.Time, source string) error
	// MayOwe says whether a version of the catalog allows debt; nil leaves that unchecked.
	MayOwe func(catalog uint32) bool
	// Heads are places that the journal is known to have gone through: signed ones. Any order.
	Heads []Head
	// Served is whether a server has the journal open, and so may have in memory what its files have lost.
	Served bool
	// Found is what the journal's files had before a server was started on them for this verification: what is damaged is
	// told as it was then, and what could be read then belongs to the journal. nil when nobody looked.
	Found *FoundFiles
	// Progress is told how many commits of how many were read; nil for nobody.
	Progress func(done, total uint64)
}

// VerifiedView is a view and the fold that makes it.
type VerifiedView struct {
	Fold Fold
	View *View
}

// Report is what a verification found. A journal without a fault has zeroes from Lost to Rewritten.
type Report struct {
	Tenant   string `json:"tenant"`
	Shard    int    `json:"shard"`
	Journal  string `json:"journal"`
	Position uint64 `json:"position"` // the last commit that was read
	Commits  uint64 `json:"commits"`
	Entries  uint64 `json:"entries"`
	Events   uint64 `json:"events"`
	Accounts uint64 `json:"accounts"`

	// Lost counts commits that are missing, changed or unreadable, from the first such one to the end.
	Lost uint64 `json:"lost"`
	// Damaged counts commits that their file does not have any more as they were, and Files says where: as long as they
	// are not lost, the server has them in memory. Of a stopped server it is what its files had when they were found.
	Damaged uint64        `json:"damaged"`
	Files   []DamagedFile `json:"files,omitempty"`
	// Doubled counts what took effect twice: an idempotency key, a purchase.
	Doubled uint64 `json:"doubled"`
	// Overdrawn counts draws that a lot could not pay, or was not allowed to: gone, not there yet, of another meter.
	Overdrawn uint64 `json:"overdrawn"`
	// Unbalanced counts entries after which the terms of a pool did not close.
	Unbalanced uint64 `json:"unbalanced"`
	// Nonsensical counts entries that no rule could have decided.
	Nonsensical uint64 `json:"nonsensical"`
	// Disordered counts entries recorded before the one they follow.
	Disordered uint64 `json:"disordered"`
	// Unfenced counts commits whose writer did not expect the place that they have: the fence was not asked.
	Unfenced uint64 `json:"unfenced"`
	// Rewritten counts signed heads that are not on the journal's chain.
	Rewritten uint64 `json:"rewritten"`
	// Barred is why the tenant is not served, when it is not.
	Barred string `json:"barred,omitempty"`
	// Faults describes the first of all these.
	Faults []Fault `json:"faults,omitempty"`

	Views []ViewReport `json:"views"`
	// Different counts records of views that differ from the fold of the journal; Differences describes the first.
	Different   uint64       `json:"different"`
	Differences []Difference `json:"differences,omitempty"`
	// OK says that nothing at all was found.
	OK bool `json:"ok"`
}

// Fault is one thing that is wrong with a journal.
type Fault struct {
	Sequence uint64 `json:"sequence"`
	Entry    uint32 `json:"entry"`
	Account  string `json:"account,omitempty"`
	Key      string `json:"key,omitempty"` // the idempotency key of the entry
	Problem  string `json:"problem"`
}

// ViewReport is what was found about one view.
type ViewReport struct {
	View     string `json:"view"`
	Position uint64 `json:"position"` // the commit at which it was compared
	Records  string `json:"records"`  // "equal", "different", or why they could not be compared
	Count    uint64 `json:"different"`
	// Advice is the command to give next, where the records are not equal; "" when the journal lacks commits, so that there is
	// nothing to make a view anew from before it was restored.
	Advice string `json:"advice,omitempty"`
}

// maxFaults bounds how many faults are described; all are counted.
const maxFaults = 100

// Verify folds a journal from its start and compares views with it. Nothing that it trusts is what wrote them:
// it computes the hashes anew, decodes with a scanner of its own and encoding/json, and folds into stores of its own. An error means that
// it could not finish; what it found is in the report.
func Verify(ctx context.Context, cfg VerifyConfig) (Report, error) {
	name := cfg.Journal.Name()
	v := &verification{cfg: cfg, report: Report{Tenant: name.Tenant, Shard: name.Shard, Journal: cfg.Journal.Start().Journal, Views: []ViewReport{}}}
	v.files = newDamagedFiles(cfg.Found)
	err := v.run(ctx)
	r := &v.report
	r.OK = err == nil && r.Lost+r.Damaged+r.Doubled+r.Overdrawn+r.Unbalanced+r.Nonsensical+r.Disordered+r.Unfenced+r.Rewritten+r.Different == 0
	r.OK = r.OK && len(r.Files) == 0
	for _, view := range r.Views {
		r.OK = r.OK && view.Records == RecordsEqual
	}
	if err != nil {
		return *r, fmt.Errorf("verify journal %s: %w", name, err)
	}
	return *r, nil
}

// What ViewReport.Records says of a view that could be compared.
const (
	RecordsEqual     = "equal"
	RecordsDifferent = "different"
)

type verification struct {
	cfg    VerifyConfig
	report Report
	checks *checks
	twins  []*twin
	heads  []Head       // those that are still to be met, by sequence
	files  damagedFiles // of the one who reads, until all is read
}

func (v *verification) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(v.cfg.Scratch, "verify-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	v.checks = newChecks(dir, &v.report, &v.cfg)
	defer func() { err = errors.Join(err, v.checks.close()) }()
	defer func() {
		for _, t := range v.twins {
			err = errors.Join(err, t.close())
		}
	}()
	for _, view := range v.cfg.Views {
		t, err := newTwin(view, v.cfg.Journal, dir)
		if t != nil {
			v.twins = append(v.twins, t)
		}
		if err != nil {
			return err
		}
	}
	v.heads = slices.Clone(v.cfg.Heads)
	slices.SortFunc(v.heads, func(a, b Head) int { return cmp.Compare(a.Sequence, b.Sequence) })
	v.meet(v.cfg.Journal.Start())
	if err := v.read(ctx); err != nil {
		return err
	}
	v.files.report(&v.report, v.cfg.Served, func(at Position, problem string) { v.checks.fault(at, nil, problem) })
	v.missed()
	if err := v.repeated(ctx); err != nil {
		return err
	}
	for _, t := range v.twins {
		if err := v.compare(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// read goes over the journal once, for the checks and for all twins.
func (v *verification) read(ctx context.Context) error {
	j, r := v.cfg.Journal, &v.report
	head := j.Head().Sequence
	total := head
	if v.cfg.Found != nil {
		total = max(head, v.cfg.Found.Last)
	}
	for _, t := range v.twins {
		t.start()
		defer t.stop()
	}
	for c, err := range v.decoded(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errUnfinished) {
			return err
		}
		if err != nil {
			r.Lost += max(total, r.Position+1) - r.Position
			v.checks.fault(Position{Sequence: r.Position + 1}, nil, err.Error())
			return nil
		}
		v.meet(c.Head)
		if c.fence != c.Head.Sequence-1 {
			r.Unfenced++
			v.checks.fault(Position{Sequence: c.Head.Sequence}, nil, fmt.Sprintf("its writer did not expect commit %d to be the last one: header Nats-Expected-Last-Sequence", c.Head.Sequence-1))
		}
		if err := v.checks.commit(c.Commit); err != nil {
			return err
		}
		for _, t := range v.twins {
			t.commits <- c.Commit
		}
		r.Position = c.Head.Sequence
		r.Commits++
		if v.cfg.Progress != nil && r.Commits%64 == 0 {
			v.cfg.Progress(r.Position, max(total, r.Position))
		}
	}
	if r.Position < total {
		r.Lost += total - r.Position
		known := "was acknowledged"
		if total > head {
			known = "could be read from its files as they were found"
		}
		v.checks.fault(Position{Sequence: r.Position + 1}, nil, fmt.Sprintf("the journal ends here; commit %d %s", total, known))
	}
	if v.cfg.Progress != nil {
		v.cfg.Progress(r.Position, max(total, r.Position))
	}
	return ctx.Err()
}

// meet holds the signed heads of a place against it.
func (v *verification) meet(at Head) {
	for len(v.heads) > 0 && v.heads[0].Sequence <= at.Sequence {
		if head := v.heads[0]; head != at {
			v.report.Rewritten++
			v.checks.fault(Position{Sequence: head.Sequence}, nil, fmt.Sprintf("the history was rewritten: a signed head of journal %s has hash %s here, the journal is %s and has %s", head.Journal, head.Hash, at.Journal, at.Hash))
		}
		v.heads = v.heads[1:]
	}
}

// missed counts the signed heads that lie beyond what could be read.
func (v *verification) missed() {
	for _, head := range v.heads {
		v.report.Rewritten++
		v.checks.fault(Position{Sequence: head.Sequence}, nil, fmt.Sprintf("a signed head of journal %s is at this commit, the journal could be read up to %d", head.Journal, v.report.Position))
	}
	v.heads = nil
}

// repeated reports the keys that were used before: what an entry says of itself is read once more.
func (v *verification) repeated(ctx context.Context) error {
	count, places, err := v.checks.keys.repeated(maxFaults)
	if err != nil || count == 0 {
		return err
	}
	r := &v.report
	r.Doubled += count
	others := r.Faults
	r.Faults = nil
	for _, at := range places {
		entry, err := v.entry(ctx, at)
		if err != nil {
			return fmt.Errorf("read commit %d once more: %w", at.Sequence, err)
		}
		v.checks.fault(at, entry, fmt.Sprintf("key %q was used before", entry.Key))
	}
	r.Faults = append(others, r.Faults...)
	slices.SortStableFunc(r.Faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.Entry, b.Entry))
	})
	r.Faults = r.Faults[:min(len(r.Faults), maxFaults)]
	return nil
}

// entry reads one entry of the journal.
func (v *verification) entry(ctx context.Context, at Position) (*credit.Entry, error) {
	for c, err := range v.cfg.Journal.Read(ctx, at.Sequence) {
		if err != nil {
			return nil, err
		}
		entries, err := newOwnDecoder().decode(c.Body)
		if err != nil {
			return nil, err
		}
		if int(at.Offset) >= len(entries) {
			return nil, fmt.Errorf("it has no entry %d any more", at.Offset)
		}
		return &entries[at.Offset], nil
	}
	return nil, errors.New("it is not there any more")
}

// decoded reads, hashes and decodes beside the one who folds.
func (v *verification) decoded(ctx context.Context) iter.Seq2[read, error] {
	return func(yield func(read, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		commits := make(chan read, readAhead)
		var failed error
		var reader sync.WaitGroup
		reader.Go(func() {
			defer close(commits)
			failed = v.decode(ctx, commits)
		})
		defer reader.Wait()
		defer cancel()
		for c := range commits {
			if !yield(c, nil) {
				return
			}
		}
		if failed != nil {
			yield(read{}, failed)
		}
	}
}

// errUnfinished says that the journal could not be read on, which says nothing about the journal: a connection was lost.
var errUnfinished = errors.New("not read to its end")

// read is a commit with what its writer expected to come before it.
type read struct {
	Commit
	fence uint64
}

func (v *verification) decode(ctx context.Context, to chan<- read) error {
	prev, decoder := v.cfg.Journal.Start(), newOwnDecoder()
	for c, err := range v.cfg.Journal.Audit(ctx, 1, v.files.audited) {
		if err != nil && !errors.Is(err, journal.ErrDamaged) {
			return fmt.Errorf("%w: %w", errUnfinished, err)
		}
		if err != nil {
			return err
		}
		if c.Sequence != prev.Sequence+1 {
			return fmt.Errorf("commit %d follows commit %d", c.Sequence, prev.Sequence)
		}
		digest := sha256.New()
		digest.Write(prev.Hash[:])
		digest.Write(c.Body)
		if [sha256.Size]byte(digest.Sum(nil)) != c.Hash {
			return fmt.Errorf("commit %d: its hash is not that of its body and of the commit before it", c.Sequence)
		}
		entries, err := decoder.decode(c.Body)
		if err != nil {
			return fmt.Errorf("commit %d: %w", c.Sequence, err)
		}
		prev = c.Head
		select {
		case to <- read{Commit{Head: c.Head, Entries: entries, Body: c.Body}, c.Fence}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// noteVerified remembers a verification of the generation with that prefix.
func (v *View) noteVerified(prefix []byte, position uint64) error {
	if v.store.only || string(v.live.Load().prefix) != string(prefix) {
		return nil
	}
	return v.note(func(s *Standing) { s.Verified = position })
}

// Verify verifies one journal and all its views, see VerifyConfig.
func (r *Runner) Verify(ctx context.Context, name Name, cfg VerifyConfig) (Report, error) {
	for _, k := range r.kinds {
		k.mu.Lock()
		s := k.shards[name]
		k.mu.Unlock()
		if s == nil {
			return Report{}, fmt.Errorf("view %s: there is no journal %s", k.fold.Name(), name)
		}
		cfg.Journal = s.journal
		cfg.Views = append(cfg.Views, VerifiedView{k.fold, s.view})
	}
	return Verify(ctx, cfg)
}
