package node_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"creditstream/services/node"
)

// secretText is what nobody may find anywhere once it was written.
const secretText = "Maria-Silva-of-Rua-Augusta"

// write puts it into everything that people write about an account.
func write(t *testing.T, s site) {
	t.Helper()
	note := `"` + secretText + `"`
	s.put(t, "accounts/a", `{"plan":"small","metadata":{"shop":`+note+`,"n":7}}`).is(t, 200).want(t, "metadata", `{"n":7,"shop":`+note+`}`)
	s.put(t, "accounts/a", `{"metadata":{"shop":`+note+`}}`).is(t, 200) // the same again is no change
	s.post(t, "accounts/a/usage", `{"meter":"one","quantity":3,"description":`+note+`,"attributes":{"who":`+note+`,"n":[1,2]}}`, "u").is(t, 200)
	s.post(t, "accounts/a/usage", `{"meter":"one","quantity":3,"description":`+note+`,"attributes":{"who":`+note+`,"n":[1,2]}}`, "u").is(t, 200).want(t, "replayed", "true")
	s.post(t, "accounts/a/usage", `{"meter":"one","quantity":3,"description":"another","attributes":{"who":`+note+`,"n":[1,2]}}`, "u").refused(t, 409, "idempotency_conflict")
	s.post(t, "accounts/a/holds", `{"meter":"one","quantity":1,"description":`+note+`}`, "h").is(t, 201)
	s.post(t, "accounts/a/grants", `{"pool":"bought","credits":"5","kind":"goodwill","reason":`+note+`}`, "g").is(t, 201)
	s.post(t, "accounts/a/lots/l2/revoke", `{"reason":`+note+`}`, "rv").is(t, 200)
	s.post(t, "accounts/a/usage/u/reverse", `{"quantity":1,"reason":`+note+`}`, "rr").is(t, 200)
	event := `{"specversion":"1.0","type":"creditstream.usage","id":"e","source":"/x","subject":"a","data":{"meter":"one","quantity":2,"description":` + note + `}}`
	s.post(t, "events", event).is(t, 200).want(t, "results.0.status", "recorded")
	js, err := jetstream.New(connect(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "intake.lab.usage", []byte(strings.Replace(event, `"e"`, `"i"`, 1))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the intake is recorded", func() bool {
		return s.get(t, "accounts/a/history?type=usage").text("entries.#") == "3"
	})
	batch := `{"account":"imported","plan":"small","metadata":{"shop":` + note + `}}` + "\n"
	s.send(t, http.MethodPost, "accounts/batch", batch, http.Header{"Content-Type": {"application/x-ndjson"}, "Idempotency-Key": {"import"}}).is(t, 200)
	s.post(t, "accounts/a/close", `{"reason":`+note+`}`).is(t, 200)
	s.post(t, "accounts/a/reopen", `{"reason":`+note+`}`).is(t, 200)
	s.post(t, "accounts/nobody/usage", `{"meter":"one","quantity":3,"description":`+note+`}`, "x").refused(t, 404, "unknown_account")
}

// What people write about an account can be read until it is erased, and then by nobody: it stands in no file of
// the server, before and after, while the chain verifies, balances stay, and a rebuild gives the same.
func TestErasure(t *testing.T) {
	s := openLab(t)
	write(t, s)
	lines := s.get(t, "accounts/a/history").is(t, 200)
	if n := strings.Count(string(lines.raw), secretText); n != 8 {
		t.Errorf("what was written is shown %d times:\n%s", n, string(lines.raw))
	}
	s.get(t, "accounts/a").is(t, 200).want(t, "metadata.n", "7", "metadata.shop", secretText)
	s.get(t, "accounts/imported").is(t, 200).want(t, "metadata.shop", secretText)
	before := s.balance(t, "a")

	s.send(t, http.MethodDelete, "accounts/a/personal", "", nil).is(t, 200).want(t, "erased", "true")
	s.send(t, http.MethodDelete, "accounts/a/personal", "", nil).is(t, 200)
	s.send(t, http.MethodDelete, "accounts/nobody/personal", "", nil).refused(t, 404, "unknown_account")
	erased := func(s site) {
		t.Helper()
		lines := s.get(t, "accounts/a/history").is(t, 200)
		if strings.Contains(string(lines.raw), secretText) || strings.Contains(string(lines.raw), "sealed:") || strings.Count(string(lines.raw), `"erased":true`) != 7 {
			t.Errorf("after the erasure the history shows\n%s", string(lines.raw))
		}
		s.get(t, "accounts/a").is(t, 200).want(t, "metadata", "{}")
		s.get(t, "accounts/imported").is(t, 200).want(t, "metadata.shop", secretText) // another account's key
		if now := s.balance(t, "a"); termsOf(now) != termsOf(before) || now.text("pools") != before.text("pools") {
			t.Errorf("the balance was\n%s\nand is\n%s", before.raw, now.raw)
		}
		s.get(t, "accounts/a/history?type=erasure").is(t, 200).want(t, "entries.0.credits", "0")
		s.post(t, "/v1/admin/verify", "").is(t, 200).want(t, "ok", "true")
	}
	erased(s)
	// What was asked before is known for what it was.
	s.post(t, "accounts/a/usage", `{"meter":"one","quantity":3,"description":"`+secretText+`","attributes":{"who":"`+secretText+`","n":[1,2]}}`, "u").is(t, 200).want(t, "replayed", "true")
	for _, view := range []string{"accounts", "statement"} {
		s.post(t, "/v1/admin/views/"+view+"/rebuild", "").is(t, 200)
	}
	erased(s)
	// Texts written later have a key of their own.
	s.post(t, "accounts/a/usage", `{"meter":"one","quantity":1,"description":"later"}`, "later").is(t, 200)
	s.get(t, "accounts/a/history?limit=1").is(t, 200).want(t, "entries.0.description", "later")
}

// No file of the server has the text in it.
func TestTheDiskHasNoTexts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, err := node.Start(t.Context(), node.Config{
		Data: dir, Listen: "127.0.0.1:0", NATSListen: "127.0.0.1:0", Dev: true, TestClock: instant(t, "2026-01-31T12:00:00Z"),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := publishLab(t, site{http: n.HTTP(), nats: n.NATS()})
	write(t, s)
	s.post(t, "/v1/admin/verify", "").is(t, 200).want(t, "ok", "true")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range filesWith(t, dir, []byte(secretText)) {
		if !strings.Contains(path, "INTAKE") { // what is handed in there is not ours yet: docs/PERSONAL.md says so
			t.Errorf("what was written stands in %s", path)
		}
	}
	for _, kind := range []string{"JOURNAL_lab_0", "accounts", "statement"} {
		if !slices.ContainsFunc(filesWith(t, dir, []byte("sealed:1:")), func(path string) bool { return strings.Contains(path, kind) }) {
			t.Errorf("no file of %s has a sealed text: this test looks in the wrong place", kind)
		}
	}
}

func filesWith(t *testing.T, dir string, text []byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
