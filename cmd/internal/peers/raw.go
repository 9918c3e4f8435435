package peers

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/cmd/internal/load"
	"creditstream/events/bus"
)

// The raw limits: what the parts do alone. A message of JetStream is as large as a full commit, and counts as
// the events that would be in it.
const (
	messageSize = 64 << 10
	// eventSize is what a charge takes in a commit, in bytes (bytes_per_event of `credits bench` says it exactly).
	eventSize     = 400
	eventsInOne   = messageSize / eventSize
	inFlight      = 2   // messages, as the journal has them
	pebbleBatch   = 160 // events, as many as a full commit has
	recordSize    = 120 // bytes of an account's record in the view, about
	pebbleMemory  = 16 << 20
	fsyncsAtOnce  = 40
	probesBetween = 100
)

func (c *contest) raw() []shape {
	together := func(name, how string, clients, batch int) shape {
		return shape{name: name, how: how, measure: func(ctx context.Context) (load.Result, string, error) {
			return c.partsTogether(ctx, clients, batch)
		}}
	}
	return []shape{
		together(rawSpend, "the parts put together with no ledger between them, 256 clients in the process", 256, 1),
		together(rawBulk, "the same, 8 clients in the process with batches of 1000", batchClients, batchSize),
		{name: rawJetStream, how: fmt.Sprintf("messages of %d KiB with fsync, %d in flight, as events of %d bytes", messageSize>>10, inFlight, eventSize), measure: c.jetStreamAlone},
		{name: rawPebble, how: fmt.Sprintf("3 keys an event in batches of %d events, no WAL", pebbleBatch), measure: c.pebbleAlone},
		{name: rawFsync, how: "append 1 KiB, fsync; as one event each", measure: c.fsyncAlone},
	}
}

// timed repeats once, which does n events, for the duration, with the disk's fsync measured before and after.
func (c *contest) timed(ctx context.Context, dir string, once func() (n int, err error)) (load.Result, string, error) {
	probe, err := load.NewProbe(dir)
	if err != nil {
		return load.Result{}, "", err
	}
	_, err = probe.Run(probesBetween)
	start, events := time.Now(), 0
	for err == nil && time.Since(start) < c.Duration && ctx.Err() == nil {
		var n int
		n, err = once()
		events += n
	}
	took := time.Since(start)
	if err == nil {
		_, err = probe.Run(probesBetween)
	}
	if err := errors.Join(err, ctx.Err(), probe.Close()); err != nil {
		return load.Result{}, "", err
	}
	return load.Result{EventsPerSecond: float64(events) / took.Seconds(), FsyncP50: float64(probe.Median()) / float64(time.Microsecond)}, "", nil
}

// connected is a connection that may write journals, to a NATS server in this process; leave ends both.
func connected(ctx context.Context, dir, name string) (conn *nats.Conn, leave func(), err error) {
	server, err := bus.Start(ctx, bus.Config{StoreDir: filepath.Join(dir, "nats")})
	if err != nil {
		return nil, nil, err
	}
	if conn, err = server.ConnectWriter(name); err != nil {
		server.Shutdown()
		return nil, nil, err
	}
	return conn, func() {
		conn.Close()
		server.Shutdown()
	}, nil
}

func (c *contest) jetStreamAlone(ctx context.Context) (result load.Result, books string, err error) {
	dir, remove, err := scratch(c.Dir)
	if err != nil {
		return load.Result{}, "", err
	}
	defer func() { err = errors.Join(err, remove()) }()
	conn, leave, err := connected(ctx, dir, "raw")
	if err != nil {
		return load.Result{}, "", err
	}
	defer leave()
	js, err := jetstream.New(conn)
	if err != nil {
		return load.Result{}, "", err
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOURNAL_raw_0", Subjects: []string{"journal.raw.0"}, Storage: jetstream.FileStorage}); err != nil {
		return load.Result{}, "", err
	}
	body := make([]byte, messageSize)
	_, _ = rand.Read(body) // it never fails
	var waiting []jetstream.PubAckFuture
	return c.timed(ctx, dir, func() (int, error) {
		for len(waiting) < inFlight {
			ack, err := js.PublishAsync("journal.raw.0", body)
			if err != nil {
				return 0, err
			}
			waiting = append(waiting, ack)
		}
		oldest := waiting[0]
		waiting = append(waiting[:0], waiting[1:]...)
		select {
		case <-oldest.Ok():
			return eventsInOne, nil
		case err := <-oldest.Err():
			return 0, err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

// pebbleAlone writes what the view of accounts writes for a charge: the account, its lot, and the idempotency
// key, whose order is that of time.
func (c *contest) pebbleAlone(ctx context.Context) (result load.Result, books string, err error) {
	dir, remove, err := scratch(c.Dir)
	if err != nil {
		return load.Result{}, "", err
	}
	defer func() { err = errors.Join(err, remove()) }()
	db, err := pebble.Open(filepath.Join(dir, "pebble"), &pebble.Options{DisableWAL: true, MemTableSize: pebbleMemory, Logger: quiet{}})
	if err != nil {
		return load.Result{}, "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	random := mathrand.New(mathrand.NewPCG(1, 2))
	record := make([]byte, recordSize)
	sequence := uint64(0)
	return c.timed(ctx, dir, func() (int, error) {
		batch := db.NewBatch()
		for range pebbleBatch {
			sequence++
			account := binary.BigEndian.AppendUint64([]byte("a"), random.Uint64N(uint64(c.Accounts)))
			key := binary.BigEndian.AppendUint64([]byte("k"), sequence)
			err := errors.Join(batch.Set(account, record, nil), batch.Set(append(account, 'l'), record[:40], nil), batch.Set(append(key, record[:24]...), record[:28], nil))
			if err != nil {
				return 0, err
			}
		}
		return pebbleBatch, errors.Join(batch.Commit(pebble.NoSync), batch.Close())
	})
}

func (c *contest) fsyncAlone(ctx context.Context) (load.Result, string, error) {
	dir, remove, err := scratch(c.Dir)
	if err != nil {
		return load.Result{}, "", err
	}
	probe, err := load.NewProbe(dir)
	if err != nil {
		return load.Result{}, "", errors.Join(err, remove())
	}
	result, books, err := c.timed(ctx, c.Dir, func() (int, error) {
		_, err := probe.Run(fsyncsAtOnce)
		return fsyncsAtOnce, err
	})
	return result, books, errors.Join(err, probe.Close(), remove())
}

// quiet drops what Pebble says while it goes.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...)) // Pebble asks never to return from here
}

// installed says what is missing.
func installed(program, otherwise string) error {
	if _, err := exec.LookPath(program); err != nil {
		return errors.New(otherwise)
	}
	return nil
}
