package credentials

import (
	"cmp"
	"context"
	"crypto/hmac"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxLiveKeys   = 2  // one in use, one to change over to
	maxEndedKeys  = 20 // revoked and expired ones that are still listed, for each actor
	lastUsedGrain = int64(time.Minute / time.Second)
	maxNameBytes  = 128
)

var (
	errRevoked = fmt.Errorf("%w: the key was revoked", ErrUnauthenticated)
	errExpired = fmt.Errorf("%w: the key has expired", ErrUnauthenticated)
)

// keyring is all keys of one (tenant, actor), oldest first.
type keyring struct {
	Tenant string      `json:"tenant"`
	Actor  string      `json:"actor"`
	Keys   []storedKey `json:"keys"`
}

type storedKey struct {
	ID        string    `json:"id"`
	Hash      digest    `json:"hash"` // HMAC-SHA256 of the whole key text under the pepper
	Person    bool      `json:"person"`
	Scopes    Scopes    `json:"scopes"`
	Name      string    `json:"name,omitempty"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
}

// liveKey is a key as Authenticate needs it. It is never changed, only replaced.
type liveKey struct {
	subject  string
	key      Key // without LastUsed
	hash     digest
	lastUsed *atomic.Int64 // Unix seconds; survives replacement
}

// Create makes a key. The secret is returned here and nowhere else; a fast hash of it is kept, which
// is right for 200 random bits. A third live key of one (tenant, actor) is ErrTooManyKeys. After
// ErrUnavailable the key may exist: it is listed then, nobody knows its secret, and it can be revoked.
func (s *Store) Create(ctx context.Context, ask NewKey) (secret string, key Key, err error) {
	if err := ask.check(); err != nil {
		return "", Key{}, err
	}
	now := s.now().UTC()
	if !ask.Expires.IsZero() && !ask.Expires.After(now) {
		return "", Key{}, &InputError{"expires", "must lie in the future"}
	}
	id, secret := newKeyText()
	made := storedKey{
		ID: id, Hash: s.hashKey(secret), Person: ask.Person, Scopes: ask.Scopes, Name: ask.Name,
		Created: now, CreatedBy: ask.By, Expires: ask.Expires.UTC(),
	}
	err = s.amend(ctx, s.ringSubject(ask.Tenant, ask.Actor), func(_ context.Context, at cell) (*record, error) {
		ring := keyring{Tenant: ask.Tenant, Actor: ask.Actor}
		if at.keys != nil {
			ring.Keys = at.keys.Keys
		}
		return ring.add(made, now)
	})
	if err != nil {
		return "", Key{}, fmt.Errorf("create key: %w", err)
	}
	ring := keyring{Tenant: ask.Tenant, Actor: ask.Actor}
	return secret, ring.key(made), nil
}

func (r keyring) add(made storedKey, now time.Time) (*record, error) {
	if r.index(made.ID) >= 0 { // an earlier attempt of this call that got no ack
		return nil, nil
	}
	live, ended := 0, 0
	for _, k := range r.Keys {
		if r.key(k).Live(now) {
			live++
		} else {
			ended++
		}
	}
	if live >= maxLiveKeys {
		return nil, ErrTooManyKeys
	}
	keys := make([]storedKey, 0, len(r.Keys)+1)
	for _, k := range r.Keys {
		if ended > maxEndedKeys && !r.key(k).Live(now) {
			ended--
			continue
		}
		keys = append(keys, k)
	}
	r.Keys = append(keys, made)
	return &record{Keys: &r}, nil
}

// Revoke ends a key and every account token that was minted with it. In this process it acts when
// Revoke returns. Revoking twice is the same as once.
func (s *Store) Revoke(ctx context.Context, id, by string) error {
	if err := checkName("by", by, false); err != nil {
		return err
	}
	s.mu.RLock()
	known := s.keys[id]
	s.mu.RUnlock()
	if known == nil {
		return ErrUnknownKey
	}
	now := s.now().UTC()
	err := s.amend(ctx, known.subject, func(_ context.Context, at cell) (*record, error) {
		if at.keys == nil || at.keys.index(id) < 0 {
			return nil, ErrUnknownKey
		}
		i := at.keys.index(id)
		if !at.keys.Keys[i].Revoked.IsZero() {
			return nil, nil
		}
		ring := *at.keys
		ring.Keys = slices.Clone(ring.Keys)
		ring.Keys[i].Revoked, ring.Keys[i].RevokedBy = now, by
		return &record{Keys: &ring}, nil
	})
	if err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	return nil
}

// Authenticate says whose key this is, at now. It is the hot path of every door: one hash and one
// map look-up, no allocation, no waiting. Every refusal is an ErrUnauthenticated; only the holder of
// the genuine key learns that it was revoked or has expired.
func (s *Store) Authenticate(secret string, now time.Time) (Principal, error) {
	if len(secret) != keySize {
		return Principal{}, ErrUnauthenticated
	}
	h := s.pepper.apiKeys.Get().(*keyHash)
	copy(h.in[:], secret)
	k, err := s.genuine(h)
	clear(h.in[:])
	s.pepper.apiKeys.Put(h)
	if err != nil {
		return Principal{}, err
	}
	if !k.key.Live(now) {
		if k.key.Revoked.IsZero() {
			return Principal{}, errExpired
		}
		return Principal{}, errRevoked
	}
	k.touch(now)
	return Principal{
		KeyID: k.key.ID, Tenant: k.key.Tenant, Actor: k.key.Actor, Person: k.key.Person, Scopes: k.key.Scopes,
	}, nil
}

// genuine finds the key whose text is in h.
func (s *Store) genuine(h *keyHash) (*liveKey, error) {
	id, ok := keyID(h.in[:])
	if !ok {
		return nil, ErrUnauthenticated
	}
	s.mu.RLock()
	k := s.keys[string(id)]
	s.mu.RUnlock()
	if k == nil || !hmac.Equal(k.hash, h.sum()) {
		return nil, ErrUnauthenticated
	}
	return k, nil
}

func (s *Store) hashKey(secret string) digest {
	h := s.pepper.apiKeys.Get().(*keyHash)
	defer s.pepper.apiKeys.Put(h)
	copy(h.in[:], secret)
	defer clear(h.in[:])
	return slices.Clone(h.sum())
}

// touch keeps when the key was last used, to the minute: a write for each request would make the
// cores fight over one cache line.
func (k *liveKey) touch(now time.Time) {
	if at := now.Unix(); at-k.lastUsed.Load() >= lastUsedGrain {
		k.lastUsed.Store(at)
	}
}

// List is the tenant's keys, ended ones included, oldest first; tenant "" lists the operator's.
func (s *Store) List(tenant string) []Key {
	var keys []Key
	s.mu.RLock()
	for _, k := range s.keys {
		if k.key.Tenant == tenant {
			keys = append(keys, k.shown())
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return keys
}

// Lookup finds a key by its id, so that its tenant can be checked before it is revoked.
func (s *Store) Lookup(id string) (Key, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k := s.keys[id]
	if k == nil {
		return Key{}, false
	}
	return k.shown(), true
}

func (k *liveKey) shown() Key {
	key := k.key
	if at := k.lastUsed.Load(); at != 0 {
		key.LastUsed = time.Unix(at, 0).UTC()
	}
	return key
}

func (s *Store) ringSubject(tenant, actor string) string {
	return s.pepper.subjectOf(keysPrefix, tenant, actor)
}

func (r *keyring) index(id string) int {
	return slices.IndexFunc(r.Keys, func(k storedKey) bool { return k.ID == id })
}

func (r *keyring) key(k storedKey) Key {
	return Key{
		ID: k.ID, Tenant: r.Tenant, Actor: r.Actor, Person: k.Person, Scopes: k.Scopes, Name: k.Name,
		Created: k.Created, CreatedBy: k.CreatedBy, Expires: k.Expires, Revoked: k.Revoked, RevokedBy: k.RevokedBy,
	}
}

// admit puts a ring's keys in force, and drop takes them out. s.mu is held.
func (s *Store) admit(subject string, r *keyring, used map[string]*atomic.Int64) {
	if r == nil {
		return
	}
	for _, k := range r.Keys {
		lastUsed := used[k.ID]
		if lastUsed == nil {
			lastUsed = new(atomic.Int64)
		}
		s.keys[k.ID] = &liveKey{subject: subject, key: r.key(k), hash: k.Hash, lastUsed: lastUsed}
	}
}

func (s *Store) drop(r *keyring) map[string]*atomic.Int64 {
	if r == nil {
		return nil
	}
	used := make(map[string]*atomic.Int64, len(r.Keys))
	for _, k := range r.Keys {
		if live := s.keys[k.ID]; live != nil {
			used[k.ID] = live.lastUsed
		}
		delete(s.keys, k.ID)
	}
	return used
}

func (ask NewKey) check() error {
	if ask.Tenant != "" {
		if err := checkTenant(ask.Tenant); err != nil {
			return err
		}
	}
	if ask.Scopes == 0 || ask.Scopes&^AllScopes != 0 {
		return &InputError{"scopes", "at least one of usage, read, purchase, grant, catalog and admin"}
	}
	if err := checkName("actor", ask.Actor, true); err != nil {
		return err
	}
	if err := checkName("by", ask.By, false); err != nil {
		return err
	}
	return checkName("name", ask.Name, false)
}

func checkTenant(tenant string) error {
	ok := len(tenant) >= 1 && len(tenant) <= 32
	for _, c := range []byte(tenant) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return &InputError{"tenant", "must match [a-z0-9-]{1,32}"}
	}
	return nil
}

// checkName accepts printable UTF-8 of up to 128 bytes.
func checkName(field, name string, required bool) error {
	switch {
	case name == "" && required:
		return &InputError{field, "must not be empty"}
	case len(name) > maxNameBytes:
		return &InputError{field, "must be at most 128 bytes"}
	case !utf8.ValidString(name):
		return &InputError{field, "must be UTF-8"}
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return &InputError{field, "must not hold control characters"}
		}
	}
	return nil
}
