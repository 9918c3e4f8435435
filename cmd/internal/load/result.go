package load

// Result is what a run found out. Times are in microseconds.
type Result struct {
	Profile         string  `json:"profile"`
	Door            string  `json:"door"`
	EventsPerSecond float64 `json:"events_per_second"` // charges, or checks, that were answered
	P50             float64 `json:"p50_us"`
	P99             float64 `json:"p99_us"`
	P999            float64 `json:"p999_us"`
	Max             float64 `json:"max_us"`
	Clients         int     `json:"clients"`
	Batch           int     `json:"batch"`
	Connections     int     `json:"connections,omitempty"` // that the clients share, at the NATS door
	Accounts        int     `json:"accounts"`
	Zipf            float64 `json:"zipf,omitempty"`
	FsyncPerCommit  bool    `json:"fsync_per_commit"`
	FsyncP50        float64 `json:"fsync_p50_us"`
	EventsPerCommit float64 `json:"events_per_commit"`
	BytesPerEvent   float64 `json:"bytes_per_event"`  // of the journal's commits that hold charges
	CPU             float64 `json:"cpu_us_per_event"` // of server and clients; steadier than the clock on a shared machine
	RSS             float64 `json:"rss_mb"`           // of the server's process at the end of the load: the clients are in it unless Apart
	PeakRSS         float64 `json:"rss_peak_mb"`      // at most so far, the opening of the accounts included
	Shards          int     `json:"shards"`           // of the tenant
	Lots            int     `json:"lots"`
	WorkingSet      int     `json:"working_set"`
	Opened          float64 `json:"accounts_opened_per_second"`
	Apart           bool    `json:"apart"` // the server had a process of its own

	// In units of the disk's own fsync.
	EventsPerFsync float64 `json:"events_per_fsync"`
	P50Fsyncs      float64 `json:"p50_fsyncs"`

	// Of an open loop: the rate asked for in charges a second, and how many requests started late or never.
	// The latencies count from when a request was due, and include those that never started.
	Rate    int   `json:"rate,omitempty"`
	Late    int64 `json:"late"`
	Dropped int64 `json:"dropped"`

	// Of the requests of profile mixed that charged; the percentiles above are of all.
	SpendP50 float64 `json:"spend_p50_us,omitempty"`
	SpendP99 float64 `json:"spend_p99_us,omitempty"`

	// Of profile intake: from the publication until the charge was read in the journal. The percentiles above
	// are until the ack of the intake, and the rate is of what was acknowledged and recorded.
	RecordedP50 float64 `json:"recorded_p50_us,omitempty"`
	RecordedP99 float64 `json:"recorded_p99_us,omitempty"`

	// The books, after the journal was folded again.
	Acknowledged int64 `json:"acknowledged"`
	InJournal    int64 `json:"in_journal"`
	Lost         int64 `json:"lost"`
	Doubled      int64 `json:"doubled"`
	Overdrawn    int64 `json:"overdrawn"`

	// Rebuilds is how many charges per second each view was rebuilt with (profile rebuild; its
	// events_per_second is the slowest).
	Rebuilds map[string]float64 `json:"rebuilds,omitempty"`

	Seconds     float64    `json:"seconds"`
	Views       []string   `json:"views"` // that were folded beside accounts meanwhile
	Percentiles []Quantile `json:"percentiles"`
	Slices      []Slice    `json:"slices"`

	// Repeated is the spread of runs like this one, which is the one of median rate; nil for a single run.
	Repeated *Repeated `json:"repeated,omitempty"`
	// Greatest is the run in a closed loop that this one has half the rate of (HalfMax).
	Greatest *Result `json:"greatest,omitempty"`
	// P99ToP50 is the ratio of the two at half the greatest rate.
	P99ToP50 float64 `json:"p99_to_p50,omitempty"`
}

// Quantile is a point of the distribution of latencies.
type Quantile struct {
	Percent float64 `json:"percent"`
	Micros  float64 `json:"us"`
}

// Slice is one slice of the measured time.
type Slice struct {
	At              float64 `json:"at_seconds"`
	EventsPerSecond float64 `json:"events_per_second"`
	P50             float64 `json:"p50_us"`
	P99             float64 `json:"p99_us"`
	Fsync           float64 `json:"fsync_p50_us"` // measured right before it
}

// quantiles are those that a result lists.
var quantiles = [...]float64{1, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999, 100}

func (r *run) result() Result {
	m, fsync := r.whole, r.probe.Median()
	at := func(q float64) float64 { return float64(m.latency.ValueAtQuantile(q)) }
	result := Result{
		Profile: r.cfg.Profile, Door: r.cfg.Door, Clients: r.cfg.Clients, Batch: r.cfg.Batch, Accounts: r.cfg.Accounts, Zipf: r.cfg.Zipf,
		Views: r.cfg.Views, Apart: len(r.cfg.Serve) > 0, EventsPerSecond: float64(m.counted) / r.elapsed.Seconds(), Seconds: r.elapsed.Seconds(),
		P50: at(50), P99: at(99), P999: at(99.9), Max: float64(m.latency.Max()), FsyncPerCommit: true, FsyncP50: micros(fsync),
		RSS: r.memory.resident, PeakRSS: r.memory.peak, Lots: r.cfg.Lots, WorkingSet: r.cfg.WorkingSet, Opened: r.opened,
		Rate: r.cfg.Rate, Late: m.late, Dropped: m.dropped, Slices: r.slices,
	}
	if r.cfg.Door == doorNATS {
		result.Connections = r.cfg.Connections
	}
	for _, q := range quantiles {
		result.Percentiles = append(result.Percentiles, Quantile{Percent: q, Micros: at(q)})
	}
	if m.counted > 0 {
		result.CPU = micros(r.cpu) / float64(m.counted)
	}
	if n := m.spends.TotalCount(); n > 0 && n < m.latency.TotalCount() {
		result.SpendP50, result.SpendP99 = float64(m.spends.ValueAtQuantile(50)), float64(m.spends.ValueAtQuantile(99))
	}
	if r.recorded != nil {
		result.RecordedP50, result.RecordedP99 = r.recorded.quantile(50), r.recorded.quantile(99)
	}
	result.EventsPerFsync = result.EventsPerSecond * fsync.Seconds()
	if result.FsyncP50 > 0 {
		result.P50Fsyncs = result.P50 / result.FsyncP50
	}
	return result
}
