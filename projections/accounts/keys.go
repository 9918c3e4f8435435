package accounts

import (
	"encoding/binary"
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// The records, after the view's prefix (texts end with 0x00, see projections.AppendText):
//
//	a | account | part | id           one part of an account, as credit.Account.Drain lays it out
//	c | version (uint32)              a catalog: instant, source
//	d | instant (int64) | account     the next instant at which something falls due for an account
//	k | key | account                 an idempotency key: content hash, sequence, offset
//	p | purchase                      the account of a purchase
//
// All parts of an account lie side by side, so that loading it is one scan. Keys come before accounts in
// the index because they are mostly ordered by time (UUIDv7): the index then grows at its end.
const (
	tagAccount  = 'a'
	tagCatalog  = 'c'
	tagDue      = 'd'
	tagKey      = 'k'
	tagPurchase = 'p'
)

// The parts before PartReversed are what Load reads.
const loadUntil = byte(credit.PartReversed)

func appendAccount(dst []byte, account string) []byte {
	return projections.AppendText(append(dst, tagAccount), account)
}

func appendPart(dst []byte, account string, part credit.Part, id string) []byte {
	return append(append(appendAccount(dst, account), byte(part)), id...)
}

func appendKey(dst []byte, account, key string) []byte {
	return append(projections.AppendText(append(dst, tagKey), key), account...)
}

func appendPurchase(dst []byte, purchase string) []byte {
	return append(append(dst, tagPurchase), purchase...)
}

func appendCatalog(dst []byte, version uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, tagCatalog), version)
}

// appendDue takes the instant as Drain writes it: eight bytes, big-endian unix nanoseconds.
func appendDue(dst []byte, instant, account string) []byte {
	return append(append(append(dst, tagDue), instant...), account...)
}

// dueUntil is the key behind all that are due at t or earlier.
func dueUntil(t time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte{tagDue}, uint64(t.UnixNano())+1)
}

// Key is what the index knows of an idempotency key: which request it stood for, and where its entry is.
type Key struct {
	Hash     credit.Hash
	Sequence uint64
	// Offset is the entry's index among the entries of its commit, from 0.
	Offset uint32
}

const keySize = len(credit.Hash{}) + 12

func (k Key) append(dst []byte) []byte {
	dst = append(dst, k.Hash[:]...)
	dst = binary.BigEndian.AppendUint64(dst, k.Sequence)
	return binary.BigEndian.AppendUint32(dst, k.Offset)
}

func decodeKey(value []byte) (k Key, err error) {
	if len(value) != keySize {
		return Key{}, fmt.Errorf("record of an idempotency key: %w", projections.ErrDamaged)
	}
	n := copy(k.Hash[:], value)
	k.Sequence = binary.BigEndian.Uint64(value[n:])
	k.Offset = binary.BigEndian.Uint32(value[n+8:])
	return k, nil
}

// PublishedCatalog is one version of the tenant's rules.
type PublishedCatalog struct {
	Version uint32
	At      time.Time // in force from here on
	Source  string    // YAML
}

func (c PublishedCatalog) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.At.UnixNano()))
	return append(dst, c.Source...)
}

func decodeCatalog(key, value []byte) (PublishedCatalog, error) {
	if len(key) != 5 || len(value) < 8 {
		return PublishedCatalog{}, fmt.Errorf("record of a catalog: %w", projections.ErrDamaged)
	}
	return PublishedCatalog{
		Version: binary.BigEndian.Uint32(key[1:]),
		At:      time.Unix(0, int64(binary.BigEndian.Uint64(value))).UTC(),
		Source:  string(value[8:]),
	}, nil
}
