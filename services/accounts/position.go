package accounts

import (
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in what a tenant has seen: a commit of one shard, and an entry within it, from 0. It is
// opaque to clients, who only hand it back (min_position, from_position).
type Position struct {
	Shard    int
	Sequence uint64
	Offset   uint32
}

// String is "<sequence>.<offset>", followed by ".<shard>" for every shard but the first.
func (p Position) String() string {
	var buf [40]byte
	return string(p.Append(buf[:0]))
}

// Append appends what String returns.
func (p Position) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, p.Sequence, 10)
	dst = strconv.AppendUint(append(dst, '.'), uint64(p.Offset), 10)
	if p.Shard > 0 {
		dst = strconv.AppendInt(append(dst, '.'), int64(p.Shard), 10)
	}
	return dst
}

// ParsePosition reads what String wrote.
func ParsePosition(s string) (Position, error) {
	parts := strings.Split(s, ".")
	bad := fmt.Errorf("%.40q is not a position that this server gave out", s)
	if len(parts) < 2 || len(parts) > 3 {
		return Position{}, bad
	}
	var p Position
	var err error
	if p.Sequence, err = strconv.ParseUint(parts[0], 10, 63); err != nil {
		return Position{}, bad
	}
	offset, err := strconv.ParseUint(parts[1], 10, 32)
	if err != nil {
		return Position{}, bad
	}
	p.Offset = uint32(offset)
	if len(parts) == 3 {
		if p.Shard, err = strconv.Atoi(parts[2]); err != nil || p.Shard < 0 || p.Shard > 1<<16 {
			return Position{}, bad
		}
	}
	return p, nil
}
