package credentials

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

const (
	tokenPrefix   = "cs_acct_"
	tokenScopes   = Scopes(Read | Purchase)
	tokenLifetime = 15 * time.Minute
	maxLifetime   = time.Hour
	maxTokenSize  = 4096
)

// Purpose is where an account token is used.
type Purpose string

// The purposes of an account token.
const (
	Page   Purpose = "page"
	Widget Purpose = "widget"
)

var (
	errTokenExpired = fmt.Errorf("%w: the token has expired", ErrUnauthenticated)
	errTokenRevoked = fmt.Errorf("%w: the key behind the token is not live", ErrUnauthenticated)
)

// AccountToken is what a token says: who may do what with one account, for how long. Nothing of it is
// stored, so a token cannot be taken back by itself; it ends with the key that it names.
type AccountToken struct {
	Tenant  string    `json:"t"`
	Account string    `json:"a"`
	Scopes  Scopes    `json:"s"`          // of Read and Purchase, at least one
	Purpose Purpose   `json:"p"`          // Page or Widget
	Actor   string    `json:"c"`          // who asked for it, named in what is done with it; ≤ 128 bytes
	KeyID   string    `json:"k,omitzero"` // the key that asked for it, if one did
	Expires time.Time `json:"e"`          // at most an hour away; zero = 15 minutes
}

// MintToken signs the token. It answers the text, which is a secret until it expires, and the token
// with its expiry filled in. Refusals are *InputError.
func (s *Store) MintToken(t AccountToken, now time.Time) (text string, minted AccountToken, err error) {
	if t.Expires.IsZero() {
		t.Expires = now.Add(tokenLifetime)
	}
	t.Expires = t.Expires.UTC().Truncate(time.Second)
	if err := t.check(now); err != nil {
		return "", AccountToken{}, err
	}
	claims, err := json.Marshal(t)
	if err != nil {
		return "", AccountToken{}, fmt.Errorf("mint token: %w", err)
	}
	body := tokenPrefix + base64.RawURLEncoding.EncodeToString(claims)
	return body + "." + base64.RawURLEncoding.EncodeToString(mac(s.pepper.token, []byte(body))), t, nil
}

// VerifyToken checks a text from MintToken, at now. Every refusal is an ErrUnauthenticated.
func (s *Store) VerifyToken(text string, now time.Time) (AccountToken, error) {
	if len(text) > maxTokenSize || !strings.HasPrefix(text, tokenPrefix) {
		return AccountToken{}, ErrUnauthenticated
	}
	body, signature, _ := strings.Cut(text, ".")
	given, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || !hmac.Equal(given, mac(s.pepper.token, []byte(body))) {
		return AccountToken{}, ErrUnauthenticated
	}
	var t AccountToken
	claims, err := base64.RawURLEncoding.DecodeString(body[len(tokenPrefix):])
	if err != nil || json.Unmarshal(claims, &t) != nil {
		return AccountToken{}, ErrUnauthenticated
	}
	if !now.Before(t.Expires) {
		return AccountToken{}, errTokenExpired
	}
	if key, known := s.Lookup(t.KeyID); t.KeyID != "" && (!known || !key.Live(now)) {
		return AccountToken{}, errTokenRevoked
	}
	return t, nil
}

// Principal is the token's holder: confined to one account, and no person.
func (t AccountToken) Principal() Principal {
	return Principal{KeyID: t.KeyID, Tenant: t.Tenant, Account: t.Account, Actor: t.Actor, Scopes: t.Scopes}
}

func (t AccountToken) check(now time.Time) error {
	if err := checkTenant(t.Tenant); err != nil {
		return err
	}
	if err := checkAccount(t.Account); err != nil {
		return err
	}
	if err := checkName("actor", t.Actor, true); err != nil {
		return err
	}
	switch {
	case t.Scopes == 0 || t.Scopes&^tokenScopes != 0:
		return &InputError{"scopes", "read, purchase or both"}
	case t.Purpose != Page && t.Purpose != Widget:
		return &InputError{"purpose", "page or widget"}
	case !t.Expires.After(now) || t.Expires.After(now.Add(maxLifetime)):
		return &InputError{"expires", "within the next hour"}
	}
	return nil
}
