package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// appender is an answer that writes itself: those of the endpoints that are asked most. The text is that
// of the type in the document.
type appender interface{ appendJSON(dst []byte) []byte }

func encode(out *bytes.Buffer, body any) error {
	if a, ok := body.(appender); ok {
		out.Write(a.appendJSON(out.AvailableBuffer()))
		return nil
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(body)
}

// Draw is how much one lot paid, gave back or keeps aside.
type Draw struct {
	Pool   string `json:"pool"`
	Lot    string `json:"lot"`
	Amount string `json:"amount" doc:"Decimal, in the unit."`
	Unit   string `json:"unit" doc:"\"credit\", or the meter whose units the pool counts."`
	Cycle  uint32 `json:"cycle,omitempty" doc:"The account's cycle whose terms the draw belongs to."`
}

func drawsOf(draws []credit.Draw, scale int) []Draw {
	list := make([]Draw, len(draws))
	for i := range draws {
		d := &draws[i]
		list[i] = Draw{Pool: d.Pool, Lot: d.Lot, Amount: d.Amount.Format(scale), Unit: unitOf(d.Unit), Cycle: d.Cycle}
	}
	return list
}

func unitOf(unit string) string {
	if unit == "" {
		return rules.UnitCredit
	}
	return unit
}

// UsageAnswer is what became of a use that was recorded.
type UsageAnswer struct {
	Status    string `json:"status" enum:"recorded"`
	Position  string `json:"position" doc:"Opaque; hand it back as min_position to read your own write."`
	Cost      string `json:"cost" doc:"In credits; what a pool counted in units paid is not part of it."`
	Draws     []Draw `json:"draws" doc:"The lots that paid, in the order in which they were drawn."`
	Remaining string `json:"remaining" doc:"Credits that remained to the account."`
	Debt      string `json:"debt,omitempty"`
	Unpaid    string `json:"unpaid,omitempty"`
	Replayed  bool   `json:"replayed" doc:"This is the original answer to an earlier request with the same key."`
}

// recorded is a UsageAnswer that writes itself.
type recorded struct {
	used     *credit.UsageRecorded
	position accounts.Position
	replayed bool
	scale    int
}

// recordedOf finds the use in an answer.
func recordedOf(answer *accounts.Answer, scale int) (recorded, error) {
	for i := range answer.Facts {
		if used, ok := answer.Facts[i].Event.(*credit.UsageRecorded); ok {
			return recorded{used: used, position: answer.Position, replayed: answer.Replayed, scale: scale}, nil
		}
	}
	return recorded{}, missing("UsageRecorded")
}

// missing is for an entry that does not hold what its request always writes.
func missing(kind string) error {
	return fmt.Errorf("%w: the entry holds no %s", accounts.ErrUnavailable, kind)
}

func (r recorded) appendJSON(dst []byte) []byte {
	u := r.used
	dst = append(dst, `{"status":"recorded","position":"`...)
	dst = r.position.Append(dst)
	dst = appendAmount(append(dst, `","cost":`...), u.Cost, r.scale)
	dst = appendDraws(append(dst, `,"draws":`...), u.Draws, r.scale)
	dst = appendAmount(append(dst, `,"remaining":`...), u.Remaining, r.scale)
	if u.Debt != 0 {
		dst = appendAmount(append(dst, `,"debt":`...), u.Debt, r.scale)
	}
	if u.Unpaid != 0 {
		dst = appendAmount(append(dst, `,"unpaid":`...), u.Unpaid, r.scale)
	}
	return append(strconv.AppendBool(append(dst, `,"replayed":`...), r.replayed), '}')
}

func appendAmount(dst []byte, a credit.Amount, scale int) []byte {
	return append(a.AppendFormat(append(dst, '"'), scale), '"')
}

func appendDraws(dst []byte, draws []credit.Draw, scale int) []byte {
	dst = append(dst, '[')
	for i := range draws {
		d := &draws[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONText(append(dst, `{"pool":`...), d.Pool)
		dst = appendJSONText(append(dst, `,"lot":`...), d.Lot)
		dst = appendAmount(append(dst, `,"amount":`...), d.Amount, scale)
		dst = appendJSONText(append(dst, `,"unit":`...), unitOf(d.Unit))
		if d.Cycle != 0 {
			dst = strconv.AppendUint(append(dst, `,"cycle":`...), uint64(d.Cycle), 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func appendJSONText(dst []byte, s string) []byte {
	if !isPlain(s) {
		text, _ := json.Marshal(s)
		return append(dst, text...)
	}
	return append(append(append(dst, '"'), s...), '"')
}
