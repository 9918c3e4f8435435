package bus

import (
	"context"
	"path/filepath"
	"time"

	"creditstream/events/bus/index"
)

// Blocks returns a new reader of a stream that takes just this subject.
func (s *Server) Blocks(stream, subject string) *BlockReader {
	return &BlockReader{index.NewReader(s.streamDir(stream), subject)}
}

// BlockReader reads a stream from the server's files and not from the server, which would keep what it reads in memory. It
// is for one goroutine.
type BlockReader struct{ reader *index.Reader }

// Into lets each message be read into what memory returns for so many bytes.
func (b *BlockReader) Into(memory func(size int) []byte) { b.reader.Memory = memory }

// Read yields the messages from one sequence to another, until yield returns false; header and body are yield's to keep,
// unless there is memory for them.
// index.Reader says which streams it reads, how far, and what the error says: what it cannot read is to be asked of the server.
func (b *BlockReader) Read(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error {
	return b.reader.Read(ctx, from, to, func(m index.Message) bool { return yield(m.Sequence, m.Stored, m.Header, m.Body) })
}

// File is the path of the file that was read from last.
func (b *BlockReader) File() string { return b.reader.File() }

// streamDir is where the server keeps a stream of the internal account.
func (s *Server) streamDir(stream string) string {
	return filepath.Join(StreamsDir(s.storeDir), stream)
}

// StreamsDir is where a server keeps the streams of the internal account, each in a directory of its name.
func StreamsDir(storeDir string) string {
	return filepath.Join(storeDir, "jetstream", InternalAccount, "streams")
}
