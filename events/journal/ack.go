package journal

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of JetStream that say that a fence held: a commit of ours may
// have been first, or one of someone else.
const (
	codeWrongLastID       = 10070
	codeWrongLastSequence = 10071
	codeConflictInFlight  = 10164
)

// parseAck reads the server's answer to an append: the sequence, or an error.
// It reads the common answer, {"stream":"JOURNAL_acme_0","seq":12}, by itself.
func parseAck(msg *nats.Msg) (sequence uint64, err error) {
	if seq, ok := scanSequence(msg.Data); ok {
		return seq, nil
	}
	if status := msg.Header.Get("Status"); status != "" && len(msg.Data) == 0 {
		if status == "503" {
			return 0, nats.ErrNoResponders
		}
		return 0, fmt.Errorf("status %s", status)
	}
	var ack struct {
		Error    *jetstream.APIError `json:"error"`
		Sequence uint64              `json:"seq"`
	}
	if err := json.Unmarshal(msg.Data, &ack); err != nil {
		return 0, fmt.Errorf("read the ack: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Sequence == 0 {
		return 0, fmt.Errorf("ack without a sequence: %q", msg.Data)
	}
	return ack.Sequence, nil
}

// scanSequence reads the digits after "seq": of an answer that has no error.
func scanSequence(data []byte) (sequence uint64, ok bool) {
	const key = `"seq":`
	if bytes.Contains(data, []byte(`"error"`)) {
		return 0, false
	}
	i := bytes.Index(data, []byte(key))
	if i < 0 {
		return 0, false
	}
	for _, c := range data[i+len(key):] {
		if c == ' ' && sequence == 0 {
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		if sequence > (1<<63)/10 {
			return 0, false
		}
		sequence = sequence*10 + uint64(c-'0')
	}
	return sequence, sequence > 0
}
