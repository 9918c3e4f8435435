package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/journal"
	"creditstream/services/credentials"
	"creditstream/services/personal"
)

// marks.go is for the two streams that are no journals: CREDENTIALS and PERSONAL. Their records are sealed one by one,
// so that none can be changed; but that one is missing cannot be seen from those that are there. A key of personal
// texts that the disk lost looks like one that was destroyed on request, and without the latest record of a credential
// one that was revoked would be in force again. A mark says, in a file outside the directory of the streams, up to where each
// stream went and how many records it has: fewer are lost, more were destroyed and put back. It is to them what an anchor is to a journal, and as old at most.

const (
	markFormat   = 1
	markInterval = time.Second
)

// markedStreams have a mark.
func markedStreams() []string { return []string{credentials.StreamName, personal.StreamName} }

// mark is what a stream has.
type mark struct {
	// Last is the sequence of its last record.
	Last uint64 `json:"last"`
	// Least and Most bound how many subjects have a record. They are the same, unless a key is being destroyed.
	Least uint64 `json:"least"`
	Most  uint64 `json:"most"`
}

type markFile struct {
	Format  int             `json:"format"`
	Streams map[string]mark `json:"streams"`
}

// ErrStreamDamaged says that records of a stream that is no journal are lost or cannot be read.
var ErrStreamDamaged = errors.New("stream is damaged")

func marksPath(data string) string { return filepath.Join(data, "anchors", "streams.json") }

func readMarks(data string) (map[string]mark, error) {
	text, err := os.ReadFile(marksPath(data))
	if err != nil {
		return nil, err
	}
	var file markFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read %s: %w", marksPath(data), err)
	}
	if file.Format != markFormat {
		return nil, fmt.Errorf("read %s: it has format %d, this program reads %d", marksPath(data), file.Format, markFormat)
	}
	return file.Streams, nil
}

func writeMarks(data string, all map[string]mark) error {
	text, err := json.Marshal(markFile{markFormat, all})
	if err != nil {
		return err
	}
	return journal.ReplaceFile(marksPath(data), append(text, '\n'))
}

// markOf is what a stream has now; nothing when it is not there.
func markOf(ctx context.Context, js jetstream.JetStream, stream string) (mark, error) {
	s, err := js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, fmt.Errorf("look at stream %s: %w", stream, err)
	}
	state := s.CachedInfo().State
	return mark{Last: state.LastSeq, Least: state.NumSubjects, Most: state.NumSubjects}, nil
}

// knownMarks are the marks of a data directory. They may be lost: then there is a warning, and what is there counts.
func knownMarks(data string, log *slog.Logger) map[string]mark {
	known, err := readMarks(data)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || exists(filepath.Join(data, "pepper"))) {
		log.Warn("whether credentials or keys of personal texts were lost cannot be told: their marks are lost, and made anew", "error", err)
	}
	return known
}

// lostRecords are the marked streams that have less than their marks say, in words.
func lostRecords(ctx context.Context, js jetstream.JetStream, data string, known map[string]mark) (faults []error, err error) {
	for _, stream := range markedStreams() {
		is, err := markOf(ctx, js, stream)
		if err != nil {
			return nil, err
		}
		was := known[stream]
		switch {
		case is.Last < was.Last:
			faults = append(faults, fmt.Errorf("%w: %s ends at record %d, and %s knows of record %d", ErrStreamDamaged, stream, is.Last, marksPath(data), was.Last))
		case is.Least < was.Least:
			faults = append(faults, fmt.Errorf("%w: %s has records of %d subjects up to record %d, and %s knows of %d", ErrStreamDamaged, stream, is.Least, is.Last, marksPath(data), was.Least))
		case known != nil && is.Most > was.Most+is.Last-was.Last:
			faults = append(faults, fmt.Errorf("%w: %s has records of %d subjects up to record %d, and %s knows that there were %d up to record %d: some that were destroyed are back",
				ErrStreamDamaged, stream, is.Most, is.Last, marksPath(data), was.Most, was.Last))
		}
	}
	return faults, nil
}

// unreadableRecords are the marked streams that have records which cannot be read, in words: of such a record the
// server only says that it is not there. So all are read, some 300 thousand a second.
func unreadableRecords(ctx context.Context, js jetstream.JetStream) (faults []error, err error) {
	for _, stream := range markedStreams() {
		is, err := markOf(ctx, js, stream)
		if err != nil {
			return nil, err
		}
		if is.Most == 0 {
			continue
		}
		read, last, err := countRecords(ctx, js, stream)
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", stream, err)
		}
		now, err := markOf(ctx, js, stream) // some may have been destroyed meanwhile
		if err != nil {
			return nil, err
		}
		if read < min(is.Least, now.Least) {
			faults = append(faults, fmt.Errorf("%w: %s has records of %d subjects, and only %d can be read, the last of them record %d", ErrStreamDamaged, stream, is.Least, read, last))
		}
	}
	return faults, ctx.Err()
}

// silence is how long the next record may take, and patience how many silences in a row the stream may keep while it
// says that there is another record: one that cannot be read never comes, and a busy disk brings it late.
const (
	silence  = 2 * time.Second
	patience = 4
)

// countRecords reads a stream to the end that it has now.
func countRecords(ctx context.Context, js jetstream.JetStream, stream string) (read, last uint64, err error) {
	consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy, HeadersOnly: true})
	if err != nil {
		return 0, 0, err
	}
	records, err := consumer.Messages()
	if err != nil {
		return 0, 0, err
	}
	defer records.Stop()
	for silences := 0; ; {
		wait, cancel := context.WithTimeout(ctx, silence)
		msg, err := records.Next(jetstream.NextContext(wait))
		cancel()
		switch {
		case ctx.Err() != nil:
			return read, last, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			if silences++; silences < patience && isRecordAfter(ctx, js, stream, last) {
				continue
			}
			return read, last, nil
		case err != nil:
			return read, last, err
		}
		silences = 0
		meta, err := msg.Metadata()
		if err != nil {
			return read, last, err
		}
		read, last = read+1, meta.Sequence.Stream
		if meta.NumPending == 0 {
			return read, last, nil
		}
	}
}

// isRecordAfter reports whether a stream can tell of a record after one.
func isRecordAfter(ctx context.Context, js jetstream.JetStream, stream string, last uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return ctx.Err() != nil // too busy to say
	}
	_, err = s.GetMsg(ctx, last+1, jetstream.WithGetMsgSubject(">"))
	return err == nil || ctx.Err() != nil
}

// checkMarked finds everything that is wrong with the marked streams of a server that nobody uses yet.
func checkMarked(ctx context.Context, nc *nats.Conn, data string, log *slog.Logger) ([]error, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	lost, err := lostRecords(ctx, js, data, knownMarks(data, log))
	if err != nil {
		return nil, err
	}
	unreadable, err := unreadableRecords(ctx, js)
	return append(lost, unreadable...), err
}

// check is checkMarked while the streams are in use: what was noted last has to be there.
func (m *marks) check(ctx context.Context) ([]error, error) {
	lost, err := func() ([]error, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		return lostRecords(ctx, m.js, m.data, m.written)
	}()
	if err != nil {
		return nil, err
	}
	unreadable, err := unreadableRecords(ctx, m.js)
	return append(lost, unreadable...), err
}

// refuseLostRecords does not start on streams that lost records, unless the operator says that he knows.
func (n *Node) refuseLostRecords(ctx context.Context) error {
	faults, err := checkMarked(ctx, n.services, n.cfg.Data, n.log)
	if err != nil || len(faults) == 0 {
		return err
	}
	fault := errors.Join(faults...)
	if n.cfg.AcceptLostAnchors {
		n.log.Warn("credentials or keys of personal texts are lost, and that was accepted", "error", fault)
		return nil
	}
	return fmt.Errorf("%w: restore the newest backup, or start once with --accept-lost-anchors: texts whose keys are lost then look erased, "+
		"and keys or codes that were changed or revoked since may be in force again", fault)
}

// marks keeps the marks of a running node.
type marks struct {
	data  string
	js    jetstream.JetStream
	log   *slog.Logger
	sync  map[string]func() error // before a mark is written, of each stream
	fault func() error            // of the server's disk
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu      sync.Mutex
	written map[string]mark
	// erasing counts the keys that are being destroyed, or may be without our knowing: while there are any, the
	// least count of keys is only taken down.
	erasing int
}

// openMarks writes what the streams have now, and goes on doing so.
func (n *Node) openMarks(ctx context.Context) error {
	js, err := jetstream.New(n.services)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	m := &marks{data: n.cfg.Data, js: js, log: n.log, stop: stop, sync: make(map[string]func() error), fault: n.bus.Fault}
	for _, stream := range markedStreams() {
		m.sync[stream] = n.syncNames(stream)
	}
	n.marks = m
	if err := m.write(ctx); err != nil {
		return err
	}
	m.ended.Go(func() { m.keep(running) })
	return nil
}

func (m *marks) keep(ctx context.Context) {
	ticker := time.NewTicker(markInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := m.write(ctx); err != nil && ctx.Err() == nil {
				m.log.Warn("whether credentials or keys of personal texts are lost could not be told now", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// close writes the marks a last time.
func (m *marks) close() error {
	if m == nil {
		return nil
	}
	m.stop()
	m.ended.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), markInterval)
	defer cancel()
	return m.write(ctx)
}

// write writes the marks when something changed.
func (m *marks) write(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]mark)
	for _, stream := range markedStreams() {
		is, err := markOf(ctx, m.js, stream)
		if err != nil {
			return err
		}
		if err := m.sync[stream](); err != nil {
			return err
		}
		if m.erasing > 0 && stream == personal.StreamName {
			is.Least = min(is.Least, m.written[stream].Least)
		}
		all[stream] = is
	}
	if m.fault() != nil {
		return nil // the server may count a record whose sync failed
	}
	return m.replace(all)
}

func (m *marks) replace(all map[string]mark) error {
	if maps.Equal(all, m.written) {
		return nil
	}
	if err := writeMarks(m.data, all); err != nil {
		return err
	}
	m.written = all
	return nil
}

// erasing is marks.Erasing of a node that keeps marks.
func (n *Node) erasing() (done func(certain bool), err error) {
	if n.marks == nil {
		return func(bool) {}, nil
	}
	return n.marks.Erasing()
}

// Erasing takes the mark of PERSONAL down before a key is destroyed.
func (m *marks) Erasing() (done func(certain bool), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.written)
	is := all[personal.StreamName]
	if is.Least > 0 {
		is.Least--
	}
	all[personal.StreamName] = is
	if err := m.replace(all); err != nil {
		return nil, fmt.Errorf("note that a key is destroyed: %w", err)
	}
	m.erasing++
	return func(certain bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if certain {
			m.erasing--
		}
	}, nil
}

// describe puts faults into words for a report.
func describe(faults []error) []string {
	var all []string
	for _, f := range faults {
		all = append(all, strings.ReplaceAll(f.Error(), "\n", "; "))
	}
	return all
}
