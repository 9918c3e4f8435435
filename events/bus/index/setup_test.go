package index

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// running is a real server that knows nothing of this package.
type running struct {
	*server.Server
	js  jetstream.JetStream
	nc  *nats.Conn
	log warnings
}

// warnings notes what the server warns of.
type warnings struct {
	mu   sync.Mutex
	text []string
}

func (w *warnings) note(format string, v ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, fmt.Sprintf(format, v...))
}

func (w *warnings) Warnf(format string, v ...any)  { w.note(format, v...) }
func (w *warnings) Errorf(format string, v ...any) { w.note(format, v...) }
func (w *warnings) Fatalf(format string, v ...any) { w.note(format, v...) }
func (*warnings) Noticef(string, ...any)           {}
func (*warnings) Debugf(string, ...any)            {}
func (*warnings) Tracef(string, ...any)            {}

// said returns the warnings about files.
func (w *warnings) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var said []string
	for _, text := range w.text {
		if strings.Contains(text, "Filestore") {
			said = append(said, text)
		}
	}
	return said
}

// serve starts a server on a directory. The tests write files that are read at once, so it does not sync.
func serve(t testing.TB, dir string) *running {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		ServerName: "test", NoSigs: true, NoLog: true, DontListen: true, JetStream: true, StoreDir: dir, MaxPayload: 8 << 20,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 40, DisableJetStreamBanner: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Server: s}
	s.SetLoggerV2(&r.log, false, false, false)
	go s.Start()
	t.Cleanup(r.stop)
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not start")
	}
	if r.nc, err = nats.Connect("", nats.InProcessServer(s)); err != nil {
		t.Fatal(err)
	}
	if r.js, err = jetstream.New(r.nc); err != nil {
		t.Fatal(err)
	}
	return r
}

// stop ends it in order: the index is written.
func (r *running) stop() {
	if r.nc != nil {
		r.nc.Close()
	}
	r.Shutdown()
	r.WaitForShutdown()
}

// small is a limit with which the server begins a block every 32 kB. It decides that when it starts, or makes the
// stream; so a stream has the limit then, and at no other time.
const small = 100_000

// duplicates is how long a stream remembers what it was sent: the least that the server takes.
const duplicates = 100 * time.Millisecond

func config(name string, subjects []string, maxBytes int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Subjects: subjects, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		DenyDelete: true, DenyPurge: true, MaxBytes: maxBytes, Duplicates: duplicates,
		Metadata: map[string]string{"of": name},
	}
}

// limit sets the limit of a stream, and makes the stream when it is not there.
func (r *running) limit(t testing.TB, name string, subjects []string, maxBytes int64) {
	t.Helper()
	if _, err := r.js.CreateOrUpdateStream(t.Context(), config(name, subjects, maxBytes)); err != nil {
		t.Fatal(err)
	}
}

// message is what a server has under a sequence.
type message struct {
	subject, data, headers string
	at                     int64
}

// told is all that a server tells of a stream.
type told struct {
	state    jetstream.StreamState
	messages map[uint64]message
}

// ask reads everything.
func (r *running) ask(t testing.TB, name string) told {
	t.Helper()
	stream, err := r.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"), jetstream.WithDeletedDetails(true))
	if err != nil {
		t.Fatal(err)
	}
	found := told{info.State, make(map[uint64]message)}
	for seq := uint64(1); seq <= info.State.LastSeq+1; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			found.messages[seq] = message{data: "there is none: " + err.Error()}
			continue
		}
		found.messages[seq] = message{msg.Subject, string(msg.Data), fmt.Sprint(msg.Header), msg.Time.UnixNano()}
	}
	return found
}

func (t told) equal(o told) bool {
	return reflect.DeepEqual(t.state, o.state) && maps.Equal(t.messages, o.messages)
}

func blocksOf(dir, stream string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", stream, blocksDir)
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// contents are all files under a directory.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
