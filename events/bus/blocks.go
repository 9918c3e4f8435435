package bus

import (
	"context"
	"path/filepath"
	"time"

	"creditstream/events/bus/index"
)

// Blocks returns what makes readers of a stream that takes just this subject. Each is for one goroutine, and reads the
// messages from one sequence to another from the server's files and not from the server, which would keep what it reads in
// memory (index.Reader says which streams, and how far; what it cannot read is to be asked of the server). yield returns
// false when it wants no more; header and body are its to keep.
func (s *Server) Blocks(stream, subject string) func() func(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error {
	dir := s.streamDir(stream)
	return func() func(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error {
		reader := index.NewReader(dir, subject)
		return func(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error {
			return reader.Read(ctx, from, to, func(m index.Message) bool { return yield(m.Sequence, m.Stored, m.Header, m.Body) })
		}
	}
}

// streamDir is where the server keeps a stream of the internal account.
func (s *Server) streamDir(stream string) string {
	return filepath.Join(s.storeDir, "jetstream", InternalAccount, "streams", stream)
}
