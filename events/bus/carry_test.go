package bus_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
)

// A crash leaves an index that is older than the last messages: the next start says that it was carried on, and the
// server believes it.
func TestACrashCostsNoReadingOfAWholeJournal(t *testing.T) {
	dir := t.TempDir()
	s := start(t, bus.Config{StoreDir: dir})
	fill(t, s, 200)
	s.Shutdown()
	s = start(t, bus.Config{StoreDir: dir})
	fill(t, s, 4)
	crashed := filepath.Join(t.TempDir(), "nats") // what a process that is killed now would leave
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	after := start(t, bus.Config{StoreDir: crashed, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))})
	fill(t, after, 0)
	after.Shutdown()
	if text := log.String(); !strings.Contains(text, "carried=1 short=0 left=0 records_read=4") || strings.Contains(text, "Filestore") {
		t.Errorf("the log of the start says:\n%s", text)
	}
}

// fill publishes messages to a journal, and looks that all are there.
func fill(t *testing.T, s *bus.Server, count int) {
	t.Helper()
	nc := must(s.ConnectWriter(t.Name()))(t)
	defer nc.Close()
	js := must(jetstream.New(nc))(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	config := jetstream.StreamConfig{
		Name: "J", Subjects: []string{"j"}, Discard: jetstream.DiscardNew, DenyDelete: true, DenyPurge: true,
		MaxBytes: 100_000, // JetStream begins small blocks in a stream that is made with such a limit
	}
	stream, err := js.Stream(ctx, "J")
	if err != nil {
		must(js.CreateStream(ctx, config))(t)
		config.MaxBytes = -1
		stream = must(js.UpdateStream(ctx, config))(t)
	}
	last := stream.CachedInfo().State.LastSeq
	for range count {
		last++
		must(js.Publish(ctx, "j", bytes.Repeat([]byte{1}, 7000), jetstream.WithExpectLastSequence(last-1)))(t)
	}
	if info := must(stream.Info(ctx))(t); info.State.Msgs != last {
		t.Errorf("of %d messages there are %d", last, info.State.Msgs)
	}
}

// What is finished is not written again after a sync that failed: such a stream would have begun no other block.
func TestOnlyTheNewestBlockOfAJournalIsWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	s := start(t, bus.Config{StoreDir: dir})
	fill(t, s, 12)
	s.Shutdown()
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "J", "msgs", "*.blk"))
	if err != nil || len(blocks) != 3 {
		t.Fatalf("%v, %v", blocks, err)
	}
	old := time.Now().Add(-time.Hour)
	for _, path := range blocks {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := bus.RewriteSince(t.Context(), dir, old.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, path := range blocks {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if again, newest := !info.ModTime().Equal(old), filepath.Base(path) == "3.blk"; again != newest {
			t.Errorf("%s was written again: %v", path, again)
		}
	}
}
