package load

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

// overNATS asks over loopback TCP. Many clients share a connection, as the goroutines of one feature
// service do.
type overNATS struct {
	conn *nats.Conn
	body []byte
}

// connectNATS returns the connection that a client shares with others, and makes it if it is the first.
func (t *target) connectNATS(client int) (*nats.Conn, error) {
	i := client % t.cfg.Connections
	for len(t.conns) <= i {
		conn, err := nats.Connect(t.nats, nats.Name("bench-"+strconv.Itoa(i)))
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", t.nats, err)
		}
		t.conns = append(t.conns, conn)
	}
	return t.conns[i], nil
}

func (o *overNATS) ask(ctx context.Context, operation string) ([]byte, error) {
	reply, err := o.conn.RequestWithContext(ctx, "credits."+tenantName+"."+operation, o.body)
	if err != nil {
		return nil, fmt.Errorf("ask over NATS: %w", err)
	}
	return reply.Data, nil
}

func (o *overNATS) Charge(ctx context.Context, batch []Charge) error {
	o.body = appendCharges(o.body[:0], batch)
	reply, err := o.ask(ctx, "usage")
	if err != nil {
		return err
	}
	return readCharges(reply, len(batch))
}

func (o *overNATS) check(ctx context.Context, account string) error {
	o.body = appendCheck(o.body[:0], account)
	reply, err := o.ask(ctx, "check")
	if err != nil {
		return err
	}
	return readCheck(reply)
}

// close leaves the connection to the others; the target closes it.
func (o *overNATS) Close() {}
