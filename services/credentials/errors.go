package credentials

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnauthenticated: the text is not a live key or token of ours. Errors that say more to the
	// holder of a genuine one (expired, revoked) wrap it. API code: unauthenticated.
	ErrUnauthenticated = errors.New("not a valid key or token")

	// ErrRequired: an approval code is needed and none was given. API code: approval_required.
	ErrRequired = errors.New("an approval code is required")

	// ErrNotSet wraps ErrRequired: the account has no code that could approve anything.
	ErrNotSet = fmt.Errorf("%w, and none is set for this account", ErrRequired)

	// ErrInvalid: the approval code is wrong, or its TOTP step was already used. API code:
	// approval_invalid.
	ErrInvalid = errors.New("the approval code is not valid")

	// ErrLocked is what every *LockedError is. API code: approval_locked.
	ErrLocked = errors.New("the approval code is locked")

	// ErrTooManyKeys: the actor has two live keys already (one in use, one for rotation).
	ErrTooManyKeys = errors.New("the actor has two live keys: revoke one before creating another")

	// ErrUnknownKey: no key has this id.
	ErrUnknownKey = errors.New("unknown key")

	// ErrUnavailable: the change is not known to be stored; it may or may not have happened.
	// Asking again is safe. API code: unavailable.
	ErrUnavailable = errors.New("credentials unavailable")

	// ErrPepper: the pepper file is missing, unsafe, or not the one this stream was written with.
	ErrPepper = errors.New("pepper")

	// ErrTampered: a record in the stream is not one that a holder of the pepper wrote there.
	ErrTampered = errors.New("credentials record tampered with")
)

// LockedError says until when an account's approval code is locked (RULES: five wrong tries lock
// for 15 minutes). errors.Is(err, ErrLocked) holds for it.
type LockedError struct {
	Until time.Time // UTC; from this instant on a code is looked at again
}

// Error says until when.
func (e *LockedError) Error() string {
	return ErrLocked.Error() + " until " + e.Until.UTC().Format(time.RFC3339)
}

// Is makes every LockedError an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// InputError refuses an argument and names the field at fault; it never repeats the value. API code:
// invalid.
type InputError struct {
	Field  string // as in the API: "pin", "scopes", "tenant"
	Reason string
}

// Error is field and reason.
func (e *InputError) Error() string { return e.Field + ": " + e.Reason }
