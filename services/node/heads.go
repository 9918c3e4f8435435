package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"creditstream/events/journal"
	"creditstream/services/accounts"
)

// signer signs where the journals stand and appends that to a file, which should be where nobody who can write to
// the data directory can change it: another machine's disk, an object store that keeps every version.
type signer struct {
	key   ed25519.PrivateKey
	path  string
	every time.Duration
	clock accounts.Clock
	log   *slog.Logger
	last  map[journal.Name]journal.Head // what was written
	stop  context.CancelFunc
	ended chan struct{}
}

// headKeyFile is the key in the data directory, when none is given.
const headKeyFile = "head-key.pem"

// readHeadKey reads the ed25519 key that heads are signed with: PKCS #8 in PEM, as "openssl genpkey -algorithm
// ed25519" writes it. Where make is set and there is none, it is made.
func readHeadKey(path string, make bool) (ed25519.PrivateKey, error) {
	content, err := os.ReadFile(path)
	if make && errors.Is(err, fs.ErrNotExist) {
		return makeHeadKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key for heads: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the key for heads: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key for heads, %s, may be read by others (mode %04o): chmod 0600 it", path, info.Mode().Perm())
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s is not a private key in PEM (PKCS #8)", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s is not an ed25519 key: make one with openssl genpkey -algorithm ed25519", path)
	}
	return key, nil
}

func makeHeadKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for heads: %w", err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a key for heads: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a key for heads: %w", err)
	}
	err = pem.Encode(file, &pem.Block{Type: "PRIVATE KEY", Bytes: text})
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("make a key for heads: %w", err), os.Remove(path))
	}
	return key, nil
}

// defaultHeadsEvery is how often heads are written to a file.
const defaultHeadsEvery = time.Minute

// openHeads reads or makes the key, and starts to write heads where a file is configured.
func (n *Node) openHeads() error {
	h := &n.heads
	path := n.cfg.HeadKey
	if path == "" {
		path = filepath.Join(n.cfg.Data, headKeyFile)
	}
	var err error
	if h.key, err = readHeadKey(path, n.cfg.HeadKey == ""); err != nil {
		return err
	}
	h.path, h.every, h.clock, h.log, h.last = n.cfg.Heads, n.cfg.HeadsEvery, n.clock, n.log, make(map[journal.Name]journal.Head)
	if h.every <= 0 {
		h.every = defaultHeadsEvery
	}
	if h.path == "" {
		return nil
	}
	if err := h.write(n.openJournals()); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop, h.ended = stop, make(chan struct{})
	go func() {
		defer close(h.ended)
		h.run(ctx, n.openJournals)
	}()
	return nil
}

// run writes until ctx ends, and once more then.
func (h *signer) run(ctx context.Context, journals func() []*journal.Journal) {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()
	for ended := false; !ended; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ended = true
		}
		if err := h.write(journals()); err != nil {
			h.log.Error("a rewritten journal might not be noticed", "error", err)
		}
	}
}

// close writes the last heads. It comes before the journals are closed.
func (h *signer) close() {
	if h.stop != nil {
		h.stop()
		<-h.ended
		h.stop = nil
	}
}

func (h *signer) sign(j *journal.Journal) journal.SignedHead {
	return journal.Sign(h.key, j.Name(), j.Head(), h.clock.Now())
}

// write appends the heads that moved, and syncs the file.
func (h *signer) write(journals []*journal.Journal) error {
	var lines []byte
	moved := make(map[journal.Name]journal.Head)
	for _, j := range journals {
		if head := j.Head(); head.Sequence > 0 && head != h.last[j.Name()] {
			line, err := json.Marshal(h.sign(j))
			if err != nil {
				return fmt.Errorf("write signed heads: %w", err)
			}
			lines = append(append(lines, line...), '\n')
			moved[j.Name()] = head
		}
	}
	if len(lines) == 0 {
		return nil
	}
	file, err := os.OpenFile(h.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("write signed heads: %w", err)
	}
	if len(h.last) == 0 {
		lines = append([]byte{'\n'}, lines...) // the last line may be half a one
	}
	_, err = file.Write(lines)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write signed heads: %w", err)
	}
	for name, head := range moved {
		h.last[name] = head
	}
	return nil
}

// SignedHeads are where a tenant's journals stand, signed.
func (n *Node) SignedHeads(tenant string) []journal.SignedHead {
	var signed []journal.SignedHead
	for _, j := range n.openJournals() {
		if j.Name().Tenant == tenant {
			signed = append(signed, n.heads.sign(j))
		}
	}
	return signed
}
