package bus

import (
	"context"
	"fmt"

	"creditstream/events/bus/index"
)

// worthCarrying is how many bytes a stream has at least whose index is carried: the server reads a mebibyte twice in the
// time of the few syncs that this takes, and a server with a thousand tenants has many that are shorter.
const worthCarrying = 1 << 20

// carryIndexes spares the server that is about to start the reading of whole journals after an end that was not
// orderly. It is called under the lock of the store directory, and after what was written lately was written again.
func (s *Server) carryIndexes(ctx context.Context) error {
	streams, err := index.Carry(ctx, s.storeDir, worthCarrying)
	if err != nil {
		return fmt.Errorf("carry the indexes of the streams: %w", err)
	}
	var carried, short, left int
	var records, bytes uint64
	for _, stream := range streams {
		records, bytes = records+stream.Records, bytes+stream.Bytes
		if stream.Carried {
			carried++
		}
		if stream.Short {
			short++
		}
		if stream.Left != "" {
			left++
			s.log.Warn("the server reads the whole of a stream: its index could not be carried on", "stream", stream.Name, "reason", stream.Left)
		}
	}
	if len(streams) > 0 {
		s.log.Info("the indexes of the streams that only grow", "streams", len(streams), "right", len(streams)-carried-short-left,
			"carried", carried, "short", short, "left", left, "records_read", records, "bytes_read", bytes)
	}
	return nil
}
