package accounts

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// ids makes UUIDs of version 7 (RFC 9562 §5.7): milliseconds, then a counter, then what is this
// process's own.
type ids struct {
	counter uint64 // 42 bits are used
	process uint32
}

func newIDs() ids { return ids{counter: rand.Uint64() >> 24, process: rand.Uint32()} }

func (g *ids) next(now time.Time) (id uuid.UUID) {
	g.counter++
	c := g.counter
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16|0x7000|(c>>30)&0xfff)
	binary.BigEndian.PutUint32(id[8:12], 0x80000000|uint32(c)&0x3fffffff)
	binary.BigEndian.PutUint32(id[12:], g.process)
	return id
}
