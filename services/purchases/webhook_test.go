package purchases_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
	"time"

	"creditstream/services/purchases"
)

// The example of the Standard Webhooks specification.
const (
	exampleID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	exampleBody      = `{"test": 2432232314}`
	exampleSecret    = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	exampleSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var exampleTime = time.Unix(1614265330, 0)

func TestSignatureOfTheSpecification(t *testing.T) {
	secret, err := base64.StdEncoding.DecodeString(exampleSecret)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	purchases.Sign(header, secret, exampleID, []byte(exampleBody), exampleTime)
	if got := header.Get("Webhook-Signature"); got != exampleSignature {
		t.Errorf("signed %s, the specification says %s", got, exampleSignature)
	}
}

func TestSignatureIsOverEverything(t *testing.T) {
	secret, body := []byte("secret"), []byte(exampleBody)
	genuine := http.Header{}
	purchases.Sign(genuine, secret, exampleID, body, exampleTime)
	changed := func(name, value string) http.Header {
		h := genuine.Clone()
		h.Set(name, value)
		return h
	}
	signature := genuine.Get("Webhook-Signature")
	for what, test := range map[string]struct {
		header http.Header
		body   string
		after  time.Duration
		valid  bool
	}{
		"as it was sent":            {header: genuine, valid: true},
		"five minutes later":        {header: genuine, after: 5 * time.Minute, valid: true},
		"five minutes before":       {header: genuine, after: -5 * time.Minute, valid: true},
		"a key in rotation":         {header: changed("Webhook-Signature", "v1,AAAA "+signature), valid: true},
		"too late":                  {header: genuine, after: 5*time.Minute + time.Second},
		"too early":                 {header: genuine, after: -5*time.Minute - time.Second},
		"another body":              {header: genuine, body: `{"test": 2432232315}`},
		"a longer body":             {header: genuine, body: exampleBody + " "},
		"another id":                {header: changed("Webhook-Id", "msg_2")},
		"no id":                     {header: changed("Webhook-Id", "")},
		"another time":              {header: changed("Webhook-Timestamp", "1614265331")},
		"a time that is no number":  {header: changed("Webhook-Timestamp", "now")},
		"an asymmetric signature":   {header: changed("Webhook-Signature", "v1a,"+signature[3:])},
		"half a signature":          {header: changed("Webhook-Signature", signature[:20])},
		"no signature":              {header: changed("Webhook-Signature", "")},
		"a signature of nothing":    {header: changed("Webhook-Signature", "v1,")},
		"id and time run together":  {header: changed("Webhook-Id", exampleID+".1614265330")},
		"a time beyond all numbers": {header: changed("Webhook-Timestamp", "9223372036854775807")},
	} {
		text := exampleBody
		if test.body != "" {
			text = test.body
		}
		err := purchases.CheckSignature(test.header, secret, []byte(text), exampleTime.Add(test.after))
		if test.valid != (err == nil) || err != nil && !errors.Is(err, purchases.ErrSignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
