package credentials

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
)

// Whatever is printed, logged or encoded: no secret, and nothing that a secret could be guessed from.
func TestNothingPrintsASecret(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	secret, key, err := s.Create(t.Context(), NewKey{Tenant: "tecpet", Actor: "app", Scopes: ScopesOf(Read)})
	if err != nil {
		t.Fatal(err)
	}
	mustSetPIN(t, s, "tecpet", "shop", rightPIN)
	totp := mustSetTOTP(t, s, "tecpet", "kiosk")
	principal, err := s.Authenticate(secret, noon)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(m.pepper)
	if err != nil {
		t.Fatal(err)
	}
	pin := s.cell(s.pepper.subjectOf(approvalPrefix, "tecpet", "shop")).approval
	hidden := [][]byte{raw, s.pepper.record, s.pepper.seal, s.pepper.token, s.pepper.pin, totp, pin.PIN, pin.Salt, s.keys[key.ID].hash}
	for name, value := range map[string]any{
		"store": s, "pepper": s.pepper, "key": key, "principal": principal, "live key": *s.keys[key.ID],
		"code": *pin, "record": record{Approval: pin}, "digest": pin.PIN, "cell": s.cell(s.ringSubject("tecpet", "app")),
		"ring": *s.cell(s.ringSubject("tecpet", "app")).keys,
		"errors": []error{
			s.Verify(t.Context(), "tecpet", "shop", wrongPIN, noon),
			s.SetPIN(t.Context(), "tecpet", "shop", rightPIN+"7", "ana", noon),
			func() error { _, err := s.Authenticate(secret+"x", noon); return err }(),
		},
	} {
		printed := fmt.Sprintf("%v %+v %#v %s %q %x %d", value, value, value, value, value, value, value)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("seen", name, value)
		switch name {
		case "store", "pepper", "key", "principal", "errors": // the rest is the stored form itself
			slog.New(slog.NewJSONHandler(&log, nil)).Info("seen", name, value)
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			log.Write(text)
		}
		for _, text := range []string{printed, log.String()} {
			if strings.Contains(text, secret) || strings.Contains(text, rightPIN) || strings.Contains(text, secret[len(keyPrefix)+idSize+1:]) {
				t.Errorf("%s shows a code or a key: %s", name, text)
			}
			for i, bytes := range hidden {
				if reveals(text, bytes) {
					t.Errorf("%s shows secret %d: %s", name, i, text)
				}
			}
		}
	}
}

func reveals(text string, secret []byte) bool {
	for _, form := range []string{
		string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
		strings.Trim(fmt.Sprintf("%d", secret), "[]"), strings.TrimPrefix(fmt.Sprintf("%#v", secret), "[]byte"),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}
