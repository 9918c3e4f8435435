package node

import (
	"context"
	"sync"
	"time"

	"creditstream/services/credentials"
)

// recheckEvery bounds how long a client of NATS stays connected whose key expired.
const recheckEvery = 500 * time.Millisecond

// logins is the goroutine that disconnects clients whose key no longer lets them in. NATS asks once, when a
// client connects.
type logins struct {
	changed chan struct{} // a key was
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// openLogins starts the goroutine. A server that runs elsewhere knows its users by itself.
func (n *Node) openLogins() {
	if n.bus == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	n.logins.stop = stop
	n.logins.ended.Go(func() {
		ticker := time.NewTicker(recheckEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-n.logins.changed:
			case <-ctx.Done():
				return
			}
			if gone := n.bus.RecheckLogins(); gone > 0 {
				n.log.Info("clients of NATS were disconnected: their keys ended", "clients", gone)
			}
		}
	})
}

// keysChanged has the logins checked at once.
func (l *logins) keysChanged() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *logins) close() {
	if l.stop != nil {
		l.stop()
		l.ended.Wait()
	}
}

// authenticateNATS lets a tenant's client in whose token, or password, is one of its API keys with the
// scope usage.
func (n *Node) authenticateNATS(_, token string) (tenant string, ok bool) {
	// Until every tenant is there a client would be refused that is to be let in, and clients of NATS give
	// up when they are refused twice. The server itself ends the wait of a client after a few seconds.
	<-n.serving
	store := n.keys.Load()
	if store == nil {
		return "", false
	}
	who, err := store.Authenticate(token, n.clock.Now())
	if err != nil || who.Tenant == "" || !who.Can(credentials.Usage) {
		return "", false
	}
	if err := n.openEntrance(who.Tenant); err != nil {
		n.log.Warn("a client of NATS was not let in", "tenant", who.Tenant, "error", err)
		return "", false
	}
	return who.Tenant, true
}
