package projections

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// errUnreadable is about records of a live view, where they are compared with a fold of the journal.
var errUnreadable = errors.New("unreadable")

// unreadable is why records of one generation of a view could not be read.
type unreadable struct {
	prefix []byte
	why    string
}

// lost returns err, and notes it where it says that records with that prefix are damaged: who looks after the views
// is told which one it is, whoever came upon it. The view is nil for records that nobody is served.
func (v *View) lost(prefix []byte, err error) error {
	if v == nil || err == nil || !isDamage(err) {
		return err
	}
	known := v.unreadable.Load()
	if known == nil || !bytes.Equal(known.prefix, prefix) {
		v.unreadable.CompareAndSwap(known, &unreadable{bytes.Clone(prefix), oneLine(err)})
	}
	return err
}

// Unreadable is why records of the view could not be read, as far as anybody asked for them; "" when all could. What
// can be read is sound: no block is served whose checksum is wrong. A rebuild makes all records anew.
func (v *View) Unreadable() string {
	if u := v.unreadable.Load(); u != nil && bytes.Equal(u.prefix, v.live.Load().prefix) {
		return u.why
	}
	return ""
}

// oneLine is what an error says first; Pebble repeats itself on further lines.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// NotCompared is the report of a view that could not even be looked at.
func NotCompared(view string, why error) ViewReport {
	return ViewReport{View: view, Records: oneLine(why)}
}

// Remedy is the command that makes one view anew.
func Remedy(view string, name Name) string {
	return fmt.Sprintf("credits rebuild %s --tenant %s --shard %d", view, name.Tenant, name.Shard)
}
