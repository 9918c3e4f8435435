package credentials

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Nothing that holds a secret, or what one could be guessed from, prints more than this. Each type
// says so for itself: fmt calls no method of a value that it finds in an unexported field.
const redacted = "[redacted]"

// Format prints nothing of what the store holds, whatever the verb.
func (s *Store) Format(f fmt.State, _ rune) { io.WriteString(f, "credentials.Store"+redacted) }

// LogValue logs nothing of what the store holds.
func (s *Store) LogValue() slog.Value { return slog.StringValue("credentials.Store" + redacted) }

// MarshalJSON encodes nothing of what the store holds.
func (s *Store) MarshalJSON() ([]byte, error) { return json.Marshal("credentials.Store" + redacted) }

// Format prints no key, whatever the verb.
func (p *pepper) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue logs no key.
func (p *pepper) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON encodes no key.
func (p *pepper) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// digest is a hash or a sealed secret. It is stored, and never printed.
type digest []byte

// Format prints nothing of it, whatever the verb.
func (d digest) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue logs nothing of it.
func (d digest) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints nothing of the key.
func (k liveKey) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// Format prints nothing of the key.
func (k storedKey) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// Format prints nothing of the keys.
func (r keyring) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// Format prints nothing of the code.
func (a approval) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// Format prints nothing of the credential.
func (r record) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// Format prints nothing of the credential.
func (c cell) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }
