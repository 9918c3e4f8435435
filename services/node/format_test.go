package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A directory that a newer program laid out is refused, and the program that is needed is named. One from before
// there were marks is taken, and marked.
func TestANewerDataDirectoryIsRefused(t *testing.T) {
	data := t.TempDir()
	if err := claimFormat(data); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, "format")
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), `{"format":1,"program":"credits `) {
		t.Errorf("marked as %s (%v)", text, err)
	}
	for wrong, names := range map[string]string{
		`{"format":2,"program":"credits v9.9.9"}`: "credits v9.9.9",
		`{"form`: "damaged", `{}`: "damaged",
	} {
		if err := os.WriteFile(path, []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := Start(t.Context(), Config{Data: data})
		if err == nil {
			_ = n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
