package load

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"
)

// matrixSide is the number of accounts and of meters of one matrix.
const matrixSide = 100

// matrix asks for matrixSide accounts what each of matrixSide meters would cost them, in one request: what
// a page of customers and features shows.
func matrix(ctx context.Context, c *client, _ time.Time) (int, error) {
	o := c.door.(*overHTTP) // the only door that takes many checks at once
	o.body = append(o.body[:0], `{"checks":[`...)
	first := c.random.IntN(len(c.target.names))
	pairs := 0
	for i := range min(matrixSide, len(c.target.names)) {
		account := c.target.names[(first+i)%len(c.target.names)]
		for m := range matrixSide {
			if pairs++; pairs > 1 {
				o.body = append(o.body, ',')
			}
			o.body = append(append(o.body, `{"account":"`...), account...)
			o.body = append(strconv.AppendInt(append(o.body, `","meter":"`+meter...), int64(m), 10), `"}`...)
		}
	}
	o.body = append(o.body, "]}"...)
	answer, err := o.ask(ctx, "/checks", "application/json", "")
	if err != nil {
		return 0, err
	}
	if allowed := bytes.Count(answer, []byte(`"allowed":true`)); allowed != pairs {
		return 0, fmt.Errorf("%w: %d of %d are allowed: %.300s", errNotAllowed, allowed, pairs, answer)
	}
	return pairs, nil
}
