package api

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"creditstream/services/accounts"
)

func healthRoutes() []route {
	return []route{
		{
			id: "healthz", method: http.MethodGet, path: "/healthz", scope: open, summary: "The process answers", answer: Health{},
			handle: func(*call) (reply, error) { return ok(Health{Status: "ok"}) },
		},
		{
			id: "readyz", method: http.MethodGet, path: "/readyz", scope: open, summary: "The server takes requests",
			detail: "Unavailable while a shard does not write or a view is not served. A tenant that is barred does not make the server unavailable: " +
				"`GET /v1/admin/troubles` says why it is, and what to do.", answer: Health{}, handle: ready,
		},
		{
			id: "metrics", method: http.MethodGet, path: "/metrics", scope: open, stream: true, summary: "Metrics, for Prometheus", answerMedia: "text/plain",
			handle: func(c *call) (reply, error) {
				c.metrics.handler().ServeHTTP(c.w, c.r)
				return reply{status: http.StatusOK, written: true}, nil
			},
		},
	}
}

// Health is a sign of life.
type Health struct {
	Status string `json:"status" enum:"ok,ready"`
	// Barred is a number only: whoever asks here needs no key.
	Barred int     `json:"barred,omitempty" doc:"Tenants that are not served because their balances cannot be trusted."`
	Patrol *Patrol `json:"patrol,omitempty" doc:"The continuous check of the books, when it is on."`
}

func ready(c *call) (reply, error) {
	select {
	case <-Stopping(c.ctx):
		return reply{}, fmt.Errorf("%w: the server is stopping", accounts.ErrUnavailable)
	default:
	}
	if err := c.cfg.Accounts.Gate().Err(); err != nil {
		return reply{}, err
	}
	for _, t := range c.cfg.Accounts.Tenants() {
		for _, shard := range t.Shards() {
			if err := shard.Failed(); err != nil {
				return reply{}, err
			}
		}
	}
	status, err := c.cfg.Views.Status()
	if err != nil {
		return reply{}, err
	}
	for i := range status {
		if status[i].Problem != "" {
			return reply{}, fmt.Errorf("%w: view %s of %s: %s", accounts.ErrUnavailable, status[i].View, status[i].Tenant, status[i].Problem)
		}
	}
	return ok(Health{Status: "ready", Barred: len(c.cfg.Accounts.Barred()), Patrol: c.patrol()})
}

type stoppingKey struct{}

// Stopping is closed when the server has been asked to stop: what would go on for ever ends then.
func Stopping(ctx context.Context) <-chan struct{} {
	ch, _ := ctx.Value(stoppingKey{}).(chan struct{})
	return ch
}

// tellStopping lets the server's requests know when it stops.
func tellStopping(server *http.Server) {
	ch := make(chan struct{})
	server.BaseContext = func(net.Listener) context.Context {
		return context.WithValue(context.Background(), stoppingKey{}, ch)
	}
	server.RegisterOnShutdown(func() { close(ch) })
}
