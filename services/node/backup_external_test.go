package node

import (
	"io"
	"path/filepath"
	"testing"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/backup"
	"creditstream/services/rules"
)

// A node whose NATS server runs elsewhere, with the permissions of deploy/nats.conf, is backed up like any other; the
// backup is restored to a directory with a server of its own.
func TestABackupOfAnExternalServer(t *testing.T) {
	e := startElsewhere(t)
	data := t.TempDir()
	n := e.node(Config{Data: data})
	tenant := tenantOf(t, n)
	fund(t, tenant, "clinic-1")
	if answer := tenant.Do(t.Context(), accounts.Request{Account: "clinic-1", Key: "one", Hash: credit.Hash{2}, Command: &rules.Use{Meter: "sticker", Quantity: 1}}); answer.Err != nil {
		t.Fatal(answer.Err)
	}
	if _, err := n.personal.Ensure(t.Context(), "tecpet", "clinic-1"); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "backup")
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(n.Backup(t.Context(), writer, false)) }()
	if _, err := backup.Receive(t.Context(), reader, to); err != nil {
		t.Fatal(err)
	}
	wrote := charges(t, n)

	restored := filepath.Join(t.TempDir(), "data")
	if _, err := Restore(t.Context(), RestoreConfig{From: to, Data: restored, Pepper: filepath.Join(data, "pepper")}); err != nil {
		t.Fatal(err)
	}
	back, err := Start(t.Context(), Config{Data: restored})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = back.Close() })
	for key, times := range charges(t, back) {
		if wrote[key] != times {
			t.Errorf("%s is %d times in the restored journal, and was %d times", key, times, wrote[key])
		}
	}
	if again := tenantOf(t, back).Do(t.Context(), accounts.Request{Account: "clinic-1", Key: "one", Hash: credit.Hash{2}, Command: &rules.Use{Meter: "sticker", Quantity: 1}}); again.Err != nil || !again.Replayed {
		t.Errorf("an old request of the restored server: %+v", again)
	}
	if key, err := back.personal.Key(t.Context(), "tecpet", "clinic-1"); err != nil || key == nil {
		t.Errorf("the key of texts was not restored: %v", err)
	}
	if report, err := back.Verify(t.Context(), "", nil); err != nil || !report.OK {
		t.Errorf("verify: %+v (%v)", report, err)
	}
}
