package credentials

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
	"time"
)

// Scope is one thing that a key may do. A scope implies no other.
type Scope uint8

// The scopes of API.md.
const (
	Usage    Scope = 1 << iota // check, usage, holds, reversal
	Read                       // balance, history, journal
	Purchase                   // buy and confirm
	Grant                      // account executive: grants, revocations, old reversals
	Catalog                    // publish catalogs
	Admin                      // tenants, keys, views, sandbox payments
)

var scopeNames = [...]struct {
	scope Scope
	name  string
}{
	{Usage, "usage"}, {Read, "read"}, {Purchase, "purchase"},
	{Grant, "grant"}, {Catalog, "catalog"}, {Admin, "admin"},
}

// String is the scope's name in the API.
func (s Scope) String() string { return strings.Join(Scopes(s).Names(), ",") }

// Scopes is a set of scopes. In JSON it is a list of names.
type Scopes uint8

// AllScopes is every scope there is.
const AllScopes = Scopes(Usage | Read | Purchase | Grant | Catalog | Admin)

// ScopesOf is the set of the given scopes.
func ScopesOf(scopes ...Scope) Scopes {
	var set Scopes
	for _, s := range scopes {
		set |= Scopes(s)
	}
	return set
}

// ParseScopes reads names as they stand in the API. An unknown name is an *InputError.
func ParseScopes(names ...string) (Scopes, error) {
	var set Scopes
next:
	for _, name := range names {
		for _, known := range scopeNames {
			if known.name == name {
				set |= Scopes(known.scope)
				continue next
			}
		}
		return 0, &InputError{"scopes", "known are usage, read, purchase, grant, catalog and admin"}
	}
	return set, nil
}

// Has reports whether the set holds the scope.
func (s Scopes) Has(scope Scope) bool { return scope != 0 && s&Scopes(scope) == Scopes(scope) }

// Names lists the set in the order of the API.
func (s Scopes) Names() []string {
	names := make([]string, 0, len(scopeNames))
	for _, known := range scopeNames {
		if s.Has(known.scope) {
			names = append(names, known.name)
		}
	}
	return names
}

// String is the names, separated by commas.
func (s Scopes) String() string { return strings.Join(s.Names(), ",") }

// MarshalJSON writes the list of names.
func (s Scopes) MarshalJSON() ([]byte, error) { return json.Marshal(s.Names()) }

// UnmarshalJSON reads a list of names.
func (s *Scopes) UnmarshalJSON(text []byte) error {
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return fmt.Errorf("scopes: %w", err)
	}
	set, err := ParseScopes(names...)
	*s = set
	return err
}

// NewKey asks for a key.
type NewKey struct {
	Tenant  string    // "" = a key of the operator
	Actor   string    // who uses it: a person or a service, named in every entry; ≤ 128 bytes
	Person  bool      // the actor is a person: grants and revocations need one
	Scopes  Scopes    // at least one
	Name    string    // what it is for; may be empty; ≤ 128 bytes
	Expires time.Time // zero = never; from this instant on it is refused
	By      string    // who created it; may be empty; ≤ 128 bytes
}

// Key is what is known of a key. It holds no secret and nothing made from one.
type Key struct {
	ID        string    `json:"id"`
	Tenant    string    `json:"tenant,omitempty"` // "" = the operator
	Actor     string    `json:"actor"`
	Person    bool      `json:"person"`
	Scopes    Scopes    `json:"scopes"`
	Name      string    `json:"name,omitempty"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
	LastUsed  time.Time `json:"last_used,omitzero"` // to the minute, since this process started
}

// Live reports whether the key is accepted at now.
func (k Key) Live(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// Principal is who is calling, as far as a key or a token proves it. The zero Principal may do
// nothing.
type Principal struct {
	KeyID   string
	Tenant  string // "" = the operator
	Account string // set for account tokens: nothing else may be touched
	Actor   string
	Person  bool
	Scopes  Scopes
}

// Operator is who calls a server in --dev without a key: the operator in person, with every scope.
func Operator() Principal {
	return Principal{Actor: "operator", Person: true, Scopes: AllScopes}
}

// Can reports whether the principal has the scope. Where it may use it is Covers' to say.
func (p Principal) Can(scope Scope) bool { return p.Scopes.Has(scope) }

// IsOperator reports whether the principal stands above all tenants.
func (p Principal) IsOperator() bool { return p.Tenant == "" && p.Account == "" && p.Scopes != 0 }

// Covers reports whether the tenant's account is within the principal's reach; account "" asks for
// the whole tenant, which an account token never reaches.
func (p Principal) Covers(tenant, account string) bool {
	if p.IsOperator() {
		return true
	}
	return p.Tenant != "" && p.Tenant == tenant && (p.Account == "" || p.Account == account)
}

// A key reads cs_live_<id>_<secret><checksum>: lower-case base32 throughout, so that a double click
// selects it and a scanner of leaked secrets finds it and can tell a real one by its CRC-32.
const (
	keyPrefix   = "cs_live_"
	idSize      = 16 // 80 bits; not secret
	secretSize  = 40 // 200 bits
	crcSize     = 7
	keySize     = len(keyPrefix) + idSize + 1 + secretSize + crcSize
	base32Lower = "abcdefghijklmnopqrstuvwxyz234567"
)

var lower32 = base32.NewEncoding(base32Lower).WithPadding(base32.NoPadding)

// random is n random bytes in base32: 8 characters for each 5 bytes.
func random(n int) string {
	bytes := make([]byte, n)
	rand.Read(bytes)
	return lower32.EncodeToString(bytes)
}

func newKeyText() (id, text string) {
	id = random(idSize * 5 / 8)
	body := keyPrefix + id + "_" + random(secretSize*5/8)
	crc := checksum([]byte(body))
	return id, body + string(crc[:])
}

func checksum(body []byte) (text [crcSize]byte) {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(body))
	lower32.Encode(text[:], sum[:])
	return text
}

// keyID finds the id in a well-formed key. It proves nothing: a typing error or a foreign text is
// refused before anything is looked up.
func keyID(text []byte) (id []byte, ok bool) {
	if len(text) != keySize || string(text[:len(keyPrefix)]) != keyPrefix {
		return nil, false
	}
	id, rest := text[len(keyPrefix):len(keyPrefix)+idSize], text[len(keyPrefix)+idSize:]
	if rest[0] != '_' || !isLower32(id) || !isLower32(rest[1:]) {
		return nil, false
	}
	body := text[:keySize-crcSize]
	if checksum(body) != [crcSize]byte(text[keySize-crcSize:]) {
		return nil, false
	}
	return id, true
}

func isLower32(text []byte) bool {
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
