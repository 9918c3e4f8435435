package bus

import (
	"context"
	"fmt"

	"creditstream/events/bus/index"
)

// carryIndexes spares the server that is about to start the reading of whole journals after an end that was not
// orderly. It is called under the lock of the store directory, and after what was written lately was written again.
func (s *Server) carryIndexes(ctx context.Context) error {
	streams, err := index.Carry(ctx, s.storeDir)
	if err != nil {
		return fmt.Errorf("carry the indexes of the streams: %w", err)
	}
	var carried, left int
	var records, bytes uint64
	for _, stream := range streams {
		records, bytes = records+stream.Records, bytes+stream.Bytes
		if stream.Carried {
			carried++
		}
		if stream.Left != "" {
			left++
			s.log.Warn("the server reads the whole of a stream: its index could not be carried on", "stream", stream.Name, "reason", stream.Left)
		}
	}
	if len(streams) > 0 {
		s.log.Info("the indexes of the streams that only grow", "streams", len(streams), "right", len(streams)-carried-left,
			"carried", carried, "left", left, "records_read", records, "bytes_read", bytes)
	}
	return nil
}
