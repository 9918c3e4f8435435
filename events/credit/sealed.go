package credit

import (
	"encoding/json"
	"strings"
)

// Texts that may hold personal data (descriptions, attributes, the values of metadata, reasons) stand in the
// journal sealed with a key of their account, which can be destroyed. A sealed text stands where the text
// would stand and says so itself: "sealed:1:<key>:<bytes>", see docs/PERSONAL.md. Nobody here can open one;
// folds and views carry it as it is.

// SealedMark is how a sealed text begins.
const SealedMark = "sealed:1:"

// IsSealed reports whether a text is sealed.
func IsSealed(text string) bool { return strings.HasPrefix(text, SealedMark) }

// SealAttributes is attributes whose text was sealed: an object with the one member "sealed".
func SealAttributes(sealed string) json.RawMessage {
	return json.RawMessage(append(appendJSONString([]byte(`{"sealed":`), sealed), '}'))
}

// SealedAttributes returns the sealed text of attributes, and whether they are sealed.
func SealedAttributes(attributes json.RawMessage) (sealed string, ok bool) {
	var stored map[string]json.RawMessage
	if !strings.Contains(string(attributes), SealedMark) || json.Unmarshal(attributes, &stored) != nil || len(stored) != 1 {
		return "", false
	}
	return SealedValue(stored["sealed"])
}

// SealValue is a value of metadata whose text was sealed: a JSON string.
func SealValue(sealed string) json.RawMessage { return appendJSONString(nil, sealed) }

// SealedValue returns the sealed text of a value of metadata, and whether it is sealed.
func SealedValue(value json.RawMessage) (sealed string, ok bool) {
	if json.Unmarshal(value, &sealed) != nil {
		return "", false
	}
	return sealed, IsSealed(sealed)
}
