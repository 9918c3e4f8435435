package rules

import (
	"bytes"
	"encoding/json"
	"maps"
	"time"

	"creditstream/events/credit"
)

// maxSealed bounds a sealed text: one of maxText bytes with what seals it.
const maxSealed = 2048

// tooLong reports whether a text is longer than is kept with a fact. A sealed one was measured before it
// was sealed.
func tooLong(text string) bool {
	return len(text) > maxText && (!credit.IsSealed(text) || len(text) > maxSealed)
}

// HasTexts reports whether a command carries texts of people's making, which may hold personal data.
// Nearly all commands carry none.
func HasTexts(c Command) bool {
	switch c := c.(type) {
	case Use:
		return c.Description != "" || len(c.Attributes) > 0
	case *Use:
		return c.Description != "" || len(c.Attributes) > 0
	case PlaceHold:
		return c.Description != "" || len(c.Attributes) > 0
	case PutAccount:
		return len(c.Metadata.Value) > 0
	case ImportAccount:
		return len(c.Metadata.Value) > 0
	case *ImportAccount:
		return len(c.Metadata.Value) > 0
	case RequestPurchase:
		return len(c.Metadata) > 0
	case GrantCredits:
		return c.Reason != ""
	case RevokeLot:
		return c.Reason != ""
	case RefundPurchase:
		return c.Reason != ""
	case *ReverseUsage:
		return c.Reason != ""
	case CloseAccount:
		return c.Reason != ""
	case ReopenAccount:
		return c.Reason != ""
	}
	return false
}

// Sealed returns a copy of the command in which each such text is what seal makes of it. Texts that are too
// long or no JSON stay as they are: the decision refuses them.
func Sealed(c Command, seal func(text string) string) Command {
	s := sealing(seal)
	switch c := c.(type) {
	case Use:
		c.Description, c.Attributes = s.text(c.Description), s.attributes(c.Attributes)
		return c
	case *Use:
		u := *c
		u.Description, u.Attributes = s.text(c.Description), s.attributes(c.Attributes)
		return &u
	case PlaceHold:
		c.Description, c.Attributes = s.text(c.Description), s.attributes(c.Attributes)
		return c
	case PutAccount:
		c.Metadata.Value = s.values(c.Metadata.Value)
		return c
	case ImportAccount:
		c.Metadata.Value = s.values(c.Metadata.Value)
		return c
	case *ImportAccount:
		i := *c
		i.Metadata.Value = s.values(c.Metadata.Value)
		return &i
	case RequestPurchase:
		c.Metadata = s.values(c.Metadata)
		return c
	case GrantCredits:
		c.Reason = s.text(c.Reason)
		return c
	case RevokeLot:
		c.Reason = s.text(c.Reason)
		return c
	case RefundPurchase:
		c.Reason = s.text(c.Reason)
		return c
	case *ReverseUsage:
		r := *c
		r.Reason = s.text(c.Reason)
		return &r
	case CloseAccount:
		c.Reason = s.text(c.Reason)
		return c
	case ReopenAccount:
		c.Reason = s.text(c.Reason)
		return c
	}
	return c
}

// Opens reports whether the command is one that opens an account that is not there.
func Opens(c Command) bool {
	switch c.(type) {
	case PutAccount, ImportAccount, *ImportAccount:
		return true
	}
	return false
}

type sealing func(text string) string

func (s sealing) text(text string) string {
	if text == "" || len(text) > maxText {
		return text
	}
	return s(text)
}

func (s sealing) attributes(attributes json.RawMessage) json.RawMessage {
	if len(attributes) == 0 || len(attributes) > maxText || !json.Valid(attributes) {
		return attributes
	}
	return credit.SealAttributes(s(string(attributes)))
}

// values seals the values of metadata; null stays, because it removes a name.
func (s sealing) values(metadata map[string]json.RawMessage) map[string]json.RawMessage {
	sealed := maps.Clone(metadata)
	for name, value := range metadata {
		text := bytes.TrimSpace(value)
		if len(text) == 0 || len(text) > maxText || string(text) == "null" || text[0] == '{' || text[0] == '[' || !json.Valid(text) {
			continue
		}
		sealed[name] = credit.SealValue(s(string(text)))
	}
	return sealed
}

// ErasePersonal records that the key of the account's texts was destroyed, and by whom. It takes away what
// the tenant noted on the account: nobody can read it any more.
type ErasePersonal struct{}

// Decide states PersonalErased.
func (ErasePersonal) Decide(a *credit.Account, _ *Book, now time.Time) ([]credit.Fact, error) {
	if !a.Exists() {
		return nil, unknownAccount(a)
	}
	return []credit.Fact{{At: now, Event: &credit.PersonalErased{}}}, nil
}

func sealedAttributes(attributes json.RawMessage) bool {
	sealed, ok := credit.SealedAttributes(attributes)
	return ok && len(sealed) <= maxSealed
}

func sealedValue(value json.RawMessage) bool {
	sealed, ok := credit.SealedValue(value)
	return ok && len(sealed) <= maxSealed
}
