package bus

import (
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
)

// Frozen asks the server whether a stream takes nothing any more because its disk failed, or JetStream ended, and notes
// it as the Fault. The log says the same at once, in words that a new version of the server may change; this reads
// the names of all streams, and is for every few seconds.
//
// An unhealthy stream that the server knows is one with a write error: the others are those that it could not recover.
func (s *Server) Frozen() error {
	running := s.running.Load()
	if running == nil {
		return nil // it is being restarted
	}
	if !running.JetStreamEnabled() {
		if s.running.Load() != running || !running.Running() {
			return nil
		}
		return s.freeze("JetStream ended itself")
	}
	detail, err := running.JszAccount(&server.JSzOptions{Account: InternalAccount, Streams: true})
	if err != nil {
		return nil // it is ending; Healthy says so
	}
	known := make(map[string]bool, len(detail.Streams))
	for i := range detail.Streams {
		known[detail.Streams[i].Name] = true
	}
	for _, e := range running.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if e.Type == server.HealthzErrorStream && e.Account == InternalAccount && known[e.Stream] {
			return s.freeze(e.Error)
		}
	}
	return nil
}

func (s *Server) freeze(why string) error {
	fault := fmt.Errorf("%w: %s", ErrDisk, why)
	s.fault.CompareAndSwap(nil, &fault)
	return fault
}
