package credentials

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func shopToken() AccountToken {
	return AccountToken{Tenant: "tecpet", Account: "shop", Scopes: ScopesOf(Read, Purchase), Purpose: Widget, Actor: "site"}
}

func mint(t testing.TB, s *Store, token AccountToken) string {
	t.Helper()
	text, _, err := s.MintToken(token, noon)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokenSaysWhatWasMinted(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	text, minted, err := s.MintToken(shopToken(), noon)
	if err != nil {
		t.Fatal(err)
	}
	end := noon.Add(15 * time.Minute)
	if minted.Expires != end {
		t.Errorf("expires %s, want %s", minted.Expires, end)
	}
	got, err := m.restart(s).VerifyToken(text, end.Add(-1))
	if err != nil || got != minted {
		t.Fatalf("%+v, %v", got, err)
	}
	want := Principal{Tenant: "tecpet", Account: "shop", Actor: "site", Scopes: ScopesOf(Read, Purchase)}
	if got.Principal() != want {
		t.Errorf("principal %+v", got.Principal())
	}
	if _, err := s.VerifyToken(text, end); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("at its expiry: %v", err)
	}
	if _, err := s.Authenticate(text, noon); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a token passed for a key: %v", err)
	}
}

func TestForgedTokenIsRefused(t *testing.T) {
	s, other := newMachine(t).open(), newMachine(t).open()
	text := mint(t, s, shopToken())
	if _, err := other.VerifyToken(text, noon); err != ErrUnauthenticated {
		t.Errorf("another server's: %v", err)
	}
	for i := range text {
		forged := []byte(text)
		forged[i] ^= 1
		if _, err := s.VerifyToken(string(forged), noon); err != ErrUnauthenticated {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for _, forged := range []string{"", tokenPrefix, tokenPrefix + ".", text[:len(text)-1], text + "A", text + ".", strings.Repeat(text, 40)} {
		if _, err := s.VerifyToken(forged, noon); err != ErrUnauthenticated {
			t.Errorf("%.20s…: %v", forged, err)
		}
	}
}

func TestTokenEndsWithItsKey(t *testing.T) {
	s := newMachine(t).open()
	_, key, err := s.Create(t.Context(), NewKey{Tenant: "tecpet", Actor: "site", Scopes: ScopesOf(Read, Purchase)})
	if err != nil {
		t.Fatal(err)
	}
	token := shopToken()
	token.KeyID = key.ID
	text := mint(t, s, token)
	if _, err := s.VerifyToken(text, noon); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), key.ID, "ana"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.VerifyToken(text, noon); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("after the key was revoked: %v", err)
	}
}

func TestMintRefusesMoreThanATokenMayHave(t *testing.T) {
	s := newMachine(t).open()
	for field, spoil := range map[string]func(*AccountToken){
		"tenant":  func(a *AccountToken) { a.Tenant = "" },
		"account": func(a *AccountToken) { a.Account = strings.Repeat("x", 129) },
		"actor":   func(a *AccountToken) { a.Actor = "" },
		"scopes":  func(a *AccountToken) { a.Scopes = ScopesOf(Read, Grant) },
		"purpose": func(a *AccountToken) { a.Purpose = "session" },
		"expires": func(a *AccountToken) { a.Expires = noon.Add(time.Hour + time.Second) },
	} {
		token := shopToken()
		spoil(&token)
		var input *InputError
		if _, _, err := s.MintToken(token, noon); !errors.As(err, &input) || input.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	token := shopToken()
	token.Account = strings.Repeat("<", 128) // six bytes each in JSON
	token.Actor = token.Account
	if _, err := s.VerifyToken(mint(t, s, token), noon); err != nil {
		t.Errorf("the longest token: %v", err)
	}
}

func FuzzVerifyToken(f *testing.F) {
	p, err := newPepper(make([]byte, pepperSize))
	if err != nil {
		f.Fatal(err)
	}
	s := &Store{pepper: p}
	text := mint(f, s, shopToken())
	f.Add(text)
	f.Add(tokenPrefix + ".")
	f.Add(strings.Replace(text, ".", "..", 1))
	f.Fuzz(func(t *testing.T, forged string) {
		if _, err := s.VerifyToken(forged, noon); err == nil && forged != text {
			t.Fatalf("accepted %q", forged)
		}
	})
}
