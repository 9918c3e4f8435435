package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"creditstream/events/journal"
	"creditstream/services/backup"
)

// small is a backup of two files and a stream in three parts.
func small(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := backup.NewWriter(&out, time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
	for name, text := range map[string]string{"views/usage/000001.sst": "a table", "catalogs/shop.sha256": ""} {
		if err := w.File(name, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	parts := w.Parts("streams/JOURNAL_shop_0")
	if _, err := parts.Write(bytes.Repeat([]byte("commit "), 300_000)); err != nil {
		t.Fatal(err)
	}
	if err := parts.Close(); err != nil {
		t.Fatal(err)
	}
	w.Manifest.Streams = append(w.Manifest.Streams, backup.Stream{Name: "JOURNAL_shop_0", Path: "streams/JOURNAL_shop_0", Config: json.RawMessage(`{}`), State: json.RawMessage(`{}`)})
	w.Manifest.Journals = append(w.Manifest.Journals, backup.Journal{Tenant: "shop", Shards: 1, Journal: "j", Sequence: 7})
	w.Manifest.Views = append(w.Manifest.Views, backup.View{View: "usage", Tenant: "shop", Journal: "j", Sequence: 7})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(ctx context.Context, t testing.TB, path string) (map[string]int64, error) {
	t.Helper()
	archive, err := backup.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string]int64)
	_, err = archive.Read(ctx, func(path string, size int64, content io.Reader) error {
		n, err := io.Copy(io.Discard, content)
		sizes[path] = n
		return err
	})
	return sizes, err
}

// Both forms hold the same files.
func TestBothForms(t *testing.T) {
	text := small(t)
	for _, name := range []string{"a.tar", "a"} {
		path := filepath.Join(t.TempDir(), name)
		m, err := backup.Receive(t.Context(), bytes.NewReader(text), path)
		if err != nil {
			t.Fatal(err)
		}
		sizes, err := read(t.Context(), t, path)
		if err != nil {
			t.Fatal(err)
		}
		if len(sizes) != 5 || sizes["streams/JOURNAL_shop_0/000003"] != 2_100_000-2<<20 || m.Bytes() != 2_100_007 {
			t.Errorf("%s holds %v", name, sizes)
		}
		if _, err := backup.Receive(t.Context(), bytes.NewReader(text), path); err == nil {
			t.Errorf("%s was overwritten", name)
		}
	}
}

// Whatever byte of a file is changed, the file is named.
func TestAChangedFileIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	if _, err := backup.Receive(t.Context(), bytes.NewReader(small(t)), dir); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		whole, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		wrong := [][]byte{append(bytes.Clone(whole), 10)}
		if len(whole) > 0 {
			flipped := bytes.Clone(whole)
			flipped[len(whole)/2] ^= 1
			wrong = append(wrong, flipped, whole[:len(whole)-1])
		}
		for i, text := range append(wrong, nil) {
			if text == nil {
				err = os.Remove(name)
			} else {
				err = os.WriteFile(name, text, 0o600)
			}
			if err != nil {
				return err
			}
			_, err := read(t.Context(), t, dir)
			if last := filepath.Base(name); last == "manifest.sha256" && (i == 0 || i == 2) {
				// A line feed more or less does not change what it says.
			} else if !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), strings.TrimSuffix(last, ".json")) && !strings.Contains(err.Error(), "manifest") {
				t.Errorf("%s, damage %d: %v", name, i, err)
			}
		}
		return os.WriteFile(name, whole, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), t, dir); err != nil {
		t.Errorf("put back: %v", err)
	}
}

// A tar file that ends early, wherever, is no backup, and nothing of it stays.
func TestACutTarIsRefused(t *testing.T) {
	text := small(t)
	dir := t.TempDir()
	for at := 0; at < len(text)-2048; at += len(text)/97 + 1 {
		_, err := backup.Receive(t.Context(), bytes.NewReader(text[:at]), filepath.Join(dir, "a"))
		if !errors.Is(err, backup.ErrDamaged) {
			t.Fatalf("cut at byte %d: %v", at, err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// What a backup's names and numbers may be.
func TestAManifestThatCannotBe(t *testing.T) {
	var out bytes.Buffer
	w := backup.NewWriter(&out, time.Now())
	for _, name := range []string{"../x", "/etc/passwd", "a/../b", "a//b", ".hidden", ""} {
		if err := w.File(name, 0, strings.NewReader("")); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("a file called %q: %v", name, err)
		}
	}
	w.Manifest.Journals = []backup.Journal{{Tenant: "shop", Journal: "j", Sequence: 7, Hash: journal.Hash{1}}}
	w.Manifest.Views = []backup.View{{View: "usage", Tenant: "shop", Journal: "j", Sequence: 8}}
	if err := w.Close(); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("a view that knows more than its journal: %v", err)
	}
	w.Manifest.Views, w.Manifest.Format, w.Manifest.Program = nil, backup.Format+1, "credits v9.9.9"
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := backup.Copy(t.Context(), &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "credits v9.9.9") {
		t.Errorf("a newer format: %v", err)
	}
}

// FuzzRead: no text makes the reader fail in disorder or write outside of its directory, and what is not the
// original is refused.
func FuzzRead(f *testing.F) {
	var out bytes.Buffer
	w := backup.NewWriter(&out, time.Unix(0, 0))
	if err := errors.Join(w.File("views/a/b", 1, strings.NewReader("x")), w.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		dir := t.TempDir()
		m, err := backup.Receive(t.Context(), bytes.NewReader(text), filepath.Join(dir, "to"))
		entries, readErr := os.ReadDir(dir)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if err != nil && len(entries) > 0 {
			t.Errorf("refused (%v), but left %v", err, entries)
		}
		if err == nil && len(m.Files) > 0 {
			if _, err := read(t.Context(), t, filepath.Join(dir, "to")); err != nil {
				t.Errorf("stored, but then %v", err)
			}
		}
	})
}
