package api

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"creditstream/events/credit"
)

// codeField never enters a content hash: a code is new at each try, and no secret may be guessed from a
// hash that stands in the journal.
const codeField = "approval_code"

var hashes = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// contentHash is what an idempotency key is bound to: the operation and the fields as sent. Space, the
// order of fields and the way characters are escaped do not count; a field that is absent is not the
// same as one with its default value.
func contentHash(sent object, operation ...string) credit.Hash {
	buf := hashes.Get().(*[]byte)
	dst := binary.AppendUvarint((*buf)[:0], uint64(len(operation)))
	for _, part := range operation {
		dst = appendText(dst, part)
	}
	if sent.get(codeField) != nil {
		sent = slices.DeleteFunc(slices.Clone(sent), func(m member) bool { return m.name == codeField })
	}
	dst = sent.appendCanonical(dst)
	sum := sha256.Sum256(dst)
	*buf = dst
	hashes.Put(buf)
	return credit.Hash(sum[:len(credit.Hash{})])
}

func (o object) appendCanonical(dst []byte) []byte {
	var few [16]int
	order := few[:0]
	for i := range o {
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(o[a].name, o[b].name) })
	dst = binary.AppendUvarint(append(dst, '{'), uint64(len(order)))
	for _, i := range order {
		dst = appendText(dst, o[i].name)
		dst = o[i].value.appendCanonical(dst)
	}
	return dst
}

func (v value) appendCanonical(dst []byte) []byte {
	switch v[0] {
	case '{':
		return v.members().appendCanonical(dst)
	case '[':
		elements := v.elements()
		dst = binary.AppendUvarint(append(dst, '['), uint64(len(elements)))
		for _, e := range elements {
			dst = e.appendCanonical(dst)
		}
		return dst
	case '"':
		return appendText(append(dst, '"'), v.unquote())
	default:
		return appendText(append(dst, '#'), string(v))
	}
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
