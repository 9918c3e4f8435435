package credentials

import (
	"encoding/base32"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	rightPIN = "482913"
	wrongPIN = "000000"
)

func mustSetPIN(t *testing.T, s *Store, tenant, account, pin string) {
	t.Helper()
	if err := s.SetPIN(t.Context(), tenant, account, pin, "ana", noon); err != nil {
		t.Fatal(err)
	}
}

func mustSetTOTP(t *testing.T, s *Store, tenant, account string) (secret []byte) {
	t.Helper()
	uri, err := s.SetTOTP(t.Context(), tenant, account, "Acme: Pets & Co", "ana", noon)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	secret, err = base32.StdEncoding.DecodeString(parsed.Query().Get("secret"))
	if err != nil || len(secret) != 20 {
		t.Fatalf("secret of %d bytes, %v", len(secret), err)
	}
	return secret
}

// lockOut sets the right PIN and uses up the tries at noon.
func lockOut(t *testing.T, s *Store, tenant, account string) {
	t.Helper()
	mustSetPIN(t, s, tenant, account, rightPIN)
	for range maxTries {
		verdict(t, s, account, wrongPIN, noon, ErrInvalid)
	}
}

// verdict verifies for an account of tecpet and wants exactly this answer.
func verdict(t *testing.T, s *Store, account, code string, at time.Time, want error) {
	t.Helper()
	err := s.Verify(t.Context(), "tecpet", account, code, at)
	if want == nil && err != nil || !errors.Is(err, want) {
		t.Fatalf("Verify = %v, want %v", err, want)
	}
	if want == ErrRequired && errors.Is(err, ErrNotSet) {
		t.Fatalf("Verify = %v, want a plain ErrRequired", err)
	}
}

func TestPINApproves(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	verdict(t, s, "shop", rightPIN, noon, ErrNotSet)
	mustSetPIN(t, s, "tecpet", "shop", rightPIN)
	for range 2 {
		if kind := s.Has("tecpet", "shop"); kind != KindPIN {
			t.Fatalf("Has = %s", kind)
		}
		verdict(t, s, "shop", rightPIN, noon, nil)
		verdict(t, s, "shop", "", noon, ErrRequired)
		verdict(t, s, "shop", wrongPIN, noon, ErrInvalid)
		verdict(t, s, "shop", rightPIN, noon, nil)
		verdict(t, s, "other", rightPIN, noon, ErrNotSet)
		if kind := s.Has("adtech", "shop"); kind != KindNone {
			t.Fatalf("another tenant's account of that name has %s", kind)
		}
		s = m.restart(s)
	}
}

func TestPINIsExactlySixDigits(t *testing.T) {
	s := newMachine(t).open()
	for _, pin := range []string{"", "12345", "1234567", "12345a", "12 456", "１２３４５６", "12345\x00"} {
		var input *InputError
		if err := s.SetPIN(t.Context(), "tecpet", "shop", pin, "ana", noon); !errors.As(err, &input) || input.Field != "pin" {
			t.Errorf("%q: %v", pin, err)
		} else if pin != "" && strings.Contains(err.Error(), pin) {
			t.Errorf("the error repeats the PIN: %v", err)
		}
	}
	if s.Has("tecpet", "shop") != KindNone {
		t.Error("a refused PIN was set")
	}
}

func TestFiveWrongTriesLockForFifteenMinutes(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	lockOut(t, s, "tecpet", "shop")
	end := noon.Add(15 * time.Minute)
	for range 2 {
		var locked *LockedError
		if err := s.Verify(t.Context(), "tecpet", "shop", rightPIN, end.Add(-1)); !errors.As(err, &locked) || !locked.Until.Equal(end) {
			t.Fatalf("a nanosecond before the end: %v", err)
		}
		verdict(t, s, "shop", "", noon, ErrLocked)
		s = m.restart(s)
	}
	verdict(t, s, "shop", rightPIN, end, nil)
	for range maxTries - 1 {
		verdict(t, s, "shop", wrongPIN, end, ErrInvalid)
	}
	verdict(t, s, "shop", rightPIN, end, nil)
}

func TestWrongTriesSurviveARestart(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	mustSetPIN(t, s, "tecpet", "shop", rightPIN)
	for range maxTries {
		verdict(t, s, "shop", "12345", noon, ErrInvalid) // malformed is wrong too
		s = m.restart(s)
	}
	verdict(t, s, "shop", rightPIN, noon, ErrLocked)
}

func TestRightCodeForgetsWrongTries(t *testing.T) {
	s := newMachine(t).open()
	mustSetPIN(t, s, "tecpet", "shop", rightPIN)
	for range 3 {
		for range maxTries - 1 {
			verdict(t, s, "shop", wrongPIN, noon, ErrInvalid)
		}
		verdict(t, s, "shop", rightPIN, noon, nil)
	}
}

func TestNewCodeResetsNeitherTriesNorLock(t *testing.T) {
	s := newMachine(t).open()
	mustSetPIN(t, s, "tecpet", "shop", rightPIN)
	for range maxTries - 1 {
		verdict(t, s, "shop", wrongPIN, noon, ErrInvalid)
	}
	if err := s.Clear(t.Context(), "tecpet", "shop", "ana", noon); err != nil {
		t.Fatal(err)
	}
	verdict(t, s, "shop", wrongPIN, noon, ErrNotSet)
	if kind := s.Has("tecpet", "shop"); kind != KindNone {
		t.Fatalf("cleared, and still %s", kind)
	}
	mustSetTOTP(t, s, "tecpet", "shop")
	mustSetPIN(t, s, "tecpet", "shop", "111111")
	verdict(t, s, "shop", wrongPIN, noon, ErrInvalid)
	verdict(t, s, "shop", "111111", noon, ErrLocked)
	mustSetPIN(t, s, "tecpet", "shop", "222222")
	verdict(t, s, "shop", "222222", noon, ErrLocked)
	verdict(t, s, "shop", "222222", noon.Add(15*time.Minute), nil)
}

func TestOnlyFiveOfAHundredParallelGuessesAreLookedAt(t *testing.T) {
	m := newMachine(t)
	stores := []*Store{m.open(), m.open()} // two processes
	mustSetPIN(t, stores[0], "tecpet", "shop", rightPIN)
	eventually(t, "both know the code", func() bool { return stores[1].Has("tecpet", "shop") == KindPIN })
	invalid, locked := verifyTogether(t, stores, wrongPIN, 100, noon)
	if invalid != maxTries || locked != 100-maxTries {
		t.Fatalf("%d guesses were looked at, %d met the lock", invalid, locked)
	}
	verdict(t, stores[0], "shop", rightPIN, noon, ErrLocked)
}

func TestStepIsAcceptedOnceOfAHundredInParallel(t *testing.T) {
	m := newMachine(t)
	stores := []*Store{m.open(), m.open()}
	secret := mustSetTOTP(t, stores[0], "tecpet", "shop")
	eventually(t, "both know the code", func() bool { return stores[1].Has("tecpet", "shop") == KindTOTP })
	invalid, locked := verifyTogether(t, stores, totpCode(secret, noon.Unix()/30), 100, noon)
	if invalid != 99 || locked != 0 {
		t.Fatalf("%d refused as used, %d met a lock; one of 100 is right", invalid, locked)
	}
}

// verifyTogether verifies n times at once and counts the refusals; anything else is an error.
func verifyTogether(t *testing.T, stores []*Store, code string, n int, at time.Time) (invalid, locked int) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range errs {
		wg.Go(func() { errs[i] = stores[i%len(stores)].Verify(t.Context(), "tecpet", "shop", code, at) })
	}
	wg.Wait()
	for _, err := range errs {
		switch {
		case errors.Is(err, ErrInvalid):
			invalid++
		case errors.Is(err, ErrLocked):
			locked++
		case err != nil:
			t.Error(err)
		}
	}
	return invalid, locked
}

func TestTOTPStepIsNeverAcceptedTwice(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	secret := mustSetTOTP(t, s, "tecpet", "shop")
	step := noon.Unix() / 30
	verdict(t, s, "shop", totpCode(secret, step), noon, nil)
	s = m.restart(s)
	for range maxTries + 1 { // used, not guessed: no lock
		verdict(t, s, "shop", totpCode(secret, step), noon, ErrInvalid)
	}
	verdict(t, s, "shop", totpCode(secret, step-1), noon, ErrInvalid) // before an accepted one
	verdict(t, s, "shop", totpCode(secret, step+1), noon, nil)        // the device is ahead
	verdict(t, s, "shop", totpCode(secret, step+1), noon.Add(30*time.Second), ErrInvalid)
	verdict(t, s, "shop", totpCode(secret, step+2), noon.Add(90*time.Second), nil) // one step late
}

func TestTOTPDriftIsOneStep(t *testing.T) {
	s := newMachine(t).open()
	secret := mustSetTOTP(t, s, "tecpet", "shop")
	step := noon.Unix() / 30
	verdict(t, s, "shop", totpCode(secret, step-2), noon, ErrInvalid)
	verdict(t, s, "shop", totpCode(secret, step+2), noon, ErrInvalid)
	verdict(t, s, "shop", totpCode(secret, step-1), noon, nil)
}

// RFC 6238, Appendix B (SHA-1), of which six digits are the last six of the eight printed.
func TestTOTPVectorsOfTheRFC(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471",
		1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		if got := totpCode(secret, at/30); got != want[2:] {
			t.Errorf("at %d: %s, want %s", at, got, want[2:])
		}
	}
}

func TestProvisioningURI(t *testing.T) {
	got := totpURI("Acme: Pets & Co", "ana+1@shop", []byte("12345678901234567890"))
	want := "otpauth://totp/Acme%3A%20Pets%20%26%20Co:ana%2B1%40shop?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" +
		"&issuer=Acme%3A%20Pets%20%26%20Co&algorithm=SHA1&digits=6&period=30"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestStoredCodeIsNoSecretAndBoundToItsAccount(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	mustSetPIN(t, s, "tecpet", "shop", rightPIN)
	mustSetPIN(t, s, "tecpet", "twin", rightPIN)
	secret := mustSetTOTP(t, s, "tecpet", "kiosk")
	record := func(account string) string {
		return string(m.stored(s.pepper.subjectOf(approvalPrefix, "tecpet", account)).Data)
	}
	if strings.Contains(record("shop"), rightPIN) || strings.Contains(record("kiosk"), string(secret)) ||
		strings.Contains(record("kiosk"), base32.StdEncoding.EncodeToString(secret)) {
		t.Error("a secret is in the stream")
	}
	shop, kiosk := s.cell(s.pepper.subjectOf(approvalPrefix, "tecpet", "shop")), s.cell(s.pepper.subjectOf(approvalPrefix, "tecpet", "kiosk"))
	elsewhere, err := s.pinHash(t.Context(), s.pepper.subjectOf(approvalPrefix, "tecpet", "twin"), rightPIN, shop.approval.Salt, presentCost)
	if err != nil || string(elsewhere) == string(shop.approval.PIN) {
		t.Errorf("the hash would fit another account (%v)", err)
	}
	if _, err := s.pepper.openTOTP("credentials.approval.other", kiosk.approval.TOTP); !errors.Is(err, ErrTampered) {
		t.Errorf("the sealed secret opens for another account: %v", err)
	}
}

func TestApprovalNeedsAnAccountAndAName(t *testing.T) {
	s := newMachine(t).open()
	for field, err := range map[string]error{
		"tenant":  s.SetPIN(t.Context(), "", "shop", rightPIN, "ana", noon),
		"account": s.Clear(t.Context(), "tecpet", "", "ana", noon),
		"by":      s.SetPIN(t.Context(), "tecpet", "shop", rightPIN, "", noon),
	} {
		var input *InputError
		if !errors.As(err, &input) || input.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	var input *InputError
	if _, err := s.SetTOTP(t.Context(), "tecpet", "shop", "", "ana", noon); !errors.As(err, &input) || input.Field != "issuer" {
		t.Errorf("issuer: %v", err)
	}
}
