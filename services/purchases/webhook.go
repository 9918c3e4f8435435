package purchases

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signedAgo is how far the time of a signature may be from ours, either way (Standard Webhooks,
// "Verifying webhook authenticity").
const signedAgo = 5 * time.Minute

// The headers of the Standard Webhooks specification.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// Sign sets the headers of a notification: its id, which stays the same when it is sent again, the time
// of this attempt, and an HMAC-SHA256 over both and the body.
func Sign(header http.Header, secret []byte, id string, body []byte, now time.Time) {
	stamp := strconv.FormatInt(now.Unix(), 10)
	header.Set(headerID, id)
	header.Set(headerTimestamp, stamp)
	header.Set(headerSignature, "v1,"+base64.StdEncoding.EncodeToString(signature(secret, id, stamp, body)))
}

// CheckSignature returns ErrSignature unless one of the signatures is by a holder of the secret, over
// exactly this body and at most five minutes from now.
func CheckSignature(header http.Header, secret []byte, body []byte, now time.Time) error {
	id, stamp := header.Get(headerID), header.Get(headerTimestamp)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if id == "" || err != nil {
		return fmt.Errorf("%w: it lacks %s or %s", ErrSignature, headerID, headerTimestamp)
	}
	want := signature(secret, id, stamp, body)
	for text := range strings.FieldsSeq(header.Get(headerSignature)) {
		encoded, ours := strings.CutPrefix(text, "v1,")
		given, err := base64.StdEncoding.DecodeString(encoded)
		if !ours || err != nil || subtle.ConstantTimeCompare(given, want) != 1 {
			continue
		}
		if now.Add(-signedAgo).Unix() > seconds || seconds > now.Add(signedAgo).Unix() {
			return fmt.Errorf("%w: it was signed more than %v from now", ErrSignature, signedAgo)
		}
		return nil
	}
	return ErrSignature
}

func signature(secret []byte, id, stamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}
