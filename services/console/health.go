package console

import (
	"cmp"
	"net/http"
	"runtime"
	"slices"
	"time"

	"creditstream/events/bus"
	"creditstream/services/vitals"
)

// healthPage is the bus, the disk and the process.
type healthPage struct {
	Bus      bus.State
	BusFault string
	Disk     vitals.Disk
	DiskWhy  string
	Streams  []bus.StreamState // the largest
	Others   int
	Memory   runtime.MemStats
	Routines int
	Procs    int
	Now      time.Time
}

// FreePercent is how much of the disk is left.
func (h *healthPage) FreePercent() uint64 {
	if h.Disk.Size == 0 {
		return 0
	}
	return h.Disk.Free / (h.Disk.Size/100 + 1)
}

// maxStreams is how many streams are listed.
const maxStreams = 50

func (v *visit) health() error {
	data := healthPage{Now: time.Now(), Routines: runtime.NumGoroutine(), Procs: runtime.GOMAXPROCS(0)}
	var err error
	if data.Bus, err = v.cfg.Bus(v.ctx); err != nil {
		data.BusFault = err.Error()
	}
	if data.Bus.Fault != "" {
		data.BusFault = data.Bus.Fault
	}
	if data.Disk, err = v.cfg.Disk(); err != nil {
		data.DiskWhy = err.Error()
	}
	runtime.ReadMemStats(&data.Memory)
	data.Streams = slices.Clone(data.Bus.Streams)
	slices.SortFunc(data.Streams, func(a, b bus.StreamState) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	data.Others = max(0, len(data.Streams)-maxStreams)
	data.Streams = data.Streams[:len(data.Streams)-data.Others]
	return v.write(http.StatusOK, "health", "Health", &data)
}
