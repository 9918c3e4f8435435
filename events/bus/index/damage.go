package index

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Damage is what a Reader met that no server leaves behind: messages that were stored cannot be read from their file any
// more. The server may still have them in memory.
type Damage struct {
	// File is the path of the block, or of what else is damaged.
	File string
	// First and Last are the sequences of the messages that cannot be read from it. Behind Last one can read on. Last is
	// one less than First when all messages are there, and something behind them.
	First, Last uint64
	// Problem says what is wrong with the first of them.
	Problem error
}

// Error names the file.
func (d *Damage) Error() string {
	return fmt.Sprintf("%s is damaged, messages %d to %d: %v", d.File, d.First, d.Last, d.Problem)
}

// Unwrap is what is wrong.
func (d *Damage) Unwrap() error { return d.Problem }

// Damaged tells who does not import this package.
func (d *Damage) Damaged() (file string, first, last uint64, problem string) {
	return d.File, d.First, d.Last, strings.TrimPrefix(d.Problem.Error(), errUnusual.Error()+": ")
}

// encryptionKey is there where the server encrypts what it writes: nothing of such a stream can be judged.
const encryptionKey = "meta.key"

// lookAgain reads a message again that could not be read in a block (0: no block was found for it), from its file as it is
// now, and returns what is damaged: up to which message nothing can be read, but not beyond to. It returns nil when the message can be read now (the file was being
// written, or made anew), and where this package does not know what a file of the stream should look like. With damage
// the reader is behind it.
func (r *Reader) lookAgain(block uint32, sequence, to uint64) *Damage {
	dir := filepath.Dir(r.dir)
	if _, err := os.Stat(filepath.Join(dir, encryptionKey)); err == nil {
		return nil
	}
	taken, err := streamSubjects(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &Damage{dir, sequence, to, err}
	}
	// A damaged configuration makes no block unreadable.
	if err != nil && !errors.Is(err, errUnusual) || err == nil && !slices.Contains(taken, r.subject) {
		return nil
	}
	numbers, err := blockNumbers(r.dir)
	if err != nil || len(numbers) == 0 {
		return unreadable(r.dir, sequence, to, cmp.Or(err, fs.ErrNotExist))
	}
	at, there := slices.BinarySearch(numbers, block)
	switch {
	case block == 0:
		at = r.beginning(numbers, sequence)
	case !there && at < len(numbers):
		return r.gone(numbers, at, sequence, to)
	case !there:
		at = len(numbers) - 1
	}
	e := r.examine(numbers, at, sequence, to)
	if e.cut && at+1 < len(numbers) {
		at++
		e = r.examine(numbers, at, sequence, to)
	}
	if e.found.Problem == nil {
		return nil
	}
	if e.gap && e.offset == 0 && at == 0 && numbers[0] > 1 {
		return r.gone(numbers, 0, sequence, to)
	}
	if e.gap && e.offset == 0 && at > 0 {
		// What should be in front of it was at the end of the block before, as far as anybody can tell.
		if numbers[at-1]+1 < numbers[at] {
			return r.gone(numbers, at, sequence, to)
		}
		e.found.File = blockFile{number: numbers[at-1]}.path(r.dir)
	}
	r.block, r.offset, r.next = e.block, e.offset, e.found.Last+1
	return &e.found
}

// beginning is the place in numbers of the last block that begins no later than a message.
func (r *Reader) beginning(numbers []uint32, sequence uint64) (at int) {
	for i, number := range numbers {
		if first, err := r.first(number); err == nil && first <= sequence {
			at = i
		}
	}
	return at
}

// gone is the damage when the block before one is not there.
func (r *Reader) gone(numbers []uint32, at int, sequence, to uint64) *Damage {
	d := &Damage{blockFile{number: numbers[at] - 1}.path(r.dir), sequence, r.end(numbers[at:], sequence, to), fs.ErrNotExist}
	r.block, r.offset, r.next = numbers[at], 0, d.Last+1
	return d
}

// end is the last message, up to one, that can be in front of the first of these blocks that begins behind a sequence.
func (r *Reader) end(numbers []uint32, sequence, to uint64) uint64 {
	for _, number := range numbers {
		if first, err := r.first(number); err == nil && first >= sequence && first <= to {
			return first - 1
		}
	}
	return to
}

// unreadable is the damage of a file that could not be read; nil when that is not the file's fault.
func unreadable(path string, sequence, to uint64, err error) *Damage {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO) {
		return &Damage{path, sequence, to, err}
	}
	return nil
}

// examination is what a second look at one block found, and where one can read on.
type examination struct {
	Reader
	found Damage
	cut   bool // the block ends before the message
	gap   bool // it goes on behind the message
}

// examine goes over a block that should have a message, from its beginning.
func (r *Reader) examine(numbers []uint32, at int, sequence, to uint64) *examination {
	path := blockFile{number: numbers[at]}.path(r.dir)
	e := &examination{Reader: *r, found: Damage{File: path, First: sequence, Last: r.end(numbers[at+1:], sequence, to)}}
	e.block, e.offset, e.next, e.Memory = numbers[at], 0, sequence, nil
	file, err := os.Open(path)
	if err == nil {
		defer file.Close()
		e.file = bufio.NewReaderSize(file, readAtOnce)
		err = e.run()
	}
	switch {
	case err == nil:
	case errors.Is(err, errOther) || !errors.Is(err, errUnusual) && unreadable(path, sequence, to, err) == nil:
		e.found.Problem = nil
	default:
		e.found.Problem = cmp.Or(e.found.Problem, err)
		// Nothing more can be read from this one. There is no block 0.
		if e.block, e.offset = 0, 0; at+1 < len(numbers) {
			e.block = numbers[at+1]
		}
	}
	return e
}

// run ends without an error at the first sound record that is not before the message: found says what is in front of it.
// The error is what keeps one from reading on in the block, or errOther.
func (e *examination) run() error {
	h := hashFor(fmt.Sprintf("%s-%d", e.stream, e.block))
	var odd error // of a record that may be the message
	for e.next <= max(e.found.Last, e.found.First) {
		head, err := e.file.Peek(headSize)
		if errors.Is(err, io.EOF) && len(head) == 0 {
			e.cut = e.found.Problem == nil && odd == nil
			return cmp.Or(odd, unusual("it ends before message %d", e.next))
		}
		if err != nil {
			return torn(err)
		}
		size, seq := sizeOf(head), binary.LittleEndian.Uint64(head[4:])
		if size < headSize || size > maxBlock {
			return unusual("a record is torn")
		}
		if seq < e.next {
			if _, err := e.file.Discard(size); err != nil {
				return torn(err)
			}
			e.offset += int64(size)
			continue
		}
		_, err = e.message(h, size)
		switch {
		case err == nil && seq > maxSeq:
			return errOther // the server removed something
		case err == nil:
			if seq > e.next && e.found.Problem == nil {
				e.gap = odd == nil
				e.found.Problem = cmp.Or(odd, unusual("message %d is missing, the next record is message %d", e.next, seq))
			}
			e.found.Last = min(e.found.Last, seq-1)
			return nil
		case !errors.Is(err, errUnusual) || errors.Is(err, io.ErrUnexpectedEOF):
			return err
		case seq != e.next && e.found.Problem == nil:
			odd = err
		default:
			e.found.Problem = cmp.Or(e.found.Problem, err)
			e.next++
		}
		e.offset += int64(size)
	}
	return nil
}

// torn is for a record that is cut off; for another fault of reading that fault.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", unusual("a record is torn"), io.ErrUnexpectedEOF)
	}
	return err
}
