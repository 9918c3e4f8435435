package statement

import (
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// Describe writes one record for people.
func (Fold) Describe(key, value []byte) (name, content string) {
	if len(key) == 0 {
		return "checkpoint", fmt.Sprintf("%x", value)
	}
	var s state
	switch key[0] {
	case tagState:
		if ended, err := s.decode(value); err == nil {
			return fmt.Sprintf("statement of account %s", key[1:]),
				fmt.Sprintf("%d facts, cycle %d, remaining %d, %d ended lots, a snapshot in %d bytes at the earliest, stretches since %v", s.facts, s.cycle, s.remaining, ended, s.until, s.early)
		}
	case tagEnded:
		if s.decodeEnded(value) == nil {
			return fmt.Sprintf("ended lots of account %s", key[1:]), fmt.Sprint(s.ended)
		}
	case tagFact:
		account, n, ok := cutNumbered(key)
		var r Record
		if ok && r.decode(n, value) == nil {
			return fmt.Sprintf("fact %d of account %s", n, account), fmt.Sprintf("commit %d, entry %d, fact %d, %s at %s, recorded %s, key %q by %q, remaining %d, stretches since %v: %s",
				r.At.Sequence, r.At.Offset, r.Index, r.Kind, r.Time.Format(time.RFC3339Nano), r.Recorded.Format(time.RFC3339Nano), r.Key, r.Actor, r.Remaining, r.early, r.Data)
		}
	case tagSnapshot:
		if account, n, ok := cutNumbered(key); ok {
			return fmt.Sprintf("account %s after fact %d", account, n), describeSnapshot(account, value)
		}
	}
	return fmt.Sprintf("key %q", key), fmt.Sprintf("%x", value)
}

// describeSnapshot says the terms; a difference that is not in them is in the bytes.
func describeSnapshot(account string, value []byte) string {
	a, err := credit.RestoreSnapshot(account, value)
	if err != nil {
		return fmt.Sprintf("%v: %x", err, value)
	}
	text := fmt.Sprintf("plan %q, cycle %d", a.Plan(), a.Cycle().Number)
	for _, p := range a.Pools() {
		text += fmt.Sprintf(", pool %s %+v", p.Name, p.Terms)
	}
	return fmt.Sprintf("%s: %x", text, value)
}

// Own is where an account stands, its facts, and its snapshots.
func (Fold) Own(account string) [][2][]byte {
	facts, snapshots := projections.AppendText([]byte{tagFact}, account), projections.AppendText([]byte{tagSnapshot}, account)
	state, ended := appendState(nil, account), appendEnded(nil, account)
	return [][2][]byte{all(facts), all(snapshots), only(state), only(ended)}
}

// all is the range of the keys that start with one.
func all(key []byte) [2][]byte { return [2][]byte{key, append(key[:len(key):len(key)], 0xff)} }

// only is the range of one key.
func only(key []byte) [2][]byte { return [2][]byte{key, append(key[:len(key):len(key)], 0)} }
