package projections

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Writer is who writes a view instead of the runner: the loop that decides on it.
type Writer interface {
	// Between runs f between two commits, while nothing is under way, and drops what it keeps in memory of
	// the view.
	Between(ctx context.Context, f func() error) error
}

// Kind is one kind of view that a runner runs.
type Kind struct {
	Fold  Fold
	Store *Store
	// Written says that somebody else writes the views of this kind: the runner only knows their standing
	// and rebuilds them.
	Written bool
}

// RunnerConfig says what a runner runs.
type RunnerConfig struct {
	Kinds []Kind
	// Linger is how long commits gather before they are written, while nobody waits for them; 0 means 10 ms,
	// less than 0 not at all.
	Linger time.Duration
	// Trap, when set, is called at the points named Trapped below: tests end the process there.
	Trap func(point string)
	// Logger gets views that are thrown away, damaged or have to wait; nil discards it.
	Logger *slog.Logger
}

// The points of Trap.
const (
	TrappedRebuilding = "rebuilding" // new records are partly there
	TrappedSwitching  = "switching"  // the new records are complete, and the next step makes them live
	TrappedSwitched   = "switched"   // they are live, and the writer still waits
)

// Runner keeps the views of all journals up to date: one goroutine for each kind of view, whatever the
// number of tenants.
type Runner struct {
	kinds map[string]*kind
	log   *slog.Logger
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// NewRunner starts a runner without journals. Close it before its stores.
func NewRunner(cfg RunnerConfig) *Runner {
	if cfg.Linger == 0 {
		cfg.Linger = 10 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Runner{kinds: make(map[string]*kind), log: cfg.Logger, stop: stop}
	for _, c := range cfg.Kinds {
		k := &kind{
			fold: c.Fold, store: c.Store, log: cfg.Logger, trap: cfg.Trap, written: c.Written, linger: max(0, cfg.Linger), retry: retryAfter,
			shards: make(map[Name]*shard), wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), ended: make(chan struct{}),
		}
		r.kinds[c.Fold.Name()] = k
		if !c.Written {
			r.ended.Go(func() { k.run(ctx) })
		}
	}
	return r
}

// Close ends the goroutines, after the batch that each is at. What was fed and not written is read from the
// journal at the next start.
func (r *Runner) Close() {
	r.stop()
	r.ended.Wait()
}

// Add lets the runner keep the views of a journal. Each is checked against the journal, and thrown away or
// brought up to date, in the background: WaitFor says when. writer is who writes the views of the kinds
// that are Written, and may be nil.
func (r *Runner) Add(j Journal, writer Writer) error {
	for _, k := range r.kinds {
		view, err := k.store.View(j.Name(), k.fold.Version())
		if err != nil {
			return err
		}
		s := &shard{journal: j, view: view, writer: writer, behind: true, fresh: true, err: view.Err()}
		k.mu.Lock()
		_, known := k.shards[j.Name()]
		if !known {
			k.shards[j.Name()] = s
		}
		k.mu.Unlock()
		if known {
			return fmt.Errorf("the views of %s are run already", j.Name())
		}
		k.nudge()
	}
	return nil
}

// Check asks what the views of a journal know about it, before anything is appended to it or answered from it:
// journal.ErrDamaged when one knows of a commit that is not in it. A journal that lost its end, or was replaced
// by an older one, has no other witness once its anchor went the same way.
func (r *Runner) Check(ctx context.Context, j Journal) error {
	for _, k := range r.kinds {
		head, err := k.knows(j.Name())
		if err != nil || head.Journal != j.Start().Journal {
			continue // a view that is unreadable, or of another journal, is built anew
		}
		view, err := k.store.View(j.Name(), k.fold.Version())
		if err != nil {
			return err
		}
		if err := witness(ctx, view, head, j); err != nil {
			return err
		}
	}
	return nil
}

// Knows is the last commit that any view knows of a journal, whichever journal of that name it was; the zero
// Head when none knows any.
func (r *Runner) Knows(name Name) Head {
	var last Head
	for _, k := range r.kinds {
		if head, err := k.knows(name); err == nil && head.Sequence > last.Sequence {
			last = head
		}
	}
	return last
}

func (k *kind) knows(name Name) (Head, error) {
	standing, err := k.store.standing(name)
	if err != nil || standing.Generation == 0 {
		return Head{}, err
	}
	return checkpointOf(k.store.db, appendPrefix(nil, standing.Generation, name))
}

// Feed hands an acknowledged commit to all views of its journal. It never blocks: a view that cannot keep up
// reads the journal instead. Nothing of c may be changed afterwards.
func (r *Runner) Feed(name Name, c Commit) {
	for _, k := range r.kinds {
		if !k.written {
			k.feed(name, c)
		}
	}
}

// WaitFor returns when a view has the commit with that sequence, or why it will not. For a view that
// somebody else writes it returns at once.
func (r *Runner) WaitFor(ctx context.Context, view string, name Name, sequence uint64) error {
	k, err := r.kind(view)
	if err != nil {
		return err
	}
	return k.waitFor(ctx, name, sequence)
}

func (r *Runner) kind(view string) (*kind, error) {
	if k := r.kinds[view]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("there is no view %q; there are %s", view, strings.Join(r.Kinds(), ", "))
}

// Kinds are the names of the kinds of views that are run.
func (r *Runner) Kinds() []string { return slices.Sorted(maps.Keys(r.kinds)) }

// Progress of a rebuild, in commits.
type Progress struct {
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// Status is how one view stands.
type Status struct {
	View     string `json:"view"`
	Tenant   string `json:"tenant"`
	Shard    int    `json:"shard"`
	Position uint64 `json:"position"` // the commit that it is at
	Journal  uint64 `json:"journal"`  // the last commit of the journal
	Lag      uint64 `json:"lag"`      // commits in between
	Bytes    uint64 `json:"bytes"`    // about, on disk
	Standing
	// Problem says why the view is not served; empty when it is.
	Problem string `json:"problem,omitempty"`
	// Unreadable says why some of its records cannot be read, as far as anybody asked for them; the others are served.
	Unreadable string `json:"unreadable,omitempty"`
	// Advice is what to do about a problem or unreadable records.
	Advice string `json:"advice,omitempty"`
	// Rebuild is how far a rebuild is, when one runs.
	Rebuild *Progress `json:"rebuild,omitempty"`
}

// Status lists all views by kind, tenant and shard.
func (r *Runner) Status() ([]Status, error) {
	var all []Status
	for _, k := range r.kinds {
		k.mu.Lock()
		shards := slices.Collect(maps.Values(k.shards))
		k.mu.Unlock()
		for _, s := range shards {
			status, err := k.status(s)
			if err != nil {
				return nil, err
			}
			all = append(all, status)
		}
	}
	slices.SortFunc(all, func(a, b Status) int {
		if c := strings.Compare(a.View, b.View); c != 0 {
			return c
		}
		if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
			return c
		}
		return a.Shard - b.Shard
	})
	return all, nil
}

// Unreadable is what was found damaged in the files of the stores since they were opened, by kind of view. Whose records
// are concerned is said by Status, once somebody asked for them. The next start makes such a store anew.
func (r *Runner) Unreadable() map[string]string {
	found := make(map[string]string)
	for name, k := range r.kinds {
		if why := k.store.Unreadable(); why != "" {
			found[name] = why
		}
	}
	return found
}

// Lag is by how many commits the view that is furthest behind is behind its journal. It asks no store.
func (r *Runner) Lag() (lag uint64) {
	for _, k := range r.kinds {
		if k.written {
			continue // by the loop, with each commit
		}
		k.mu.Lock()
		for _, s := range k.shards {
			if head := s.journal.Head().Sequence; head > s.position {
				lag = max(lag, head-s.position)
			}
		}
		k.mu.Unlock()
	}
	return lag
}

func (k *kind) status(s *shard) (Status, error) {
	head, err := s.view.Checkpoint()
	if err != nil && !isDamage(err) {
		return Status{}, err
	}
	size, err := s.view.Size()
	if err != nil && !isDamage(err) {
		return Status{}, fmt.Errorf("size of view %s of %s: %w", k.fold.Name(), s.view.name, err)
	}
	status := Status{
		View: k.fold.Name(), Tenant: s.view.name.Tenant, Shard: s.view.name.Shard, Position: head.Sequence,
		Journal: s.journal.Head().Sequence, Bytes: size, Standing: s.view.Standing(),
		Unreadable: s.view.Unreadable(),
	}
	if status.Journal > status.Position {
		status.Lag = status.Journal - status.Position
	}
	var lost error
	if !k.written {
		lost = s.view.shelf.lost()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := cmp.Or(s.err, lost); err != nil {
		status.Problem = err.Error()
	}
	if status.Problem+status.Unreadable != "" {
		status.Advice = Remedy(status.View, s.view.name)
	}
	if s.rebuild != nil {
		progress := *s.rebuild
		status.Rebuild = &progress
	}
	return status, nil
}
