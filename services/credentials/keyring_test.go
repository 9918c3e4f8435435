package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestKeyAuthenticatesAsItsActor(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	ask := NewKey{Tenant: "wanclouds", Actor: "billing", Person: true, Scopes: ScopesOf(Usage, Read), Name: "laptop", By: "ana"}
	secret, key, err := s.Create(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	want := Principal{KeyID: key.ID, Tenant: "wanclouds", Actor: "billing", Person: true, Scopes: ScopesOf(Usage, Read)}
	for _, name := range []string{"at once", "after a restart"} {
		got, err := s.Authenticate(secret, noon)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		listed := s.List("wanclouds")
		if len(listed) != 1 || listed[0].LastUsed != noon {
			t.Fatalf("%s: listed %+v", name, listed)
		}
		listed[0].LastUsed = time.Time{}
		if listed[0] != key || key.Created != noon || key.CreatedBy != "ana" || key.Name != "laptop" {
			t.Errorf("%s: listed %+v, created %+v", name, listed[0], key)
		}
		if len(s.List("")) != 0 || len(s.List("tecpet")) != 0 {
			t.Errorf("%s: another tenant lists the key", name)
		}
		s = m.restart(s)
	}
}

func TestWhatIsNotTheKeyIsRefused(t *testing.T) {
	s := newMachine(t).open()
	secret, _, err := s.Create(t.Context(), NewKey{Actor: "root", Scopes: AllScopes})
	if err != nil {
		t.Fatal(err)
	}
	_, unknown := newKeyText()
	body := []byte(secret[:keySize-crcSize])
	if last := &body[len(body)-1]; *last == 'a' {
		*last = 'b'
	} else {
		*last = 'a'
	}
	crc := checksum(body)
	for name, text := range map[string]string{
		"empty": "", "unknown": unknown, "another secret, right checksum": string(body) + string(crc[:]),
		"longer": secret + "a", "shorter": secret[:keySize-1], "upper case": strings.ToUpper(secret),
		"wrong checksum": string(body) + secret[keySize-crcSize:],
	} {
		if p, err := s.Authenticate(text, noon); err != ErrUnauthenticated || p != (Principal{}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestKeyEndsAtItsExpiry(t *testing.T) {
	s := newMachine(t).open()
	end := noon.Add(time.Hour)
	secret, _, err := s.Create(t.Context(), NewKey{Tenant: "adtech", Actor: "app", Scopes: ScopesOf(Usage), Expires: end})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(secret, end.Add(-1)); err != nil {
		t.Errorf("a nanosecond before: %v", err)
	}
	if _, err := s.Authenticate(secret, end); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("at its expiry: %v", err)
	}
}

func TestRevokedKeyIsRefusedHereAtOnceAndElsewhereSoon(t *testing.T) {
	m := newMachine(t)
	here, there := m.open(), m.open()
	secret, key, err := here.Create(t.Context(), NewKey{Tenant: "adtech", Actor: "app", Scopes: ScopesOf(Usage)})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other process knows the key", func() bool { _, err := there.Authenticate(secret, noon); return err == nil })
	if err := here.Revoke(t.Context(), key.ID, "ana"); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Authenticate(secret, noon); !errors.Is(err, ErrUnauthenticated) {
		t.Fatalf("here: %v", err)
	}
	eventually(t, "the other process refuses it", func() bool { _, err := there.Authenticate(secret, noon); return errors.Is(err, ErrUnauthenticated) })
	if err := there.Revoke(t.Context(), key.ID, "bea"); err != nil {
		t.Errorf("revoked twice: %v", err)
	}
	after := m.restart(here)
	if _, err := after.Authenticate(secret, noon); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("after a restart: %v", err)
	}
	if got, ok := after.Lookup(key.ID); !ok || got.RevokedBy != "ana" || got.Revoked != noon {
		t.Errorf("looked up %+v, %v", got, ok)
	}
	if err := after.Revoke(t.Context(), "nothing", "ana"); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("unknown key: %v", err)
	}
}

func TestTwoLiveKeysForRotationAndNoThird(t *testing.T) {
	m := newMachine(t)
	stores := []*Store{m.open(), m.open(), m.open()}
	ask := NewKey{Tenant: "adtech", Actor: "app", Scopes: ScopesOf(Usage)}
	var wg sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		wg.Go(func() { _, _, errs[i] = stores[i%len(stores)].Create(t.Context(), ask) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, ErrTooManyKeys):
			t.Error(err)
		}
	}
	if made != 2 {
		t.Fatalf("%d keys were created by three processes at once, want 2", made)
	}
	s := m.open()
	if err := s.Revoke(t.Context(), s.List("adtech")[0].ID, "ana"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Create(t.Context(), ask); err != nil {
		t.Errorf("after a revocation: %v", err)
	}
	if _, _, err := s.Create(t.Context(), NewKey{Tenant: "tecpet", Actor: "app", Scopes: ScopesOf(Usage)}); err != nil {
		t.Errorf("the same name at another tenant: %v", err)
	}
}

func TestExpiredKeyMakesRoom(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	ask := NewKey{Tenant: "adtech", Actor: "app", Scopes: ScopesOf(Usage), Expires: noon.Add(time.Minute)}
	for range 2 {
		if _, _, err := s.Create(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
	}
	m.now = noon.Add(time.Minute)
	ask.Expires = time.Time{}
	if _, _, err := s.Create(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
}

func TestEndedKeysAreForgottenOldestFirst(t *testing.T) {
	m := newMachine(t)
	s := m.open()
	var first string
	for i := range maxEndedKeys + 3 {
		m.now = noon.Add(time.Duration(i) * time.Hour)
		_, key, err := s.Create(t.Context(), NewKey{Actor: "root", Scopes: AllScopes})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = key.ID
		}
		if err := s.Revoke(t.Context(), key.ID, "ana"); err != nil {
			t.Fatal(err)
		}
	}
	if _, known := s.Lookup(first); known || len(s.List("")) > maxEndedKeys+1 {
		t.Fatalf("%d keys are kept, the first among them: %v", len(s.List("")), known)
	}
}

func TestCreateRefusesWhatCannotBeAKey(t *testing.T) {
	s := newMachine(t).open()
	good := NewKey{Tenant: "adtech", Actor: "app", Scopes: ScopesOf(Usage)}
	for field, spoil := range map[string]func(*NewKey){
		"tenant":  func(k *NewKey) { k.Tenant = "Ad Tech" },
		"actor":   func(k *NewKey) { k.Actor = "" },
		"scopes":  func(k *NewKey) { k.Scopes = 0 },
		"name":    func(k *NewKey) { k.Name = "line\nbreak" },
		"by":      func(k *NewKey) { k.By = strings.Repeat("x", 129) },
		"expires": func(k *NewKey) { k.Expires = noon },
	} {
		ask := good
		spoil(&ask)
		var input *InputError
		if _, _, err := s.Create(t.Context(), ask); !errors.As(err, &input) || input.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestScopesByName(t *testing.T) {
	all, err := ParseScopes("usage", "read", "purchase", "grant", "catalog", "admin")
	if err != nil || all != AllScopes {
		t.Fatalf("%v, %v", all, err)
	}
	if _, err := ParseScopes("read", "root"); err == nil {
		t.Error("an unknown scope was accepted")
	}
	text, err := json.Marshal(ScopesOf(Grant, Read))
	if err != nil || string(text) != `["read","grant"]` {
		t.Fatalf("%s, %v", text, err)
	}
	var back Scopes
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, ScopesOf(Read, Grant)) {
		t.Fatalf("%v, %v", back, err)
	}
}

func TestReachOfAPrincipal(t *testing.T) {
	tenant := Principal{Tenant: "adtech", Scopes: ScopesOf(Read)}
	account := Principal{Tenant: "adtech", Account: "shop", Scopes: ScopesOf(Read)}
	for _, c := range []struct {
		who             Principal
		tenant, account string
		want            bool
	}{
		{Operator(), "adtech", "shop", true},
		{tenant, "adtech", "shop", true}, {tenant, "adtech", "", true}, {tenant, "tecpet", "shop", false}, {tenant, "", "", false},
		{account, "adtech", "shop", true}, {account, "adtech", "other", false}, {account, "adtech", "", false}, {account, "tecpet", "shop", false},
		{Principal{}, "adtech", "shop", false}, {Principal{}, "", "", false},
	} {
		if got := c.who.Covers(c.tenant, c.account); got != c.want {
			t.Errorf("%+v covers %q/%q: %v", c.who, c.tenant, c.account, got)
		}
	}
	if !tenant.Can(Read) || tenant.Can(Admin) || (Principal{}).Can(Read) || tenant.Can(0) || !Operator().Can(Admin) {
		t.Error("scopes")
	}
}

func TestAuthenticateAllocatesNothing(t *testing.T) {
	s := newMachine(t).open()
	secret, _, err := s.Create(t.Context(), NewKey{Actor: "root", Scopes: AllScopes})
	if err != nil {
		t.Fatal(err)
	}
	if raceEnabled {
		t.Log("pools drop at random under the race detector: allocations are not counted")
		return
	}
	if n := testing.AllocsPerRun(1000, func() { _, err = s.Authenticate(secret, noon) }); n > 0 || err != nil {
		t.Fatalf("%v allocations, %v", n, err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	p, err := newPepper(make([]byte, pepperSize))
	if err != nil {
		b.Fatal(err)
	}
	s := &Store{pepper: p, keys: map[string]*liveKey{}}
	id, secret := newKeyText()
	ring := keyring{Keys: []storedKey{{ID: id, Hash: s.hashKey(secret), Scopes: AllScopes}}}
	s.admit("", &ring, nil)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Authenticate(secret, noon); err != nil {
			b.Fatal(fmt.Errorf("round %d: %w", i, err))
		}
	}
}

func FuzzKeyID(f *testing.F) {
	_, text := newKeyText()
	f.Add(text)
	f.Add("")
	f.Add(keyPrefix + strings.Repeat("_", keySize-len(keyPrefix)))
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := keyID([]byte(text))
		if !ok {
			return
		}
		body := text[:keySize-crcSize]
		crc := checksum([]byte(body))
		if body+string(crc[:]) != text || !strings.HasPrefix(body, keyPrefix+string(id)+"_") {
			t.Fatalf("accepted %q with id %q", text, id)
		}
	})
}
