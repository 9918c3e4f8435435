package load

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// appendCharges writes charges as a feature service would send them: one CloudEvent, or a batch.
func appendCharges(dst []byte, batch []Charge) []byte {
	if len(batch) == 1 {
		return appendCharge(dst, batch[0])
	}
	dst = append(dst, '[')
	for i, c := range batch {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendCharge(dst, c)
	}
	return append(dst, ']')
}

// appendCharge writes one. Names and keys of a run hold nothing that JSON escapes.
func appendCharge(dst []byte, c Charge) []byte {
	dst = append(append(dst, `{"specversion":"1.0","id":"`...), c.Key...)
	dst = append(append(dst, `","source":"/bench","type":"creditstream.usage","subject":"`...), c.Account...)
	return append(dst, `","data":{"meter":"`+meter+`","quantity":1}}`...)
}

func appendCheck(dst []byte, account string) []byte {
	dst = append(append(dst, `{"account":"`...), account...)
	return append(dst, `","meter":"`+meter+`","quantity":1}`...)
}

// readCharges returns an error unless the answer says of each of n charges that it was recorded. That is
// counted; only an answer that is not so is read in full, to say what is wrong with it.
func readCharges(body []byte, n int) error {
	if bytes.Count(body, []byte(`"status":"recorded"`)) == n {
		return nil
	}
	var answer struct {
		Results []struct {
			Status string `json:"status"`
			Code   string `json:"code"`
			Detail string `json:"detail"`
		} `json:"results"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Results) != n {
		return fmt.Errorf("the answer is not one result per charge: %.300s", body)
	}
	for _, r := range answer.Results {
		if r.Status != "recorded" {
			return fmt.Errorf("a charge was %s: %s: %s", r.Status, r.Code, r.Detail)
		}
	}
	return fmt.Errorf("the answer is not as expected: %.300s", body)
}

func readCheck(body []byte) error {
	if !bytes.Contains(body, []byte(`"allowed":true`)) {
		return fmt.Errorf("%w: %.300s", errNotAllowed, body)
	}
	return nil
}
