package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// The names that the server gives its files, and one of ours, which it passes over.
const (
	indexFile = "index.db"
	newFile   = "index.carried"
	blocksDir = "msgs"
	blockEnd  = ".blk"
)

// maxIndex bounds the bytes of an index: a journal of a hundred million events has 200 kB.
const maxIndex = 64 << 20

// Stream is what was done about one.
type Stream struct {
	Account, Name string
	// Carried says that its index was written anew. Else either it was right, or the server reads all of the stream.
	Carried bool
	// Short says that it is not worth it: the server reads all of it.
	Short bool
	// Left says why else the server reads all of it; "" when it does not have to.
	Left string
	// Records and Bytes were read behind the index.
	Records, Bytes uint64
}

// Carry brings the indexes up to date of those streams in a server's store directory that only grow, where that can be
// done, and says how each of them was. Streams of less than so many bytes are passed over: to read them costs the server
// less than the syncs of a new index cost here. No server may run on the directory. What is wrong with a stream is no
// error: the server deals with it as ever. The error is the context's, or says that the directory cannot be read.
func Carry(ctx context.Context, storeDir string, least int64) ([]Stream, error) {
	if server.VERSION != ReadFor {
		return nil, nil
	}
	dirs, err := filepath.Glob(filepath.Join(storeDir, "jetstream", "*", "streams", "*"))
	if err != nil {
		return nil, fmt.Errorf("look for streams: %w", err)
	}
	streams := make([]Stream, 0, len(dirs))
	c := carrier{ctx: ctx, least: least}
	for _, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return streams, err
		}
		found := Stream{Account: filepath.Base(filepath.Dir(filepath.Dir(dir))), Name: filepath.Base(dir)}
		if strings.HasPrefix(found.Name, ".") {
			continue // being deleted
		}
		err := c.carry(dir, &found)
		if errors.Is(err, errOther) {
			continue
		}
		if err != nil {
			found.Left = err.Error()
		}
		streams = append(streams, found)
	}
	return streams, ctx.Err()
}

// carrier carries one stream after the other.
type carrier struct {
	ctx    context.Context
	least  int64 // bytes
	buffer []byte
}

// carry deals with one stream.
func (c *carrier) carry(dir string, found *Stream) error {
	taken, err := streamSubjects(dir)
	if err != nil {
		return err
	}
	if err := refuseUnknown(dir); err != nil {
		return err
	}
	dir = filepath.Join(dir, blocksDir)
	files, err := blockFiles(dir)
	if err != nil {
		return err
	}
	bytes := int64(0)
	for _, f := range files {
		bytes += f.size
	}
	if found.Short = bytes < c.least; found.Short {
		return nil
	}
	s, err := readIndex(dir, found.Name, taken)
	if err != nil {
		return err
	}
	if files, err = s.behind(dir, files); err != nil || len(files) == 0 {
		return err
	}
	if err := c.follow(dir, s, taken, files, found); err != nil {
		return err
	}
	if err := s.check(taken); err != nil {
		return err
	}
	if err := syncBlocks(dir, s); err != nil {
		return err
	}
	err = writeIndex(dir, s.encode(found.Name))
	found.Carried = err == nil
	return err
}

// refuseUnknown looks for what is beside the messages of a stream when something was unusual: a key, a purge that did
// not end, the state of features that a journal has not.
func refuseUnknown(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	known := []string{"meta.inf", "meta.sum", blocksDir, "obs"}
	for _, e := range entries {
		// A server that is killed at its start may leave the file by which it tried whether it may write.
		if !slices.Contains(known, e.Name()) && !strings.HasPrefix(e.Name(), "_test_") {
			return unusual("there is %s", e.Name())
		}
	}
	return nil
}

// blockFile is a block as the directory shows it.
type blockFile struct {
	number uint32
	size   int64
	from   int64 // where what is not known of it begins
}

// blockFiles lists the blocks in their order, and refuses whatever else there is but an index.
func blockFiles(dir string) ([]blockFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []blockFile
	for _, e := range entries {
		if e.Name() == indexFile || e.Name() == newFile {
			continue
		}
		name, isBlock := strings.CutSuffix(e.Name(), blockEnd)
		number, err := strconv.ParseUint(name, 10, 32)
		if !isBlock || err != nil || strconv.FormatUint(number, 10) != name {
			return nil, unusual("there is %s", e.Name())
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxBlock {
			return nil, unusual("%s is no block of messages", e.Name())
		}
		files = append(files, blockFile{uint32(number), info.Size(), 0})
	}
	slices.SortFunc(files, func(a, b blockFile) int { return int(int64(a.number) - int64(b.number)) })
	return files, nil
}

func (f blockFile) path(dir string) string {
	return filepath.Join(dir, strconv.FormatUint(uint64(f.number), 10)+blockEnd)
}

// readIndex reads the index; that of a stream which has none yet is that of an empty one.
func readIndex(dir, stream string, taken []string) (*state, error) {
	path := filepath.Join(dir, indexFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return new(state), nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxIndex {
		return nil, unusual("the index has %d bytes", info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(stream, taken, text)
}

// behind returns the blocks that have something behind the index, after holding all that it knows to the files.
func (s *state) behind(dir string, files []blockFile) ([]blockFile, error) {
	if len(files) < len(s.blocks) {
		return nil, unusual("of %d blocks there are %d", len(s.blocks), len(files))
	}
	number := uint32(0) // of the block before
	for i := range files {
		f := &files[i]
		if i < len(s.blocks) {
			b := s.blocks[i]
			f.from = int64(b.bytes)
			if f.number != b.number || f.size < f.from || f.size > f.from && i < len(s.blocks)-1 {
				return nil, unusual("block %d is not as the index knows it", b.number)
			}
		} else if f.number != number+1 {
			return nil, unusual("there is no block %d before block %d", number+1, f.number)
		}
		number = f.number
	}
	if len(s.blocks) == 0 {
		if len(files) == 1 && files[0].size == 0 {
			return nil, nil // nothing was ever published
		}
		return files, nil
	}
	last := len(s.blocks) - 1
	var sum [hashSize]byte
	if _, err := readAt(files[last].path(dir), files[last].from-hashSize, sum[:]); err != nil {
		return nil, err
	}
	if sum != s.sum {
		return nil, unusual("block %d is not as the index knows it", files[last].number)
	}
	if files = files[last:]; files[0].size == files[0].from {
		files = files[1:]
	}
	return files, nil
}

// follow reads what is behind the index.
func (c *carrier) follow(dir string, s *state, taken []string, files []blockFile, found *Stream) error {
	before := s.last
	for _, f := range files {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		size := int(f.size - f.from)
		c.buffer = slices.Grow(c.buffer[:0], size)[:size]
		n, err := readAt(f.path(dir), f.from, c.buffer)
		found.Bytes += uint64(n)
		if err != nil {
			return err
		}
		if err := s.follow(found.Name, taken, f.number, c.buffer); err != nil {
			return err
		}
	}
	found.Records = s.last - before
	return nil
}

func readAt(path string, at int64, into []byte) (int, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	n, err := file.ReadAt(into, at)
	if n == len(into) && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// syncBlocks makes all that the index will speak of durable: blocks, and their names. What a killed process wrote may
// be in the page cache only.
func syncBlocks(dir string, s *state) error {
	for _, b := range s.blocks {
		if err := syncPath(blockFile{number: b.number}.path(dir)); err != nil {
			return err
		}
	}
	return syncPath(dir)
}

// writeIndex puts a new index in the place of the old one: at any moment one of the two is there, and whole.
func writeIndex(dir string, text []byte) error {
	file, err := os.OpenFile(filepath.Join(dir, newFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(dir, indexFile)); err != nil {
		return err
	}
	return syncPath(dir)
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
