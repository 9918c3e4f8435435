package bus

import (
	"context"
	"path/filepath"
	"time"

	"creditstream/events/bus/index"
)

// Blocks returns what reads the messages of a stream that takes just this subject, from one sequence to another, from the server's files and not
// from the server, which would keep what it reads in memory (index.Read says which streams, and how far; what it
// cannot read is to be asked of the server). yield returns false when it wants no more; header and body are its to keep.
func (s *Server) Blocks(stream, subject string) func(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error {
	dir := s.streamDir(stream)
	return func(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error {
		return index.Read(ctx, dir, subject, from, to, func(m index.Message) bool { return yield(m.Sequence, m.Stored, m.Header, m.Body) })
	}
}

// streamDir is where the server keeps a stream of the internal account.
func (s *Server) streamDir(stream string) string {
	return filepath.Join(s.storeDir, "jetstream", InternalAccount, "streams", stream)
}
