package index

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"
)

// Message is one message of a stream, as its block has it. Its texts are the reader's to keep.
type Message struct {
	Sequence uint64
	Stored   time.Time // by the server's clock
	Header   []byte    // as NATS writes it, or nil
	Body     []byte
}

// Read yields the messages of the stream in a directory (account/streams/stream of a store directory) that takes just this
// subject, from one sequence up to another, in order and without a gap, until yield wants no more. It reads the blocks
// themselves, while the server that has them open appends to the last one; to may be no later than what that server says
// is stored.
//
// A server that is asked instead keeps whole blocks in memory: each that was read from while it was written, for ten
// seconds, and so the more of them the more is written meanwhile.
//
// The error is that of ctx or of reading, or says that something is there that this package does not know: a gap, a
// record that is torn or whose checksum is wrong, the files of another version. It is for the server to say
// what that is. What was yielded before is sound, as far as a checksum can tell.
func Read(ctx context.Context, dir, subject string, from, to uint64, yield func(Message) bool) error {
	if server.VERSION != ReadFor {
		return unusual("the server's version is %s, the files are known of %s", server.VERSION, ReadFor)
	}
	r := blockReader{ctx: ctx, stream: filepath.Base(dir), subject: subject, dir: filepath.Join(dir, blocksDir), next: from, to: to, yield: yield}
	if err := r.read(); err != nil {
		return fmt.Errorf("read stream %s from its blocks, message %d: %w", r.stream, r.next, err)
	}
	return nil
}

// blockReader is one Read.
type blockReader struct {
	ctx     context.Context
	stream  string
	subject string
	dir     string
	next    uint64 // the sequence that is to be yielded next
	to      uint64
	yield   func(Message) bool
	full    bool // yield wants no more
	file    *bufio.Reader
}

// readAtOnce is how many bytes are asked of a file at a time, at least.
const readAtOnce = 128 << 10

func (r *blockReader) read() error {
	numbers, err := blockNumbers(r.dir)
	if err != nil {
		return err
	}
	numbers, err = r.begin(numbers)
	if err != nil {
		return err
	}
	r.file = bufio.NewReaderSize(nil, readAtOnce)
	for _, number := range numbers {
		if r.full || r.next > r.to {
			return nil
		}
		if err := r.readBlock(number); err != nil {
			return fmt.Errorf("block %d: %w", number, err)
		}
	}
	if !r.full && r.next <= r.to {
		return unusual("it is in no block")
	}
	return nil
}

// blockNumbers lists the blocks in their order. What else there is may be on its way to become an index.
func blockNumbers(dir string) ([]uint32, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	numbers := make([]uint32, 0, len(names))
	for _, name := range names {
		if name, ok := strings.CutSuffix(name, blockEnd); ok {
			if number, err := strconv.ParseUint(name, 10, 32); err == nil {
				numbers = append(numbers, uint32(number))
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// begin leaves the blocks from the one on that has the next message.
func (r *blockReader) begin(numbers []uint32) ([]uint32, error) {
	var fault error
	later := sort.Search(len(numbers), func(i int) bool {
		first, err := r.first(numbers[i])
		fault = errors.Join(fault, err)
		return first > r.next
	})
	if fault == nil && later == 0 {
		fault = unusual("it is in no block")
	}
	return numbers[max(later-1, 0):], fault
}

// first is the sequence of the first record of a block; the greatest there is when none is in it yet.
func (r *blockReader) first(number uint32) (uint64, error) {
	var head [headSize]byte
	if _, err := readAt(blockFile{number: number}.path(r.dir), 0, head[:]); errors.Is(err, io.EOF) {
		return 1<<64 - 1, nil
	} else if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(head[4:]), nil
}

// readBlock yields what is in a block from the next message on.
func (r *blockReader) readBlock(number uint32) error {
	file, err := os.Open(blockFile{number: number}.path(r.dir))
	if err != nil {
		return err
	}
	defer file.Close()
	r.file.Reset(file)
	h := hashFor(fmt.Sprintf("%s-%d", r.stream, number))
	for !r.full && r.next <= r.to {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		head, err := r.file.Peek(headSize)
		if errors.Is(err, io.EOF) && len(head) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", unusual("a record is torn"), err)
		}
		size, seq := sizeOf(head), binary.LittleEndian.Uint64(head[4:])
		switch {
		case size < headSize || size > maxBlock:
			return unusual("a record is torn")
		case seq < r.next:
			_, err = r.file.Discard(size)
		case seq > r.next:
			return unusual("the next record is message %d", seq)
		default:
			err = r.readMessage(h, size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *blockReader) readMessage(h *highwayhash.Digest64, size int) error {
	text := make([]byte, size)
	if _, err := io.ReadFull(r.file, text); err != nil {
		return fmt.Errorf("%w: %w", unusual("a record is torn"), err)
	}
	found, err := readRecord(h, text)
	if err != nil {
		return err
	}
	// No checksum covers where the subject ends.
	if string(found.subject) != r.subject {
		return unusual("a message of subject %q", found.subject)
	}
	r.next++
	r.full = !r.yield(Message{Sequence: found.seq, Stored: time.Unix(0, found.at).UTC(), Header: found.headers, Body: found.body})
	return nil
}
