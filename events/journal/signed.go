package journal

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// SignedHead is a place in a journal, and the word of whoever has the key that the journal was there at a time.
//
// A chain of hashes shows that something in the middle was changed, and an anchor that the end was cut off. Who
// can write to the whole machine can do both at once: compute the chain anew from a changed commit on, and put
// anchor and views right. A signed head that is kept where he cannot write is not on the new chain.
type SignedHead struct {
	Tenant   string    `json:"tenant"`
	Shard    int       `json:"shard"`
	Journal  string    `json:"journal"`
	Sequence uint64    `json:"sequence"`
	Hash     Hash      `json:"hash"`
	Time     time.Time `json:"time"`
	// Key is the public key, Signature that of the text of Signed; both base64 (RFC 4648 §4).
	Key       string `json:"key"`
	Signature string `json:"signature"`
}

// ErrSignature says that a head was not signed with the key that it names, or not with the one expected.
var ErrSignature = errors.New("the signature is not that of the head")

// Sign states a head.
func Sign(key ed25519.PrivateKey, name Name, head Head, at time.Time) SignedHead {
	s := SignedHead{
		Tenant: name.Tenant, Shard: name.Shard, Journal: head.Journal, Sequence: head.Sequence, Hash: head.Hash, Time: at.UTC(),
		Key: base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)),
	}
	s.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, s.Signed()))
	return s
}

// Signed is the text that is signed: seven lines, each ended by a line feed.
//
//	creditstream-head/1
//	<tenant>
//	<shard, decimal>
//	<journal id>
//	<sequence, decimal>
//	<hash, hexadecimal>
//	<time, RFC 3339 with nanoseconds, UTC>
func (s *SignedHead) Signed() []byte {
	return fmt.Appendf(nil, "creditstream-head/1\n%s\n%d\n%s\n%d\n%s\n%s\n", s.Tenant, s.Shard, s.Journal, s.Sequence, s.Hash, s.Time.UTC().Format(time.RFC3339Nano))
}

// Name says which journal it is about.
func (s *SignedHead) Name() Name { return Name{s.Tenant, s.Shard} }

// Head is the place.
func (s *SignedHead) Head() Head {
	return Head{Journal: s.Journal, Sequence: s.Sequence, Hash: s.Hash}
}

// Verify checks the signature: with the key given or, when that is nil, with the one that the head names.
func (s *SignedHead) Verify(expected ed25519.PublicKey) error {
	key, err := base64.StdEncoding.DecodeString(s.Key)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("head of %s at commit %d: %w: its key is none", s.Name(), s.Sequence, ErrSignature)
	}
	if expected != nil && !expected.Equal(ed25519.PublicKey(key)) {
		return fmt.Errorf("head of %s at commit %d: %w: it was signed with another key", s.Name(), s.Sequence, ErrSignature)
	}
	signature, err := base64.StdEncoding.DecodeString(s.Signature)
	if err != nil || !ed25519.Verify(key, s.Signed(), signature) {
		return fmt.Errorf("head of %s at commit %d: %w", s.Name(), s.Sequence, ErrSignature)
	}
	return nil
}

// maxHeadLine bounds one line of a file of heads.
const maxHeadLine = 4 << 10

// ReadHeads reads heads, one a line as JSON, and checks each signature as Verify does. A line that was not written
// to its end, which a crash can leave, does not count.
func ReadHeads(from io.Reader, expected ed25519.PublicKey) ([]SignedHead, error) {
	lines := bufio.NewReaderSize(from, maxHeadLine)
	var heads []SignedHead
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return heads, nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if len(line) == 1 {
			continue
		}
		var head SignedHead
		err = json.Unmarshal(line, &head)
		var broken *json.SyntaxError
		if errors.As(err, &broken) && broken.Offset >= int64(len(line))-1 {
			continue // it ends too early: the next start went on behind it
		}
		if err != nil {
			return nil, fmt.Errorf("line %d is not a signed head: %w", n, err)
		}
		if err := head.Verify(expected); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		heads = append(heads, head)
	}
}
