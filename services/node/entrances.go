package node

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

// entrances are the connections of the NATS door, which has them to itself: a flood of requests must not delay
// acks or feeds. On the embedded server each tenant's is inside the tenant's own NATS account, and is made when
// the first of its clients logs in: tenants that do not use NATS cost nothing. An external server has one, to
// which its configuration brings the requests of all tenants.
type entrances struct {
	of sync.Map // *nats.Conn by tenant; "" for that of the operator, or of an external server

	mu     sync.Mutex // held while one is opened: those that are there are found without it
	closed bool
}

// openEntrances opens the entrance that is there before anybody logs in, if there is one.
func (n *Node) openEntrances(ctx context.Context) error {
	if n.bus != nil {
		if n.cfg.Dev && n.cfg.NATSListen != "" {
			return n.openEntrance("")
		}
		return nil
	}
	return n.entrances.open("", func() (*nats.Conn, error) {
		conn, err := n.connect(ctx, "creditstream-requests")
		return conn, n.listenOn(conn, "", err)
	})
}

// openEntrance makes sure that the requests of a tenant are answered; "" is the operator's, to all tenants. It
// is called at each login, before the client is let in.
func (n *Node) openEntrance(tenant string) error {
	return n.entrances.open(tenant, func() (*nats.Conn, error) {
		conn, err := n.bus.ConnectRequests(tenant)
		return conn, n.listenOn(conn, tenant, err)
	})
}

// listenOn makes a connection an entrance, or closes it.
func (n *Node) listenOn(conn *nats.Conn, tenant string, err error) error {
	if err != nil {
		return err
	}
	if n.doors.nats == nil {
		conn.Close()
		return errors.New("the server did not start")
	}
	if err := n.doors.nats.Listen(conn, tenant); err != nil {
		conn.Close()
		return err
	}
	return nil
}

// open calls connect unless that entrance is there.
func (e *entrances) open(tenant string, connect func() (*nats.Conn, error)) error {
	if _, there := e.of.Load(tenant); there {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errors.New("the server is stopping")
	}
	if _, there := e.of.Load(tenant); there {
		return nil
	}
	conn, err := connect()
	if err != nil {
		return err
	}
	e.of.Store(tenant, conn)
	return nil
}

func (e *entrances) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.of.Range(func(_, conn any) bool {
		conn.(*nats.Conn).Close()
		return true
	})
}
