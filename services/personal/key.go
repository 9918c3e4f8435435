package personal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"creditstream/events/credit"
)

// The sizes of a key's secret and of its name, in bytes.
const (
	secretSize = 32
	nameSize   = 8
)

// ErrErased says that the key of a sealed text was destroyed: nobody can read it.
var ErrErased = errors.New("erased")

// ErrAltered says that a sealed text is not what was sealed with the account's key.
var ErrAltered = errors.New("a sealed text was altered")

// Key seals and opens the texts of one account. It may be used concurrently.
type Key struct {
	mark  string // "sealed:1:<name>:", what its texts begin with
	aead  cipher.AEAD
	nonce []byte
}

// newKey derives what is needed from the secret. The name is public: it tells a text whose key was destroyed
// from one that was altered.
func newKey(secret []byte) (*Key, error) {
	derive := func(purpose string, size int) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, "creditstream personal v1 "+purpose, size)
	}
	text, err1 := derive("text", chacha20poly1305.KeySize)
	nonce, err2 := derive("nonce", sha256.Size)
	name, err3 := derive("name", nameSize)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(text)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return &Key{mark: credit.SealedMark + hex.EncodeToString(name) + ":", aead: aead, nonce: nonce}, nil
}

// Seal returns the text sealed. The nonce is derived from the text (as in RFC 5297), so that the same text of
// an account is sealed to the same bytes: metadata that is put again is no change, and no counter of nonces
// has to survive a crash.
func (k *Key) Seal(text string) string {
	h := hmac.New(sha256.New, k.nonce)
	h.Write([]byte(text))
	nonce := h.Sum(nil)[:chacha20poly1305.NonceSizeX]
	sealed := k.aead.Seal(nonce, nonce, []byte(text), []byte(k.mark))
	return k.mark + base64.RawURLEncoding.EncodeToString(sealed)
}

// Open returns the text that was sealed; a text that is not sealed is returned as it is. Errors: ErrErased for
// a text of another key, which was destroyed, and ErrAltered. A nil Key opens nothing.
func (k *Key) Open(text string) (string, error) {
	if !credit.IsSealed(text) {
		return text, nil
	}
	if k == nil || !strings.HasPrefix(text, k.mark) {
		return "", ErrErased
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text[len(k.mark):])
	if err != nil || len(sealed) < chacha20poly1305.NonceSizeX {
		return "", ErrAltered
	}
	opened, err := k.aead.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], []byte(k.mark))
	if err != nil {
		return "", ErrAltered
	}
	return string(opened), nil
}
