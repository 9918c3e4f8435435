package journal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Whatever stands in a stored message, only the commit that comes next is taken for it, and what is refused moves
// nothing. `go test -fuzz NAME ./events/journal` looks for more than the seeds.

// FuzzChain hands a message to a chain that has one commit so far, and then the one that really follows.
func FuzzChain(f *testing.F) {
	start := startHash(Name{Tenant: "acme"}, "id")
	body := func(n int) []byte { return []byte(`[{"n":` + strconv.Itoa(n) + `}]`) }
	hash := func(prev Hash, body []byte) Hash { return sha256.Sum256(append(prev[:], body...)) }
	first := hash(start, body(1))
	second := hash(first, body(2))
	f.Add(uint64(2), second.String(), first.String(), "1", body(2))
	f.Add(uint64(2), strings.ToUpper(second.String()), first.String(), "", body(2))
	f.Add(uint64(2), second.String(), first.String(), "1", body(3))
	f.Add(uint64(2), hash(start, body(2)).String(), start.String(), "0", body(2)) // sound by itself, and of another place
	f.Add(uint64(1), first.String(), start.String(), "0", body(1))
	f.Add(uint64(3), second.String(), first.String(), "2", body(2))
	f.Add(uint64(2), "", "zz", "-1", []byte{})
	f.Fuzz(func(t *testing.T, sequence uint64, named, prev, fence string, text []byte) {
		chain := link{journal: "id", next: 2, prev: first}
		header := nats.Header{headerHash: {named}, headerPrev: {prev}, headerExpectedSeq: {fence}}
		c, err := chain.join(delivery{&nats.Msg{Header: header, Data: text}, sequence, time.Time{}})
		if err == nil {
			want := sha256.Sum256(append(bytes.Clone(first[:]), text...))
			if sequence != 2 || !strings.EqualFold(named, hex.EncodeToString(want[:])) || !strings.EqualFold(prev, first.String()) {
				t.Errorf("commit %d with hash %q after %q was taken for the second one", sequence, named, prev)
			}
			if n, err := strconv.ParseUint(fence, 10, 64); err != nil && c.Fence != NoFence || err == nil && c.Fence != n {
				t.Errorf("fence %q was read as %d", fence, c.Fence)
			}
			return
		}
		header = nats.Header{headerHash: {second.String()}, headerPrev: {first.String()}, headerExpectedSeq: {"1"}}
		if _, err := chain.join(delivery{&nats.Msg{Header: header, Data: body(2)}, 2, time.Time{}}); err != nil {
			t.Errorf("after a message that was refused the real one is refused, too: %v", err)
		}
	})
}

// FuzzHeads reads files of signed heads: what is taken from one is signed with the key that is expected.
func FuzzHeads(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	written, err := json.Marshal(Sign(key, Name{Tenant: "acme"}, Head{Journal: "id", Sequence: 7, Hash: Hash{1}}, time.Unix(1, 2)))
	if err != nil {
		f.Fatal(err)
	}
	line := string(written)
	f.Add(line + "\n" + line[:20])
	f.Add(strings.Replace(line, `"sequence":7`, `"sequence":8`, 1) + "\n")
	f.Add("\n\n{}\n" + strings.Repeat("x", 5000))
	f.Fuzz(func(t *testing.T, text string) {
		heads, err := ReadHeads(strings.NewReader(text), nil)
		if err != nil {
			return
		}
		for i := range heads {
			if err := heads[i].Verify(nil); err != nil {
				t.Errorf("head %d: %v", i, err)
			}
		}
	})
}
