package credentials

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

const pepperSize = 32

// pepper is the one secret of the server, split into a key per purpose so that a value computed for
// one can never pass for another. The file's bytes themselves are not kept.
type pepper struct {
	record  []byte // MAC of stored records
	subject []byte // hash of (tenant, actor) and (tenant, account) in subjects
	pin     []byte // HMAC of a PIN before its slow hash
	seal    []byte // AES-256-GCM of TOTP secrets
	token   []byte // MAC of account tokens
	other   []byte // what the secrets of other packages are derived from
	check   string // public: tells a wrong pepper from an altered record

	apiKeys sync.Pool // of *keyHash
}

func newPepper(secret []byte) (*pepper, error) {
	p := &pepper{}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, "creditstream credentials v1 "+purpose, sha256.Size)
	}
	var apiKey, check []byte
	for purpose, into := range map[string]*[]byte{
		"record": &p.record, "subject": &p.subject, "pin": &p.pin, "seal": &p.seal,
		"token": &p.token, "other": &p.other, "api key": &apiKey, "check": &check,
	} {
		key, err := derive(purpose)
		if err != nil {
			return nil, fmt.Errorf("derive the %s key: %w", purpose, err)
		}
		*into = key
	}
	p.check = hex.EncodeToString(check)
	p.apiKeys.New = func() any { return &keyHash{mac: hmac.New(sha256.New, apiKey)} }
	return p, nil
}

// readPepper reads the pepper file. It must be a regular file of 32 bytes that only its owner may
// read. A missing file is an fs.ErrNotExist.
func readPepper(path string) (*pepper, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() != pepperSize {
		return nil, fmt.Errorf("%w file %s is not a file of %d bytes: restore it from its backup", ErrPepper, path, pepperSize)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w file %s may be read by others (mode %04o): chmod 0600 it", ErrPepper, path, info.Mode().Perm())
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(secret) != pepperSize {
		return nil, fmt.Errorf("%w file %s changed while it was read", ErrPepper, path)
	}
	return newPepper(secret)
}

// createPepper writes a new pepper file, synced with its directory before anything is hashed with it:
// a pepper lost to a power cut would take every credential with it.
func createPepper(path string) (err error) {
	secret := make([]byte, pepperSize)
	rand.Read(secret)
	f, err := os.CreateTemp(filepath.Dir(path), ".pepper-*") // mode 0600
	if err != nil {
		return fmt.Errorf("create pepper file: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, werr := f.Write(secret)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write pepper file: %w", err)
	}
	// A link, not a rename: of two processes that start together one wins, and both use its file.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create pepper file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

// mac is HMAC-SHA256 over the parts, each with its length before it so that no two lists of parts
// are the same bytes.
func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	var size [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	return h.Sum(nil)
}

// subjectOf hides tenant, actor and account from whoever may list the stream's subjects.
func (p *pepper) subjectOf(prefix, tenant, name string) string {
	return prefix + hex.EncodeToString(mac(p.subject, []byte(prefix), []byte(tenant), []byte(name))[:16])
}

// keyHash is the scratch space of one Authenticate: hashing a key allocates nothing.
type keyHash struct {
	mac hash.Hash
	in  [keySize]byte
	out [sha256.Size]byte
}

// sum hashes k.in into k.out.
func (k *keyHash) sum() []byte {
	k.mac.Reset()
	k.mac.Write(k.in[:])
	return k.mac.Sum(k.out[:0])
}
