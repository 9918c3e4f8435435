package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Format is the version of what this file defines: the headers, and how hashes
// are computed. A journal keeps the one that it was created with.
const Format = 1

// ContentType is that of every commit's body.
const ContentType = "application/cloudevents-batch+json"

// Headers of a commit. The Nats-* ones are JetStream's own, are the fence, and
// stay in the stored message; newPendingRing says what the last two are for.
const (
	headerContentType = "Content-Type"
	headerHash        = "Creditstream-Hash"
	headerPrev        = "Creditstream-Prev"
	headerExpectedSeq = "Nats-Expected-Last-Sequence"
	headerExpectedID  = "Nats-Expected-Last-Msg-Id"
	headerID          = "Nats-Msg-Id"
)

// Name says which journal: tenant is [a-z0-9-]{1,32}, shard counts from 0.
type Name struct {
	Tenant string
	Shard  int
}

var tenantName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Stream is the name of the JetStream stream, "JOURNAL_<tenant>_<shard>".
func (n Name) Stream() string { return "JOURNAL_" + n.Tenant + "_" + strconv.Itoa(n.Shard) }

// Subject is the one subject of the stream, "journal.<tenant>.<shard>".
func (n Name) Subject() string { return "journal." + n.Tenant + "." + strconv.Itoa(n.Shard) }

// String is for people: "<tenant>/<shard>".
func (n Name) String() string { return n.Tenant + "/" + strconv.Itoa(n.Shard) }

func (n Name) check() error {
	if !tenantName.MatchString(n.Tenant) {
		return fmt.Errorf("tenant %q: it is 1 to 32 of a-z, 0-9 and -", n.Tenant)
	}
	if n.Shard < 0 {
		return fmt.Errorf("shard %d: it counts from 0", n.Shard)
	}
	return nil
}

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// String is the hash in 64 lower-case hexadecimal digits, as in the headers.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the form of String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the form of String.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("hash has %d digits instead of %d", len(text), hex.EncodedLen(len(h)))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("hash: %w", err)
	}
	return nil
}

// Head is a place in a journal, right after the commit with this sequence. It is
// what a view stores with its data. Sequence 0 is the start; its hash is that of
// the journal's identity.
type Head struct {
	// Journal is the id (a UUID) that the journal got when it was created.
	Journal  string
	Sequence uint64
	Hash     Hash
}

// Commit is one message of a journal. Its Head is the place after it.
type Commit struct {
	Head
	// Prev is the hash of the place before it.
	Prev Hash
	// Fence is the sequence that its writer expected to be the last one before it: with
	// nothing else would the server have taken it. NoFence when there was none.
	Fence uint64
	// Body is a JSON array of CloudEvents: empty ("[]") where a writer took over.
	Body []byte
	// Stored is when the server took it, by the server's clock. No rule reads it.
	Stored time.Time

	id string // of the message, by which its writer knows it again
}

// NoFence is the Fence of a commit that was stored without one.
const NoFence = 1<<64 - 1

// startHash is the hash before the first commit: SHA-256 of four lines, each
// ended by a line feed, none of which can contain one.
//
//	creditstream-journal/<format>
//	<tenant>
//	<shard, decimal>
//	<journal id>
func startHash(name Name, journal string) Hash {
	return sha256.Sum256(fmt.Appendf(nil, "creditstream-journal/%d\n%s\n%d\n%s\n", Format, name.Tenant, name.Shard, journal))
}

// nextHash is SHA-256(prev ‖ body).
func nextHash(prev Hash, body []byte) (h Hash) {
	digest := sha256.New()
	digest.Write(prev[:])
	digest.Write(body)
	digest.Sum(h[:0])
	return h
}

// parseCommit reads a stored message and checks its hash against its own headers.
func parseCommit(journal string, sequence uint64, header nats.Header, body []byte, stored time.Time) (Commit, error) {
	c := Commit{Head: Head{Journal: journal, Sequence: sequence}, Body: body, Stored: stored, id: header.Get(headerID)}
	var err error
	if c.Fence, err = strconv.ParseUint(header.Get(headerExpectedSeq), 10, 64); err != nil {
		c.Fence = NoFence
	}
	if err := c.Hash.UnmarshalText([]byte(header.Get(headerHash))); err != nil {
		return Commit{}, fmt.Errorf("header %s: %w", headerHash, err)
	}
	if err := c.Prev.UnmarshalText([]byte(header.Get(headerPrev))); err != nil {
		return Commit{}, fmt.Errorf("header %s: %w", headerPrev, err)
	}
	if nextHash(c.Prev, body) != c.Hash {
		return Commit{}, errors.New("the body does not have the hash that its header names")
	}
	return c, nil
}
