package credentials

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

const (
	codeDigits  = 6
	maxTries    = 5
	lockFor     = 15 * time.Minute
	saltSize    = 16
	pinHashSize = 32
)

// Kind is what approves an account's purchases.
type Kind string

// The kinds of approval code.
const (
	KindNone Kind = "none"
	KindPIN  Kind = "pin"
	KindTOTP Kind = "totp"

	// KindUnreadable: the account's record was altered and none before it is known. Nothing can be
	// approved, and it must not be taken for KindNone.
	KindUnreadable Kind = "unreadable"
)

// approval is one account's code and everything that guessing it must not reset. It stays when the
// code is cleared: else clearing and setting would buy five more guesses.
type approval struct {
	Kind  Kind      `json:"kind"`
	SetBy string    `json:"set_by"`
	SetAt time.Time `json:"set_at"`

	PIN  digest   `json:"pin,omitempty"`
	Salt digest   `json:"salt,omitempty"`
	Cost *pinCost `json:"cost,omitempty"`

	TOTP     digest `json:"totp,omitempty"`      // sealed
	LastStep int64  `json:"last_step,omitempty"` // RFC 6238 §5.2: this step and those before it are used up

	Tries       int       `json:"tries,omitempty"` // wrong ones since the last right one or the last lock
	LockedUntil time.Time `json:"locked_until,omitzero"`
}

// pinCost is what one guess at a PIN costs. A PIN has a million values: whoever had the pepper would
// try them all at any cost that a purchase can wait for, so the pepper is what protects a stolen
// stream. 8 MiB and one pass (some 10 ms) only make the theft of both slower, and are modest so that
// wrong guesses at a million accounts do not exhaust the server.
type pinCost struct {
	Passes    uint32 `json:"passes"`
	MemoryKiB uint32 `json:"memory_kib"`
	Threads   uint8  `json:"threads"`
}

var presentCost = pinCost{Passes: 1, MemoryKiB: 8 * 1024, Threads: 1}

// SetPIN sets the account's code to a PIN of exactly six digits. A new code does not reset wrong
// tries, nor end a lock. by is who sets it.
func (s *Store) SetPIN(ctx context.Context, tenant, account, pin, by string, now time.Time) error {
	subject, err := s.codeSubject(tenant, account, by)
	if err != nil {
		return err
	}
	if !isCode(pin) {
		return &InputError{"pin", "must be exactly six digits"}
	}
	salt, cost := make([]byte, saltSize), presentCost
	rand.Read(salt)
	hash, err := s.pinHash(ctx, subject, pin, salt, cost)
	if err != nil {
		return fmt.Errorf("set PIN: %w", err)
	}
	err = s.amend(ctx, subject, func(_ context.Context, at cell) (*record, error) {
		return at.replaceCode(approval{Kind: KindPIN, PIN: hash, Salt: salt, Cost: &cost, SetBy: by, SetAt: now.UTC()}), nil
	})
	if err != nil {
		return fmt.Errorf("set PIN: %w", err)
	}
	return nil
}

// SetTOTP gives the account a new TOTP secret (RFC 6238: SHA-1, six digits, 30 s) and returns the
// otpauth:// URI for the authenticator. The URI holds the secret: it is shown once, never logged.
func (s *Store) SetTOTP(ctx context.Context, tenant, account, issuer, by string, now time.Time) (provisioningURI string, err error) {
	subject, err := s.codeSubject(tenant, account, by)
	if err != nil {
		return "", err
	}
	if err := checkName("issuer", issuer, true); err != nil {
		return "", err
	}
	secret := make([]byte, totpSecretSize)
	rand.Read(secret)
	sealed, err := s.pepper.sealTOTP(subject, secret)
	if err != nil {
		return "", fmt.Errorf("set TOTP: %w", err)
	}
	err = s.amend(ctx, subject, func(_ context.Context, at cell) (*record, error) {
		return at.replaceCode(approval{Kind: KindTOTP, TOTP: sealed, SetBy: by, SetAt: now.UTC()}), nil
	})
	if err != nil {
		return "", fmt.Errorf("set TOTP: %w", err)
	}
	return totpURI(issuer, account, secret), nil
}

// Clear removes the account's code. Wrong tries and a lock stay.
func (s *Store) Clear(ctx context.Context, tenant, account, by string, now time.Time) error {
	subject, err := s.codeSubject(tenant, account, by)
	if err != nil {
		return err
	}
	err = s.amend(ctx, subject, func(_ context.Context, at cell) (*record, error) {
		if at.approval == nil || at.approval.Kind == KindNone {
			return nil, nil
		}
		return at.replaceCode(approval{Kind: KindNone, SetBy: by, SetAt: now.UTC()}), nil
	})
	if err != nil {
		return fmt.Errorf("clear approval code: %w", err)
	}
	return nil
}

func (c cell) replaceCode(code approval) *record {
	if c.approval != nil {
		code.Tries, code.LockedUntil = c.approval.Tries, c.approval.LockedUntil
	}
	return &record{Approval: &code}
}

// Has says which kind of code the account has.
func (s *Store) Has(tenant, account string) Kind {
	switch c := s.cell(s.pepper.subjectOf(approvalPrefix, tenant, account)); {
	case c.approval != nil:
		return c.approval.Kind
	case c.damage != nil:
		return KindUnreadable
	}
	return KindNone
}

// Verify returns nil if code approves for the account at now. Else: *LockedError (looked at first),
// ErrNotSet, ErrRequired (code is empty), ErrInvalid, or ErrUnavailable: then nothing is known of the
// code. The fifth wrong try answers ErrInvalid and locks for 15 minutes; a right code forgets the
// wrong ones. A verdict on a code is given only after it is stored: right or wrong, it costs one
// write, and a TOTP step is accepted once.
func (s *Store) Verify(ctx context.Context, tenant, account, code string, now time.Time) error {
	subject, err := s.accountSubject(tenant, account)
	if err != nil {
		return err
	}
	return s.amend(ctx, subject, func(ctx context.Context, at cell) (*record, error) {
		if at.approval == nil {
			return nil, ErrNotSet
		}
		return s.judge(ctx, subject, *at.approval, code, now)
	})
}

func (s *Store) judge(ctx context.Context, subject string, a approval, code string, now time.Time) (*record, error) {
	switch {
	case now.Before(a.LockedUntil):
		return nil, &LockedError{Until: a.LockedUntil}
	case a.Kind == KindNone:
		return nil, ErrNotSet
	case code == "":
		return nil, ErrRequired
	}
	found, err := s.match(ctx, subject, &a, code, now)
	if err != nil {
		return nil, err
	}
	switch found {
	case right:
		a.Tries, a.LockedUntil = 0, time.Time{}
		return &record{Approval: &a}, nil
	case used:
		// Sent twice, not guessed: a double click must not lock its owner out.
		return nil, ErrInvalid
	}
	if a.Tries++; a.Tries >= maxTries {
		a.Tries, a.LockedUntil = 0, now.Add(lockFor).UTC()
	}
	return &record{Approval: &a}, ErrInvalid
}

type match int

const (
	wrong match = iota
	right
	used
)

// match compares the code, and moves the last TOTP step of a right one.
func (s *Store) match(ctx context.Context, subject string, a *approval, code string, now time.Time) (match, error) {
	if !isCode(code) {
		return wrong, nil
	}
	if a.Kind == KindPIN {
		hash, err := s.pinHash(ctx, subject, code, a.Salt, *a.Cost)
		if err != nil || !hmac.Equal(hash, a.PIN) {
			return wrong, err
		}
		return right, nil
	}
	secret, err := s.pepper.openTOTP(subject, a.TOTP)
	if err != nil {
		return wrong, err
	}
	step, m := matchTOTP(secret, code, now, a.LastStep)
	if m == right {
		a.LastStep = step
	}
	return m, nil
}

// pinHash is argon2id over an HMAC under the pepper, which binds the PIN to the account's subject.
func (s *Store) pinHash(ctx context.Context, subject, pin string, salt []byte, cost pinCost) (digest, error) {
	select {
	case s.slow <- struct{}{}:
		defer func() { <-s.slow }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for a PIN hash: %w", ErrUnavailable, ctx.Err())
	}
	peppered := mac(s.pepper.pin, []byte(subject), []byte(pin))
	return argon2.IDKey(peppered, salt, cost.Passes, cost.MemoryKiB, cost.Threads, pinHashSize), nil
}

// codeSubject is accountSubject for a change, which somebody makes.
func (s *Store) codeSubject(tenant, account, by string) (string, error) {
	if err := checkName("by", by, true); err != nil {
		return "", err
	}
	return s.accountSubject(tenant, account)
}

func (s *Store) accountSubject(tenant, account string) (string, error) {
	if err := checkTenant(tenant); err != nil {
		return "", err
	}
	if err := checkAccount(account); err != nil {
		return "", err
	}
	return s.pepper.subjectOf(approvalPrefix, tenant, account), nil
}

func checkAccount(account string) error {
	if account == "" || len(account) > maxNameBytes || !utf8.ValidString(account) {
		return &InputError{"account", "must be 1 to 128 bytes of UTF-8"}
	}
	return nil
}

func isCode(text string) bool {
	if len(text) != codeDigits {
		return false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
