package index

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// Message is one message of a stream, as its block has it. Its texts are parts of one piece of memory.
type Message struct {
	Sequence uint64
	Stored   time.Time // by the server's clock
	Header   []byte    // as NATS writes it, or nil
	Body     []byte
}

// Reader reads the messages of a stream that only grows, and takes just one subject, from its blocks, while the server
// that has them open appends to the last one. It is for one goroutine, and keeps no file open.
//
// A server that is asked instead keeps whole blocks in memory: each that was read from while it was written, for ten
// seconds, and so the more of them the more is written meanwhile.
type Reader struct {
	dir, stream, subject string

	// Memory returns so many bytes for the next message. Nil: each has memory of its own, which is the caller's to keep.
	Memory func(size int) []byte

	// Where it is: at the end of the record before next. There is no block 0.
	block  uint32
	offset int64
	next   uint64
	file   *bufio.Reader
}

// NewReader reads the stream in a directory (account/streams/stream of a store directory).
func NewReader(dir, subject string) *Reader {
	return &Reader{dir: filepath.Join(dir, blocksDir), stream: filepath.Base(dir), subject: subject, file: bufio.NewReaderSize(nil, readAtOnce)}
}

// readAtOnce is how many bytes are asked of a file at a time, at least.
const readAtOnce = 64 << 10

// Read yields the messages from one sequence up to another, in order and without a gap, until yield wants no more. to may
// be no later than what the server says is stored. It costs least to go on where the last one ended.
//
// The error is that of ctx or of reading, or says that something is there that this package does not know: the files of another
// version, or what was being written just now. It is a *Damage when messages that were stored cannot be read, and
// could not when they were read again; it costs least to go on behind its Last. What was yielded before is sound, as far as
// a checksum can tell.
func (r *Reader) Read(ctx context.Context, from, to uint64, yield func(Message) bool) error {
	if server.VERSION != ReadFor {
		return unusual("the server's version is %s, the files are known of %s", server.VERSION, ReadFor)
	}
	err := r.read(ctx, from, to, yield)
	if err == nil {
		return nil
	}
	at, next := r.block, r.next
	r.block = 0
	if ctx.Err() == nil {
		if damage := r.lookAgain(at, next, to); damage != nil {
			err = damage
		}
	}
	return fmt.Errorf("read stream %s, message %d in block %d: %w", r.stream, next, at, err)
}

// File is the path of the block that it is in, or of the directory of blocks when it is in none.
func (r *Reader) File() string {
	if r.block == 0 {
		return r.dir
	}
	return blockFile{number: r.block}.path(r.dir)
}

func (r *Reader) read(ctx context.Context, from, to uint64, yield func(Message) bool) error {
	if from > to {
		return nil
	}
	if r.block == 0 || r.next != from {
		if err := r.seek(from); err != nil {
			return err
		}
	}
	for {
		more, err := r.readBlock(ctx, to, yield)
		if err != nil || !more {
			return err
		}
		r.block, r.offset = r.block+1, 0
	}
}

// seek goes to the block that has a message.
func (r *Reader) seek(sequence uint64) error {
	r.offset, r.next = 0, sequence
	numbers, err := blockNumbers(r.dir)
	if err != nil {
		return err
	}
	if sequence == 1 && len(numbers) > 0 {
		r.block = numbers[0]
		return nil
	}
	later := sort.Search(len(numbers), func(i int) bool {
		first, fault := r.first(numbers[i])
		err = errors.Join(err, fault)
		return first > sequence
	})
	if err == nil && later == 0 {
		err = unusual("it is in no block")
	}
	if err == nil {
		r.block = numbers[later-1]
	}
	return err
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

// first is the sequence of the first record of a block; the greatest there is when none is in it yet.
func (r *Reader) first(number uint32) (uint64, error) {
	var head [headSize]byte
	if _, err := readAt(blockFile{number: number}.path(r.dir), 0, head[:]); errors.Is(err, io.EOF) {
		return 1<<64 - 1, nil
	} else if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(head[4:]), nil
}

// readBlock yields what is in the block, and reports whether more is wanted than is in it.
func (r *Reader) readBlock(ctx context.Context, to uint64, yield func(Message) bool) (more bool, err error) {
	file, err := os.Open(blockFile{number: r.block}.path(r.dir))
	if errors.Is(err, fs.ErrNotExist) {
		return false, unusual("there is no such block")
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	if _, err := file.Seek(r.offset, io.SeekStart); err != nil {
		return false, err
	}
	r.file.Reset(file)
	h := hashFor(fmt.Sprintf("%s-%d", r.stream, r.block))
	for r.next <= to {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		head, err := r.file.Peek(headSize)
		if errors.Is(err, io.EOF) && len(head) == 0 {
			return true, nil
		}
		if err != nil {
			return false, torn(err)
		}
		size, seq := sizeOf(head), binary.LittleEndian.Uint64(head[4:])
		if size < headSize || size > maxBlock {
			return false, unusual("a record is torn")
		}
		if seq > r.next {
			return false, unusual("the next record is message %d", seq)
		}
		if seq < r.next {
			if _, err := r.file.Discard(size); err != nil {
				return false, torn(err)
			}
			r.offset += int64(size)
			continue
		}
		m, err := r.message(h, size)
		if err != nil {
			return false, err
		}
		if r.next, r.offset = r.next+1, r.offset+int64(size); !yield(m) {
			return false, nil
		}
	}
	return false, nil
}

func (r *Reader) memory(size int) []byte {
	if r.Memory == nil {
		return make([]byte, size)
	}
	return r.Memory(size)
}

// message reads the record that is next.
func (r *Reader) message(h *highwayhash.Digest64, size int) (Message, error) {
	text := r.memory(size)
	if _, err := io.ReadFull(r.file, text); err != nil {
		return Message{}, torn(err)
	}
	found, err := readRecord(h, text)
	if err != nil {
		return Message{}, err
	}
	// No checksum covers where the subject ends.
	if string(found.subject) != r.subject {
		return Message{}, unusual("a message of subject %q", found.subject)
	}
	return Message{Sequence: found.seq, Stored: time.Unix(0, found.at).UTC(), Header: found.headers, Body: found.body}, nil
}
