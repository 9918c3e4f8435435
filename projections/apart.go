package projections

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Records that are put in order (Batch.PutInOrder) get tables of their own: behind those that are there already there
// is nothing to merge them with. In one table with records that are written all over, which a memtable
// becomes otherwise, they would make each merge of those read and write the whole index again: more and more of it as
// it grows.
//
// A table for itself pays only where there is much to put into it: with a thousand views in one store each
// memtable would become thousands of tables. So it is done for the views that wrote much lately.

const (
	// muchInOrder is how many bytes a view puts in order until it is one of those: about as much as makes a table.
	muchInOrder = 1 << 20
	// mostApart is how many views have tables of their own at most: half of those that can write as much into one memtable.
	mostApart = 8
)

// apart is the views that have tables of their own, and where those begin and end. It may be used concurrently.
type apart struct {
	mu     sync.Mutex
	latest [][]byte // what the keys of these records begin with, of the view that wrote much last first
	border atomic.Pointer[[][]byte]
}

// wrote notes that a view put much in order; prefix is what the keys of these records begin with.
func (a *apart) wrote(prefix []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.latest, func(other []byte) bool { return bytes.Equal(other, prefix) })
	if i < 0 {
		a.latest = append(a.latest, prefix)
		i = len(a.latest) - 1
	}
	copy(a.latest[1:i+1], a.latest[:i])
	a.latest[0] = prefix
	a.latest = a.latest[:min(len(a.latest), mostApart)]
	border := make([][]byte, 0, 2*len(a.latest))
	for _, prefix := range a.latest {
		border = append(border, prefix, after(prefix))
	}
	slices.SortFunc(border, bytes.Compare)
	a.border.Store(&border)
}

// policy tells Pebble where a table that begins with a key has to end at the latest.
func (a *apart) policy(start []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	border := a.border.Load()
	if border == nil {
		return policy, nil, nil
	}
	for _, key := range *border {
		if bytes.Compare(key, start) > 0 {
			return policy, key, nil
		}
	}
	return policy, nil, nil
}
