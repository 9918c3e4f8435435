package accounts

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// Describe writes one record for people.
func (Fold) Describe(key, value []byte) (name, content string) {
	if len(key) == 0 {
		return "checkpoint", fmt.Sprintf("%x", value)
	}
	switch key[0] {
	case tagAccount:
		account, rest, ok := projections.CutText(key[1:])
		if ok && len(rest) > 0 {
			return describePart(account, credit.Part(rest[0]), string(rest[1:]), value)
		}
	case tagKey:
		idempotency, account, ok := projections.CutText(key[1:])
		if k, err := decodeKey(value); ok && err == nil {
			return fmt.Sprintf("key %s of account %s", idempotency, account), fmt.Sprintf("hash %x, commit %d, entry %d", k.Hash, k.Sequence, k.Offset)
		}
	case tagPurchase:
		return fmt.Sprintf("account of purchase %s", key[1:]), string(value)
	case tagDue:
		if len(key) > 9 {
			at := time.Unix(0, int64(binary.BigEndian.Uint64(key[1:]))).UTC()
			return fmt.Sprintf("due date of account %s", key[9:]), at.Format(time.RFC3339Nano)
		}
	case tagCatalog:
		if c, err := decodeCatalog(key, value); err == nil {
			return fmt.Sprintf("catalog %d", c.Version), fmt.Sprintf("from %s, %d bytes", c.At.Format(time.RFC3339Nano), len(c.Source))
		}
	}
	return fmt.Sprintf("key %q", key), fmt.Sprintf("%x", value)
}

func describePart(account string, part credit.Part, id string, value []byte) (name, content string) {
	if part == credit.PartReversed {
		name = fmt.Sprintf("reversals of use %s of account %s", id, account)
		if units, err := credit.DecodeReversed(value); err == nil {
			return name, fmt.Sprintf("%d units", units)
		}
		return name, fmt.Sprintf("%x", value)
	}
	a := credit.NewAccount(account)
	err := a.Restore(part, id, value)
	switch {
	case err != nil:
		content = fmt.Sprintf("unreadable: %x", value)
	case part == credit.PartHead:
		content = describeHead(a)
	case part == credit.PartLot:
		content = fmt.Sprintf("%+v", *a.Lot(id))
	case part == credit.PartHold:
		content = fmt.Sprintf("%+v", *a.Hold(id))
	case part == credit.PartPurchase:
		content = fmt.Sprintf("%+v", *a.Purchase(id))
	}
	names := map[credit.Part]string{credit.PartHead: "account", credit.PartLot: "lot", credit.PartHold: "hold", credit.PartPurchase: "purchase"}
	if part == credit.PartHead {
		return "account " + account, content
	}
	return fmt.Sprintf("%s %s of account %s", names[part], id, account), content
}

func describeHead(a *credit.Account) string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan %q, cycle %d, opened %s, closed %t, zone %s, next lot %s, owes %d", a.Plan(), a.Cycle().Number, a.Opened().Format(time.RFC3339Nano), a.Closed(), a.Timezone(), a.NextLot(0), a.Owed())
	for _, p := range a.Pools() {
		fmt.Fprintf(&b, "; %s %+v", p.Name, p.Terms)
	}
	for _, l := range a.Lots() {
		fmt.Fprintf(&b, "; lot %+v", *l)
	}
	return b.String()
}
