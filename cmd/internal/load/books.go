package load

import (
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
)

// check folds the journal again and compares it with what the clients were told.
func (t *target) check(ctx context.Context, told *marks, result *Result) error {
	var found marks
	told.each(func(int, uint64) { result.Acknowledged++ })
	folded := make(map[string]*credit.Account, len(t.names))
	for _, name := range t.names {
		folded[name] = credit.NewAccount(name)
	}
	decoder := new(credit.Decoder)
	commits, size := 0, 0 // of those that hold charges
	result.Shards = len(t.tenant.Shards())
	for shard := range result.Shards {
		for commit, err := range t.node.Journal(tenantName, shard).Read(ctx, 1) {
			if err != nil {
				return fmt.Errorf("read the journal: %w", err)
			}
			entries, err := decoder.Decode(commit.Body)
			if err != nil {
				return fmt.Errorf("commit %d: %w", commit.Sequence, err)
			}
			before := result.InJournal
			for i := range entries {
				t.fold(folded, &entries[i], &found, result)
			}
			if result.InJournal > before {
				commits++
				size += len(commit.Body)
			}
		}
	}
	result.EventsPerCommit = float64(result.InJournal) / float64(max(commits, 1))
	result.BytesPerEvent = float64(size) / float64(max(result.InJournal, 1))
	told.each(func(client int, count uint64) {
		if !found.has(client, count) {
			result.Lost++
		}
	})
	for id, account := range folded {
		for _, p := range account.Pools() {
			if !p.Terms.Close() {
				result.Overdrawn++
			}
		}
		live, _, _, err := t.tenant.Account(id)
		if err != nil {
			return err
		}
		if live.Pool("credits").Terms != account.Pool("credits").Terms {
			return fmt.Errorf("the view says %+v of account %s and the journal %+v", live.Pool("credits").Terms, id, account.Pool("credits").Terms)
		}
	}
	return nil
}

func (t *target) fold(folded map[string]*credit.Account, e *credit.Entry, found *marks, result *Result) {
	account := folded[e.Account] // nil outside of the working set, where nothing is charged
	for i := range e.Facts {
		if account != nil {
			account.Evolve(e.Facts[i].Event, e.Facts[i].At)
		}
		if _, ok := e.Facts[i].Event.(*credit.UsageRecorded); !ok {
			continue
		}
		result.InJournal++
		if client, count, ok := ReadKey(e.Key); !ok || !found.add(client, count) {
			result.Doubled++
		}
	}
}

// rebuildViews rebuilds every view from the journal that was just written and says how fast.
func (t *target) rebuildViews(ctx context.Context, result *Result) error {
	statuses, err := t.node.Runner().Status()
	if err != nil {
		return err
	}
	result.Rebuilds = make(map[string]float64)
	if t.cfg.Profiled != nil {
		if err := pprof.StartCPUProfile(t.cfg.Profiled); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	for _, status := range statuses {
		if _, done := result.Rebuilds[status.View]; done {
			continue // a status is of one shard
		}
		t.cfg.Progress("rebuilding " + status.View)
		took, err := t.rebuildView(ctx, status.View)
		if err != nil {
			return err
		}
		result.Rebuilds[status.View] = float64(result.InJournal) / took.Seconds()
	}
	speeds := make([]float64, 0, len(result.Rebuilds))
	for _, speed := range result.Rebuilds {
		speeds = append(speeds, speed)
	}
	result.EventsPerSecond = slices.Min(speeds)
	return nil
}

// rebuildView rebuilds a view of one shard after the other.
func (t *target) rebuildView(ctx context.Context, view string) (took time.Duration, err error) {
	for i, shard := range t.tenant.Shards() {
		name := journal.Name{Tenant: tenantName, Shard: i}
		if err := t.node.Runner().WaitFor(ctx, view, name, shard.Head()); err != nil {
			return 0, err
		}
		start := time.Now()
		rebuilt, err := t.node.Rebuild(ctx, view, name)
		if err != nil {
			return 0, err
		}
		if rebuilt.Different > 0 || !rebuilt.Switched {
			return 0, fmt.Errorf("the rebuilt view %s of shard %d differs in %d records", view, i, rebuilt.Different)
		}
		took += time.Since(start)
	}
	return took, nil
}
