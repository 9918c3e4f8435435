package credit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What was frozen first keeps its meaning, though kinds got optional fields since: it is read, the new
// fields are absent, and it is written again as it was.
func TestTheFirstFormsAreRead(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "wire", "*.v1.first.json"))
	if err != nil || len(files) != 5 {
		t.Fatalf("%d first forms: %v", len(files), err)
	}
	for _, file := range files {
		frozen, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		frozen = bytes.TrimSpace(frozen)
		if bytes.Contains(frozen, []byte(`"warns"`)) {
			t.Errorf("%s has a field that was not there at first", file)
		}
		entries, err := DecodeCommit(frozen)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if warned := warnings(reflect.ValueOf(entries[0].Facts[0].Event)); warned != 0 {
			t.Errorf("%s: %d lots are to be announced, and nothing said so", file, warned)
		}
		again, err := EncodeCommit("/creditstream/tecpet/0", entries)
		if err != nil || !bytes.Equal(again, frozen) {
			t.Errorf("%s is written again as\n%s\n(%v), and was\n%s", file, again, err, frozen)
		}
	}
}

// warnings counts the grants in an event whose end is announced.
func warnings(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n = warnings(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			n += warnings(v.Index(i))
		}
	case reflect.Struct:
		if f := v.FieldByName("Warns"); f.IsValid() && !f.IsZero() {
			n++
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				n += warnings(v.Field(i))
			}
		}
	}
	return n
}

// two older versions of UsageRecorded as they might have been: the meter was called "service" and then "item", and
// nobody counted. Only this test knows them.
func fictitious() upcasters {
	rename := func(from, to string, more map[string]any) upcaster {
		return func(data []byte) ([]byte, error) {
			var fields map[string]any
			decoder := json.NewDecoder(bytes.NewReader(data))
			decoder.UseNumber()
			if err := decoder.Decode(&fields); err != nil {
				return nil, err
			}
			value, ok := fields[from]
			if !ok {
				return nil, fmt.Errorf("field %s is missing", from)
			}
			delete(fields, from)
			fields[to] = value
			for name, value := range more {
				fields[name] = value
			}
			return json.Marshal(fields)
		}
	}
	return upcasters{"UsageRecorded": {
		rename("service", "item", nil),
		rename("item", "meter", map[string]any{"quantity": 1}),
	}}
}

// An event of each older version is brought up to the current one, step by step, from frozen files.
func TestOlderVersionsAreBroughtUp(t *testing.T) {
	for _, version := range []string{"v1", "v2", "v3"} {
		frozen, err := os.ReadFile(filepath.Join("testdata", "upcast", "UsageRecorded."+version+".json"))
		if err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(frozen)
		d := Decoder{older: fictitious}
		entries, err := d.Decode(bytes.TrimSpace(frozen))
		if err != nil {
			t.Errorf("%s: %v", version, err)
			continue
		}
		fact := entries[0].Facts[0]
		want := &UsageRecorded{Meter: "sticker", Quantity: 1, Cost: 25, Remaining: 75, Catalog: 1, Draws: []Draw{{Lot: "l1", Pool: "bought", Amount: 25, Cycle: 1}}}
		if !reflect.DeepEqual(fact.Event, want) {
			t.Errorf("%s is read as %+v", version, fact.Event)
		}
		// Those who keep the raw fact read it without its version.
		if kept, err := d.Event("UsageRecorded", fact.Raw); err != nil || !reflect.DeepEqual(kept, want) {
			t.Errorf("%s: what is kept of it reads back as %+v, %v", version, kept, err)
		}
		if !bytes.Equal(frozen, before) {
			t.Errorf("%s: the commit was changed", version)
		}
	}
}

// What a newer program wrote is refused, by type and version, and so is what is no version.
func TestNewerVersionsAreRefused(t *testing.T) {
	frozen, err := os.ReadFile(filepath.Join("testdata", "upcast", "UsageRecorded.v3.json"))
	if err != nil {
		t.Fatal(err)
	}
	as := func(version string) string { return strings.Replace(string(frozen), ".v3", "."+version, 1) }
	_, err = (&Decoder{older: fictitious}).Decode([]byte(as("v4")))
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), `"creditstream.UsageRecorded.v4"`) || !strings.Contains(err.Error(), "up to version 3") {
		t.Errorf("version 4: %v", err)
	}
	if _, err = DecodeCommit([]byte(as("v2"))); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "up to version 1") {
		t.Errorf("version 2, which does not exist: %v", err)
	}
	for _, none := range []string{"v0", "v-1", "v01", "v+1", "v", "v1.", "vx", "v99999999999999999999"} {
		if _, err := (&Decoder{older: fictitious}).Decode([]byte(as(none))); !errors.Is(err, ErrCommit) || errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", none, err)
		}
	}
	// An older form that is not what its version says is an error of its own, with its version.
	if _, err := (&Decoder{older: fictitious}).Decode([]byte(as("v1"))); err == nil || !strings.Contains(err.Error(), "bring version 1 up to version 2") {
		t.Errorf("a broken version 1: %v", err)
	}
}

// What is written has the version that the upcasters lead to.
func TestKindsAreWrittenInTheirCurrentVersion(t *testing.T) {
	for _, kind := range Kinds() {
		body, err := EncodeCommit("/s", []Entry{entryOf(sample(kind))})
		if err != nil || !bytes.Contains(body, []byte(`"type":"`+TypeOf(kind)+`"`)) {
			t.Errorf("%s is not written as %s: %s (%v)", kind, TypeOf(kind), body, err)
		}
	}
}
