package vitals

import "github.com/prometheus/client_golang/prometheus"

var (
	commitsDesc = prometheus.NewDesc("creditstream_commits_total", "Commits acknowledged since the start.", nil, nil)
	eventsDesc  = prometheus.NewDesc("creditstream_events_total", "Events acknowledged since the start.", nil, nil)
	queueDesc   = prometheus.NewDesc("creditstream_waiting_requests", "Requests that wait for a decision or its commit.", nil, nil)
	lagDesc     = prometheus.NewDesc("creditstream_view_lag_commits", "Commits by which the view furthest behind is behind.", nil, nil)
	latencyDesc = prometheus.NewDesc("creditstream_decision_seconds", "Time from a command to its answer; of busy servers one in sixteen.", nil, nil)
)

// Collector shows a reading to Prometheus, without a tenant's name: who reads metrics is not told who the
// tenants are.
type Collector struct{ Read func() Reading }

// Describe implements prometheus.Collector.
func (c Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{commitsDesc, eventsDesc, queueDesc, lagDesc, latencyDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c Collector) Collect(out chan<- prometheus.Metric) {
	r := c.Read()
	out <- prometheus.MustNewConstMetric(commitsDesc, prometheus.CounterValue, float64(r.Commits))
	out <- prometheus.MustNewConstMetric(eventsDesc, prometheus.CounterValue, float64(r.Events))
	out <- prometheus.MustNewConstMetric(queueDesc, prometheus.GaugeValue, float64(r.Queue))
	out <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(r.Lag))
	buckets, below, sum := make(map[float64]uint64), uint64(0), float64(0)
	for class, count := range r.Latency {
		below += count
		sum += float64(count) * Upper(class).Seconds()
		if class%perPower == perPower-1 {
			buckets[Upper(class).Seconds()] = below
		}
	}
	out <- prometheus.MustNewConstHistogram(latencyDesc, below, sum, buckets)
}
