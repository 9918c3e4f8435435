// Package machine fits the Go runtime to a process that is, or holds, a server: how much memory it may take
// and how many threads. It imports nothing of ours; Use is all there is to it.
package machine

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// The files that say how much memory there is: for a container, as it sees its own control group (version 2),
// and of the machine.
const (
	groupMemory   = "/sys/fs/cgroup/memory.max"
	machineMemory = "/proc/meminfo"
)

// Use sets what the environment, which env looks up, does not set. What it sets stays set; what has to be looked
// after is, until ctx ends.
func Use(ctx context.Context, env func(string) string) {
	limitMemory(env)
	addThreads(env)
	if env("GOGC") == "" {
		go func() {
			ticker := time.NewTicker(lookAtHeap)
			defer ticker.Stop()
			gatherGarbage(ctx, ticker.C)
		}()
	}
}

// leastHeap is how large the heap may always become before garbage is collected. Of a larger one, half as much garbage
// gathers, or half of what is live.
const leastHeap = 256 << 20

// gatherGarbage lets garbage gather until the heap is leastHeap large. As far as Go's own rule goes, that the heap may
// double, a server with little in memory collects four times a second under load, which took a tenth of
// the processors; one with much in memory collects as often as ever.
//
// It looks again and again, because what a collection found live counts from there on. (A finalizer would tell of
// each collection, but late: when what was collected is swept, which a busy process puts off.)
func gatherGarbage(ctx context.Context, look <-chan time.Time) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for set := 100; ; {
		metrics.Read(sample)
		// Setting it stops the world for a moment, so not for a trifle.
		if percent := growth(sample[0].Value.Uint64()); percent > set+set/8 || percent < set-set/8 {
			debug.SetGCPercent(percent)
			set = percent
		}
		select {
		case <-look:
		case <-ctx.Done():
			return
		}
	}
}

// lookAtHeap is how long what is live may have grown unseen, and mostGrowth by how many percent the heap may
// grow then: together they bound what a sudden growth takes too much. leastGrowth is for heaps of which a collection
// takes long.
const (
	lookAtHeap  = 100 * time.Millisecond
	mostGrowth  = 400
	leastGrowth = 50
)

// growth is by how many percent the heap may grow until the next collection, with so many bytes live.
func growth(live uint64) int {
	garbage := uint64(leastHeap / 2)
	if live < leastHeap/2 {
		garbage = leastHeap - live
	}
	return int(min(max(garbage*100/max(live, 1), leastGrowth), mostGrowth))
}

// besidesCores is how many threads more than there are processors may run Go code.
const besidesCores = 2

// addThreads lets more threads run than there are processors. A commit takes half a dozen steps, each by a goroutine
// that the one before it wakes, and an fsync, during which the runtime takes a while to notice that the thread only
// waits. With a thread for each processor every step waits until those that decide, fold and merge have
// had their turn; with two more the kernel shares the processors out, and prefers who slept. Single charges by 256
// clients gained an eighth by it on two processors (docs/PERFORMANCE.md). GOMAXPROCS in the environment stands, and so
// does what Go makes of a container's quota: threads beyond that would use it up, and all be stopped together.
func addThreads(env func(string) string) {
	if env("GOMAXPROCS") == "" {
		runtime.SetDefaultGOMAXPROCS()
		if n := runtime.NumCPU(); runtime.GOMAXPROCS(0) == n {
			runtime.GOMAXPROCS(n + besidesCores)
		}
	}
}

// limitMemory has garbage collected more often before memory runs out, rather than be killed for it: near
// three quarters of what there is. The rest is for what Go does not count, the blocks that views keep. A
// limit in the environment (GOMEMLIMIT) stands. Far from the limit it changes nothing.
func limitMemory(env func(string) string) {
	if env("GOMEMLIMIT") != "" {
		return
	}
	if there := memoryThere(groupMemory, machineMemory); there > 0 {
		debug.SetMemoryLimit(there / 4 * 3)
	}
}

// memoryThere is the smaller of what two files say, in bytes; 0 when neither says anything.
func memoryThere(group, machine string) int64 {
	there := int64(0)
	if text, err := os.ReadFile(machine); err == nil {
		if _, rest, ok := strings.Cut(string(text), "MemTotal:"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				kb, err := strconv.ParseInt(fields[0], 10, 64)
				if err == nil {
					there = kb << 10
				}
			}
		}
	}
	text, err := os.ReadFile(group)
	if err != nil {
		return there
	}
	// "max" stands for no limit.
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err == nil && limit > 0 && (there == 0 || limit < there) {
		return limit
	}
	return there
}
