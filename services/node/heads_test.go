package node

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
	"creditstream/events/journal"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// Whoever can write to the whole machine can change a commit, compute the chain anew from there on, and put anchor
// and views right. Only a head that was signed and kept elsewhere notices.
func TestOnlyASignedHeadNoticesARewrittenHistory(t *testing.T) {
	s := newScene(t, 1)
	file := filepath.Join(t.TempDir(), "heads.ndjson")
	n, err := Start(t.Context(), Config{Data: s.dir, TestClock: damageClock, Heads: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	tenant, err := n.Accounts().Tenant("t0")
	if err != nil {
		t.Fatal(err)
	}
	if answer := tenant.Do(t.Context(), accounts.Request{Account: "a0", Command: &rules.Use{Meter: "call", Quantity: 1}}); answer.Err != nil {
		t.Fatal(answer.Err)
	}
	said := n.SignedHeads("t0")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	heads, err := journal.ReadHeads(bytes.NewReader(text), nil)
	if err != nil || len(heads) != 2 || len(said) != 1 || heads[1].Head() != said[0].Head() {
		t.Fatalf("the file has %+v, %v; the server said %+v", heads, err, said)
	}
	if info, err := os.Stat(filepath.Join(s.dir, headKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	honest, err := VerifyData(t.Context(), s.dir, nil, Verifying{Heads: heads})
	if err != nil || !honest.OK {
		t.Fatalf("the honest history: %+v, %v", honest, err)
	}

	forged := rewriteHistory(t, s)
	n, err = Start(t.Context(), Config{Data: forged, TestClock: damageClock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if barred := n.Accounts().Barred(); len(barred) > 0 {
		t.Fatalf("the forgery is not consistent: %+v", barred)
	}
	if tenant, err = n.Accounts().Tenant("t0"); err != nil {
		t.Fatal(err)
	}
	// Grown beyond the signed heads, so that not the length gives it away.
	for range 6 {
		if answer := tenant.Do(t.Context(), accounts.Request{Account: "a0", Command: &rules.Use{Meter: "call", Quantity: 1}}); answer.Err != nil {
			t.Fatal(answer.Err)
		}
	}
	plain, err := n.Verify(t.Context(), "", nil)
	if err != nil || !plain.OK {
		t.Fatalf("the forgery is not consistent: %+v, %v", plain, err)
	}
	refused, err := n.VerifyBooks(t.Context(), Verifying{Heads: heads})
	if err != nil || refused.OK || refused.Journals[0].Rewritten != 2 || !strings.Contains(refused.Journals[0].Faults[0].Problem, "rewritten") {
		t.Errorf("against the signed heads: %+v, %v", refused, err)
	}
	// The same id and a head that was signed by somebody else.
	heads[0].Sequence++
	line, err := json.Marshal(heads[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := journal.ReadHeads(bytes.NewReader(append(line, '\n')), nil); err == nil {
		t.Error("a head that was changed after it was signed passes")
	}
}

// rewriteHistory makes a directory whose journal has the same id and other bodies, chained and anchored as if it
// had always been so.
func rewriteHistory(t *testing.T, s *scene) string {
	t.Helper()
	name := journal.Name{Tenant: "t0"}
	bodies, config := bodiesOf(t, s.dir, name)
	dir := t.TempDir()
	server, err := bus.Start(t.Context(), bus.Config{StoreDir: filepath.Join(dir, "nats")})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	nc, err := server.ConnectWriter("forger")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := os.MkdirAll(filepath.Join(dir, "anchors"), 0o700); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), config); err != nil { // with the same id in its metadata
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), nc, journal.Config{Name: name, Anchor: anchorPath(dir, name)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, len(bodies))
	for _, body := range bodies {
		forged := bytes.ReplaceAll(body, []byte(`"amount":100000,`), []byte(`"amount":900000,`))
		if err := j.Append(forged, func(_ journal.Head, err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("no ack")
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func bodiesOf(t *testing.T, dir string, name journal.Name) (bodies [][]byte, config jetstream.StreamConfig) {
	t.Helper()
	server, err := bus.Start(t.Context(), bus.Config{StoreDir: filepath.Join(dir, "nats")})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	nc, err := server.ConnectWriter("reader")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	j, err := journal.Open(t.Context(), nc, journal.Config{Name: name, Inspect: true})
	if err != nil {
		t.Fatal(err)
	}
	for c, err := range j.Read(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, bytes.Clone(c.Body))
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), name.Stream())
	if err != nil {
		t.Fatal(err)
	}
	return bodies, stream.CachedInfo().Config
}
