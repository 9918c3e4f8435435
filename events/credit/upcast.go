package credit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The type of an event carries the version of its shape: "creditstream.UsageRecorded.v1". What is in a journal is never
// rewritten, so that a kind whose shape changes has older forms for ever. The fold knows one shape of each kind, the
// current one: whoever reads a commit takes the data of an older version through a chain of upcasters first.
//
// To change a kind so that its old data would be misread (a field renamed, split, or with another unit; a new
// optional field needs none of this): write the upcaster here, from what the data was to what it is now; write the next
// version in Encoder.Append; keep the frozen example of the old version, whose test then shows what becomes of it,
// and add one of the new; raise the version of the views that keep facts as they stand in the journal.

// upcaster turns the data of an event of one version into that of the next one. It knows nothing but the data:
// no clock, no catalog, no account. It must not change what it is given.
type upcaster func(data []byte) ([]byte, error)

// upcasters are the steps from the first version of each kind to its current one.
type upcasters map[string][]upcaster

// older are the steps that there are: none. All kinds are as they were at first, but for optional fields that
// older events do not have (testdata/wire has examples of both).
func older() upcasters { return nil }

// ErrNewer says that an event has a version that this program does not know yet.
var ErrNewer = errors.New("written by a newer program")

// TypeOf is the CloudEvents type of a kind, as it is written now.
func TypeOf(kind string) string {
	return typePrefix + kind + ".v" + strconv.Itoa(len(older()[kind])+1)
}

// Upcast reads the type of an event, as "creditstream.UsageRecorded.v1", and returns its kind, and its data as that
// of the kind's current version. The error wraps ErrNewer, or ErrCommit.
func Upcast(eventType string, data []byte) (kind string, current []byte, err error) {
	return older().upcast(eventType, data)
}

func (u upcasters) upcast(eventType string, data []byte) (kind string, current []byte, err error) {
	kind, version, err := splitType(eventType)
	if err != nil {
		return "", nil, err
	}
	steps := u[kind]
	if version > len(steps)+1 {
		return "", nil, fmt.Errorf("type %q: version %d of %s is %w; this one reads up to version %d: use a newer program (%w)",
			clip(eventType), version, clip(kind), ErrNewer, len(steps)+1, ErrCommit)
	}
	for v := version; v <= len(steps); v++ {
		if data, err = steps[v-1](data); err != nil {
			return "", nil, fmt.Errorf("type %q: bring version %d up to version %d: %w", clip(eventType), v, v+1, err)
		}
	}
	return kind, data, nil
}

// maxVersion bounds the digits that are read.
const maxVersion = 9999

// splitType reads "creditstream.<kind>.v<version>".
func splitType(eventType string) (kind string, version int, err error) {
	rest, isOurs := strings.CutPrefix(eventType, typePrefix)
	if kind, isFirst := strings.CutSuffix(rest, typeSuffix); isOurs && isFirst { // nearly all are
		return kind, 1, nil
	}
	at := strings.LastIndex(rest, ".v")
	if !isOurs || at < 1 {
		return "", 0, fmt.Errorf("type %q is none that this version knows: %w", clip(eventType), ErrCommit)
	}
	digits := rest[at+len(".v"):]
	version, err = strconv.Atoi(digits)
	if err != nil || version < 1 || version > maxVersion || strconv.Itoa(version) != digits {
		return "", 0, fmt.Errorf("type %q: %q is no version: %w", clip(eventType), clip(digits), ErrCommit)
	}
	return rest[:at], version, nil
}
