package credit

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// The wire form of a commit is a JSON array of CloudEvents 1.0 (application/cloudevents-batch+json), in
// order. Beside the attributes of CloudEvents each event carries:
//
//	recordedtime  the shard's time of the decision
//	entrykey      the idempotency key of its entry, when it has one
//	entryhash     the content hash of the request, 32 hex digits, when a request asked for it
//	entrysize     on the first event of an entry of several: how many events it has
//	actor         who asked
//	usagesource   the CloudEvents source that a feature service gave
//
// Amounts are integers in the tenant's smallest unit; the scale is in the catalog.

// ContentType is the media type of a commit.
const ContentType = "application/cloudevents-batch+json"

const (
	typePrefix = "creditstream."
	typeSuffix = ".v1"
)

// Encoder writes the bodies of commits, one after another. Its zero value with a Source is ready.
type Encoder struct {
	// Source is the CloudEvents source of all events: "/creditstream/<tenant>/<shard>".
	Source string

	prefix []byte
	body   []byte // to write the next one in
	marks  []mark
	stamps [2]stamp // of the instants written last: what is decided together has its instants in common
	oldest int      // which of them
}

// stamp is an instant as it is written.
type stamp struct {
	at   time.Time
	text []byte
}

type mark struct {
	fact       *Fact
	start, end int
}

// Add writes entries into the commit that Body returns next. After an error that one is empty again. The facts are not
// to be changed before Body returned. A Raw that is set is written as it stands: Measure did the work.
func (c *Encoder) Add(entries []Entry) error {
	if len(c.body) == 0 {
		c.body = append(c.body, '[')
	}
	for i := range entries {
		if err := c.append(&entries[i]); err != nil {
			c.reset()
			return err
		}
	}
	return nil
}

// Body returns the body of the commit of all entries that were added, in memory of its own, lets each fact's Raw be its
// data in there, and begins the next.
func (c *Encoder) Body() []byte {
	defer c.reset()
	if len(c.body) == 0 {
		return []byte("[]")
	}
	c.body = append(c.body, ']')
	body := append([]byte(nil), c.body...)
	for _, m := range c.marks {
		m.fact.Raw = body[m.start:m.end:m.end]
	}
	return body
}

// Begun is what the next body begins with, as far as entries were added: the Encoder's, until Body returned and Add is
// called again.
func (c *Encoder) Begun() []byte { return c.body }

// reset forgets what was added: what the marks point at is not ours to keep.
func (c *Encoder) reset() {
	clear(c.marks)
	c.marks, c.body = c.marks[:0], c.body[:0]
}

func (c *Encoder) append(e *Entry) (err error) {
	if c.prefix == nil {
		c.prefix = append(appendJSONString([]byte(`,"source":`), c.Source), `,"type":"creditstream.`...)
	}
	body := c.body
	for i := range e.Facts {
		f := &e.Facts[i]
		if len(body) > 1 {
			body = append(body, ",\n"...)
		}
		body = append(body, `{"specversion":"1.0","id":"`...)
		body = appendUUID(body, f.ID)
		body = append(body, '"')
		body = append(body, c.prefix...)
		body = append(body, f.Event.Kind()...)
		body = append(body, `.v1"`...)
		if e.Account != "" {
			body = appendJSONString(append(body, `,"subject":`...), e.Account)
		}
		body = c.appendTime(append(body, `,"time":`...), f.At)
		body = c.appendTime(append(body, `,"recordedtime":`...), e.Recorded)
		if e.Key != "" {
			body = appendJSONString(append(body, `,"entrykey":`...), e.Key)
		}
		if e.Hash != (Hash{}) {
			body = append(body, `,"entryhash":"`...)
			body = hex.AppendEncode(body, e.Hash[:])
			body = append(body, '"')
		}
		if i == 0 && len(e.Facts) > 1 {
			body = strconv.AppendInt(append(body, `,"entrysize":`...), int64(len(e.Facts)), 10)
		}
		if e.Actor != "" {
			body = appendJSONString(append(body, `,"actor":`...), e.Actor)
		}
		if e.Source != "" {
			body = appendJSONString(append(body, `,"usagesource":`...), e.Source)
		}
		body = append(body, `,"data":`...)
		start := len(body)
		if body, err = f.appendData(body); err != nil {
			return fmt.Errorf("encode %s of account %s: %w", f.Event.Kind(), e.Account, err)
		}
		c.marks = append(c.marks, mark{fact: f, start: start, end: len(body)})
		body = append(body, '}')
	}
	c.body = body
	return nil
}

func (c *Encoder) appendTime(body []byte, t time.Time) []byte {
	for i := range c.stamps {
		if s := &c.stamps[i]; s.text != nil && s.at.Equal(t) {
			return append(body, s.text...)
		}
	}
	s := &c.stamps[c.oldest]
	c.oldest = (c.oldest + 1) % len(c.stamps)
	s.at, s.text = t, appendJSONTime(s.text[:0], t)
	return append(body, s.text...)
}

// EncodeCommit returns the body of a commit of these entries, whatever their facts' Raw is.
func EncodeCommit(source string, entries []Entry) ([]byte, error) {
	for i := range entries {
		for k := range entries[i].Facts {
			entries[i].Facts[k].Raw = nil
		}
	}
	c := &Encoder{Source: source}
	if err := c.Add(entries); err != nil {
		return nil, err
	}
	return c.Body(), nil
}

// appendData writes the data of an event. UsageRecorded, which nearly all events are, is written by
// hand: encoding/json costs four times as much.
func (f *Fact) appendData(dst []byte) ([]byte, error) {
	if f.Raw != nil {
		return append(dst, f.Raw...), nil
	}
	if u, ok := f.Event.(*UsageRecorded); ok {
		return u.append(dst), nil
	}
	text, err := json.Marshal(f.Event)
	return append(dst, text...), err
}

func (u *UsageRecorded) append(dst []byte) []byte {
	dst = appendJSONString(append(dst, `{"meter":`...), u.Meter)
	dst = strconv.AppendInt(append(dst, `,"quantity":`...), u.Quantity, 10)
	dst = strconv.AppendInt(append(dst, `,"cost":`...), int64(u.Cost), 10)
	if len(u.Draws) > 0 {
		dst = appendDraws(append(dst, `,"draws":`...), u.Draws)
	}
	if u.Debt != 0 {
		dst = strconv.AppendInt(append(dst, `,"debt":`...), int64(u.Debt), 10)
	}
	if u.Unpaid != 0 {
		dst = strconv.AppendInt(append(dst, `,"unpaid":`...), int64(u.Unpaid), 10)
	}
	if u.Why != "" {
		dst = appendJSONString(append(dst, `,"why":`...), u.Why)
	}
	if u.Carry != nil {
		dst = strconv.AppendInt(append(dst, `,"carry":`...), *u.Carry, 10)
	}
	dst = strconv.AppendInt(append(dst, `,"remaining":`...), int64(u.Remaining), 10)
	dst = strconv.AppendUint(append(dst, `,"catalog":`...), uint64(u.Catalog), 10)
	if u.Description != "" {
		dst = appendJSONString(append(dst, `,"description":`...), u.Description)
	}
	if len(u.Attributes) > 0 {
		dst = append(append(dst, `,"attributes":`...), u.Attributes...)
	}
	return append(dst, '}')
}

func appendDraws(dst []byte, draws []Draw) []byte {
	dst = append(dst, '[')
	for i := range draws {
		d := &draws[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(append(dst, `{"lot":`...), d.Lot)
		dst = appendJSONString(append(dst, `,"pool":`...), d.Pool)
		dst = strconv.AppendInt(append(dst, `,"amount":`...), int64(d.Amount), 10)
		if d.Unit != "" {
			dst = appendJSONString(append(dst, `,"unit":`...), d.Unit)
		}
		dst = strconv.AppendUint(append(dst, `,"cycle":`...), uint64(d.Cycle), 10)
		if d.Revenue != 0 {
			dst = strconv.AppendInt(append(dst, `,"revenue":`...), d.Revenue, 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func appendUUID(dst []byte, id [16]byte) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	for _, part := range [...][2]int{{4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		dst = hex.AppendEncode(append(dst, '-'), id[part[0]:part[1]])
	}
	return dst
}

func appendJSONTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if isPlain(s) {
		return append(append(dst, s...), '"')
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		i++
	}
	return append(dst, '"')
}
