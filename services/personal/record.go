package personal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// A message of the stream is one byte of format, a random nonce of 24 bytes, and the secret of a key,
// encrypted with XChaCha20-Poly1305 under a key of the server; the subject is authenticated with it. The
// subject is a keyed hash of tenant and account: who may list subjects learns no names.
const recordFormat = 1

// ErrRecord says that a message of the stream is not what this server wrote: it was altered, or the pepper is
// another one.
var ErrRecord = errors.New("a personal key cannot be read: it was altered, or written with another pepper")

// guard is what the server's secret is split into, a key per purpose.
type guard struct {
	aead cipher.AEAD
	name []byte
	hash []byte
}

func newGuard(secret []byte) (*guard, error) {
	if len(secret) < secretSize {
		return nil, fmt.Errorf("the secret has %d bytes, not %d", len(secret), secretSize)
	}
	var keys [3][]byte
	for i, purpose := range [...]string{"wrap", "subject", "content hash"} {
		key, err := hkdf.Key(sha256.New, secret, nil, "creditstream personal guard v1 "+purpose, secretSize)
		if err != nil {
			return nil, fmt.Errorf("derive the %s key: %w", purpose, err)
		}
		keys[i] = key
	}
	aead, err := chacha20poly1305.NewX(keys[0])
	if err != nil {
		return nil, err
	}
	return &guard{aead: aead, name: keys[1], hash: keys[2]}, nil
}

func (g *guard) subject(tenant, account string) string {
	m := hmac.New(sha256.New, g.name)
	fmt.Fprintf(m, "%d:%s%s", len(tenant), tenant, account)
	return "personal." + hex.EncodeToString(m.Sum(nil)[:16])
}

func (g *guard) wrap(subject string, secret []byte) ([]byte, error) {
	body := make([]byte, 1+g.aead.NonceSize(), 1+g.aead.NonceSize()+len(secret)+g.aead.Overhead())
	body[0] = recordFormat
	if _, err := rand.Read(body[1:]); err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	return g.aead.Seal(body, body[1:], secret, []byte(subject)), nil
}

func (g *guard) open(subject string, body []byte) ([]byte, error) {
	if len(body) < 1+g.aead.NonceSize() || body[0] != recordFormat {
		return nil, ErrRecord
	}
	nonce, sealed := body[1:1+g.aead.NonceSize()], body[1+g.aead.NonceSize():]
	secret, err := g.aead.Open(nil, nonce, sealed, []byte(subject))
	if err != nil || len(secret) != secretSize {
		return nil, ErrRecord
	}
	return secret, nil
}
