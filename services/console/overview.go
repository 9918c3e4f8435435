package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"creditstream/projections"
	"creditstream/services/vitals"
)

const overviewTitle = "Overview"

// overview is how the server does at a glance: the charts are filled from samples.
type overview struct {
	Now     vitals.Sample
	Tenants int
	Barred  []barred
	Stopped []string // shards that do not write, and why
	Views   []projections.Status
	Every   time.Duration
}

type barred struct {
	Tenant, Why, Advice string
	Since               time.Time
}

func (v *visit) overview() error {
	data := overview{Tenants: len(v.cfg.Accounts.Tenants()), Barred: v.barred(), Every: v.cfg.Vitals.Every()}
	if samples := v.cfg.Vitals.Since(time.Time{}); len(samples) > 0 {
		data.Now = samples[len(samples)-1]
	}
	for _, t := range v.cfg.Accounts.Tenants() {
		for number, shard := range t.Shards() {
			if err := shard.Failed(); err != nil {
				data.Stopped = append(data.Stopped, fmt.Sprintf("%s/%d: %v", t.Name(), number, err))
			}
		}
	}
	all, err := v.cfg.Views.Status()
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Problem+all[i].Unreadable != "" {
			data.Views = append(data.Views, all[i])
		}
	}
	return v.write(http.StatusOK, "overview", overviewTitle, data)
}

// columns are samples as the chart library wants them: one list for each series. Times are seconds since
// 1970, latencies microseconds.
type columns struct {
	Last    string    `json:"last"` // to be sent back as ?after=
	At      []int64   `json:"at"`
	Events  []uint64  `json:"events"`
	Commits []uint64  `json:"commits"`
	P50     []*uint64 `json:"p50"` // null where nothing was timed
	P99     []*uint64 `json:"p99"`
	Queue   []int     `json:"queue"`
	Lag     []uint64  `json:"lag"`
}

// samples answers with what was sampled after an instant.
func (v *visit) samples() error {
	var after time.Time
	if text := v.r.URL.Query().Get("after"); text != "" {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			after = time.Unix(0, n)
		}
	}
	list := v.cfg.Vitals.Since(after)
	out := columns{Last: strconv.FormatInt(after.UnixNano(), 10)}
	for _, s := range list {
		out.At = append(out.At, s.At.Unix())
		out.Events, out.Commits = append(out.Events, s.Events), append(out.Commits, s.Commits)
		out.P50, out.P99 = append(out.P50, microseconds(s.P50)), append(out.P99, microseconds(s.P99))
		out.Queue, out.Lag = append(out.Queue, s.Queue), append(out.Lag, s.Lag)
		out.Last = strconv.FormatInt(s.At.UnixNano(), 10)
	}
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(out)
}

func microseconds(d time.Duration) *uint64 {
	if d == 0 {
		return nil
	}
	us := uint64(d / time.Microsecond)
	return &us
}
