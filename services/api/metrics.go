package api

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts requests by operation and status, and nothing finer: no tenant, no account, no key.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "creditstream_http_requests_total", Help: "Requests answered, by operation and status.",
		}, []string{"operation", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "creditstream_http_request_seconds", Help: "Time from a request to its answer, by operation.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 10},
		}, []string{"operation"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Metrics is where other parts of the server register what GET /metrics shows.
func (a *API) Metrics() prometheus.Registerer { return a.metrics.registry }

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// operationMetrics are the counters of one operation, looked up once for each status.
type operationMetrics struct {
	all       *metrics
	operation string
	seconds   prometheus.Observer
	mu        sync.RWMutex
	byStatus  map[int]prometheus.Counter
}

func (m *metrics) of(operation string) *operationMetrics {
	return &operationMetrics{all: m, operation: operation, seconds: m.seconds.WithLabelValues(operation), byStatus: make(map[int]prometheus.Counter)}
}

func (o *operationMetrics) observe(status int, took time.Duration) {
	o.mu.RLock()
	counter := o.byStatus[status]
	o.mu.RUnlock()
	if counter == nil {
		counter = o.all.requests.WithLabelValues(o.operation, strconv.Itoa(status))
		o.mu.Lock()
		o.byStatus[status] = counter
		o.mu.Unlock()
	}
	counter.Inc()
	o.seconds.Observe(took.Seconds())
}
