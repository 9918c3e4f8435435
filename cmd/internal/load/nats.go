package load

import (
	"context"
	"strconv"
)

// overNATS asks over loopback TCP.
type overNATS struct {
	asking *asking
	body   []byte
}

// openNATS gives a client its place on a line, which it makes if the client is the first there.
func (t *target) openNATS(client int) (*overNATS, error) {
	i := client % t.cfg.Connections
	for len(t.lines) <= i {
		l, err := newLine(t.nats, "bench-"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		t.lines = append(t.lines, l)
	}
	return &overNATS{asking: t.lines[i].place()}, nil
}

func (o *overNATS) ask(ctx context.Context, operation string) ([]byte, error) {
	return o.asking.ask(ctx, "credits."+tenantName+"."+operation, o.body)
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

// Close leaves the line to the others; the target closes it.
func (o *overNATS) Close() {}
