package credentials

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestPepperFileIsCreatedOnceForItsOwnerOnly(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	info, err := os.Stat(m.pepper)
	if err != nil || info.Size() != 32 || info.Mode().Perm() != 0o600 {
		t.Fatalf("pepper file: %v, %v", info, err)
	}
	first, err := os.ReadFile(m.pepper)
	if err != nil {
		t.Fatal(err)
	}
	m.restart(s)
	second, err := os.ReadFile(m.pepper)
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("the pepper changed at a restart (%v)", err)
	}
	left, err := os.ReadDir(filepath.Dir(m.pepper))
	if err != nil || len(left) != 1 {
		t.Fatalf("beside the pepper file: %v, %v", left, err)
	}
}

func TestOpenRefusesAPepperThatIsNotItsOwn(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"another": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte{7}, 32), 0o600) },
		"missing": os.Remove,
		"short":   func(path string) error { return os.Truncate(path, 31) },
		"open":    func(path string) error { return os.Chmod(path, 0o640) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.open().Close()
			if err := spoil(m.pepper); err != nil {
				t.Fatal(err)
			}
			if _, err := m.tryOpen(); !errors.Is(err, ErrPepper) {
				t.Fatalf("Open = %v, want ErrPepper", err)
			}
			if _, err := os.Stat(m.pepper); name == "missing" && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal("a second pepper was made for a stream that has one")
			}
		})
	}
}

func TestOpenRefusesATamperedRecord(t *testing.T) {
	type attack func(m *machine, s *Store, subject string)
	rewrite := func(from, to string) attack {
		return func(m *machine, _ *Store, subject string) {
			msg := m.stored(subject)
			altered := bytes.Replace(msg.Data, []byte(from), []byte(to), 1)
			if bytes.Equal(altered, msg.Data) {
				m.t.Fatalf("no %s in %s", from, msg.Data)
			}
			m.forge(subject, msg.Header.Get(macHeader), altered)
		}
	}
	for name, tamper := range map[string]attack{
		"lock lifted":   rewrite(`"locked_until"`, `"locked_untik"`),
		"another kind":  rewrite(`"kind":"pin"`, `"kind":"none"`),
		"no MAC":        func(m *machine, _ *Store, subject string) { m.forge(subject, "", m.stored(subject).Data) },
		"not ours":      func(m *machine, _ *Store, _ string) { m.forge("credentials.other", "00", []byte(`{}`)) },
		"not a record":  func(m *machine, _ *Store, subject string) { m.forge(subject, "zz", []byte("\x00")) },
		"pepper record": func(m *machine, s *Store, _ string) { rewrite(`"prev":0`, `"prev":00`)(m, s, pepperSubject) },
		"another account's": func(m *machine, s *Store, subject string) {
			msg := m.stored(subject)
			m.forge(s.pepper.subjectOf(approvalPrefix, "tecpet", "victim"), msg.Header.Get(macHeader), msg.Data)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			s := m.open()
			lockOut(t, s, "tecpet", "shop")
			s.Close()
			tamper(m, s, s.pepper.subjectOf(approvalPrefix, "tecpet", "shop"))
			if _, err := m.tryOpen(); !errors.Is(err, ErrTampered) {
				t.Fatalf("Open = %v, want ErrTampered", err)
			}
		})
	}
}

// A record that comes while the store runs closes its credential and no other.
func TestTamperingWhileRunningClosesTheCredential(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	secret, key, err := s.Create(t.Context(), NewKey{Tenant: "tecpet", Actor: "app", Scopes: ScopesOf(Read)})
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := s.Create(t.Context(), NewKey{Tenant: "tecpet", Actor: "job", Scopes: ScopesOf(Read)})
	if err != nil {
		t.Fatal(err)
	}
	subject := s.ringSubject("tecpet", "app")
	before := m.stored(subject)
	if err := s.Revoke(t.Context(), key.ID, "ana"); err != nil {
		t.Fatal(err)
	}
	m.forge(subject, before.Header.Get(macHeader), before.Data) // the record of before, put back
	eventually(t, "the replay is noticed", func() bool { return errors.Is(s.Err(), ErrTampered) })
	if _, err := s.Authenticate(secret, noon); !errors.Is(err, ErrUnauthenticated) {
		t.Fatalf("a revoked key came back to life: %v", err)
	}
	if _, err := s.Authenticate(other, noon); err != nil {
		t.Fatalf("another actor's key: %v", err)
	}

	m.forge(s.pepper.subjectOf(approvalPrefix, "tecpet", "shop"), "", []byte(`{}`))
	eventually(t, "an unreadable code is noticed", func() bool { return s.Has("tecpet", "shop") == KindUnreadable })
	if err := s.Verify(t.Context(), "tecpet", "shop", "123456", noon); !errors.Is(err, ErrTampered) {
		t.Fatalf("Verify = %v, want ErrTampered", err)
	}
}

func TestOpenRefusesAStreamThatCouldForget(t *testing.T) {
	for name, loosen := range map[string]func(*jetstream.StreamConfig){
		"age":    func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"delete": func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"memory": func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"count":  func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 },
		"direct": func(c *jetstream.StreamConfig) { c.AllowDirect = true },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			js, err := jetstream.New(m.connect())
			if err != nil {
				t.Fatal(err)
			}
			config := jetstream.StreamConfig{
				Name: StreamName, Subjects: []string{allSubjects}, MaxMsgsPerSubject: 1, DenyDelete: true, DenyPurge: true,
			}
			loosen(&config)
			if _, err := js.CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			if s, err := m.tryOpen(); err == nil {
				t.Fatalf("Open accepted %v", s)
			}
			if _, err := os.Stat(m.pepper); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("a pepper was made for a refused stream: %v", err)
			}
		})
	}
}

func TestStreamKeepsOneRecordPerCredentialAndLetsNoneGo(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	lockOut(t, s, "tecpet", "shop")
	stream := m.stream()
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != 2 || info.State.NumSubjects != 2 {
		t.Fatalf("stream state %+v, %v", info, err)
	}
	if err := stream.Purge(t.Context()); err == nil {
		t.Error("the stream could be purged")
	}
	if err := stream.DeleteMsg(t.Context(), info.State.LastSeq); err == nil {
		t.Error("a record could be deleted")
	}
}

// With the server gone nothing is answered as done, and nothing takes effect.
func TestAChangeThatIsNotStoredDoesNotTakeEffect(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	mustSetPIN(t, s, "tecpet", "shop", rightPIN)
	secret, key, err := s.Create(t.Context(), NewKey{Tenant: "tecpet", Actor: "app", Scopes: ScopesOf(Read)})
	if err != nil {
		t.Fatal(err)
	}
	m.halt()
	for name, change := range map[string]func(context.Context) error{
		"right code": func(ctx context.Context) error { return s.Verify(ctx, "tecpet", "shop", rightPIN, noon) },
		"wrong code": func(ctx context.Context) error { return s.Verify(ctx, "tecpet", "shop", wrongPIN, noon) },
		"revocation": func(ctx context.Context) error { return s.Revoke(ctx, key.ID, "ana") },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := change(ctx); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s = %v, want ErrUnavailable", name, err)
		}
		cancel()
	}
	if _, err := s.Authenticate(secret, noon); err != nil {
		t.Errorf("a revocation that was not stored took effect: %v", err)
	}
	m.boot()
}

// An append whose ack was lost is found again by its bytes; another's is a conflict.
func TestAWriteWithoutItsAckIsRecognised(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	subject := s.pepper.subjectOf(approvalPrefix, "tecpet", "shop")
	code := record{Approval: &approval{Kind: KindNone}}
	body, sum, err := s.encode(subject, 0, code)
	if err != nil {
		t.Fatal(err)
	}
	m.forge(subject, sum, body)
	stored := m.stored(subject).Sequence
	if seq, err := s.publish(t.Context(), subject, 0, sum, body); err != nil || seq != stored {
		t.Errorf("resent: sequence %d, %v; it is stored at %d", seq, err, stored)
	}
	equal, sum, err := s.encode(subject, 0, code)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.publish(t.Context(), subject, 0, sum, equal); !errors.Is(err, errConflict) {
		t.Errorf("an equal state decided by another process was taken for this one's: %v", err)
	}
}

// A store whose connection broke sees what was revoked meanwhile.
func TestRevocationIsSeenAfterAReconnect(t *testing.T) {
	m := newMachine(t)
	m.halt()
	m.port = server.RANDOM_PORT
	m.boot()
	m.port = m.server.Addr().(*net.TCPAddr).Port
	nc, err := nats.Connect(m.server.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	there, err := Open(t.Context(), nc, Config{PepperFile: m.pepper})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	secret, key, err := there.Create(t.Context(), NewKey{Tenant: "adtech", Actor: "app", Scopes: ScopesOf(Usage)})
	if err != nil {
		t.Fatal(err)
	}
	m.halt()
	m.boot()
	if err := m.open().Revoke(t.Context(), key.ID, "ana"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the revocation arrives", func() bool { _, err := there.Authenticate(secret, noon); return err != nil })
}

func TestClosedStoreChangesNothing(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	s.Close()
	s.Close()
	if err := s.SetPIN(t.Context(), "tecpet", "shop", rightPIN, "ana", noon); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("SetPIN = %v, want ErrUnavailable", err)
	}
}

func TestTwoProcessesThatStartTogetherShareOnePepper(t *testing.T) {
	m := newMachine(t)
	type opened struct {
		s   *Store
		err error
	}
	results := make(chan opened, 2)
	for range 2 {
		nc := m.connect()
		go func() {
			s, err := Open(t.Context(), nc, Config{PepperFile: m.pepper})
			results <- opened{s, err}
		}()
	}
	for range 2 {
		got := <-results
		if got.err != nil {
			t.Error(got.err)
			continue
		}
		defer got.s.Close()
	}
}
