package projections_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"creditstream/events/credit"
	"creditstream/projections"
	"creditstream/projections/internal/trial"
)

// What verification reads is what encoding/json reads, of whole commits and of broken ones, and what the codec reads.
func TestVerifyReadsWhatTheLibraryReads(t *testing.T) {
	own, library := projections.OwnDecoder(false), projections.OwnDecoder(true)
	compare := func(body []byte) []credit.Entry {
		t.Helper()
		got, gotErr := own(body)
		want, err := library(body)
		if (err == nil) != (gotErr == nil) {
			t.Fatalf("%v, not %v\n%s", gotErr, err, body)
		}
		if err == nil && len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\nnot %+v\n%s", got, want, body)
		}
		return got
	}
	source := trial.New(1, 8)
	for range 60 {
		_, body := source.Commit(20)
		if codec, err := credit.DecodeCommit(body); err != nil || !reflect.DeepEqual(compare(body), codec) {
			t.Fatalf("the codec reads something else, %v: %s", err, body)
		}
	}
	whole := `[{"specversion":"1.0","id":"0193511f-8a2b-7c3d-8e4f-001122334455","source":"/a","type":"creditstream.UsageRecorded.v1","subject":"a","time":"2026-02-28T23:59:59.5Z","recordedtime":"2026-02-28T23:59:59Z","entrykey":"k","entryhash":"01000000000000000000000000000000","entrysize":1,"actor":"me","usagesource":"/b","data":{"meter":"m","quantity":1,"cost":1,"draws":[{"lot":"l1","pool":"p","amount":1,"cycle":1,"revenue":2}],"debt":1,"unpaid":2,"why":"w","carry":3,"remaining":4,"catalog":5,"description":"d","attributes":{"a":1}}}]`
	for from, tos := range map[string][]string{
		`"debt":1`:             {`"debt":`, `"debt":-`, `"debt":01`, `"debt":1.0`, `"debt":1e3`, `"debt":"1"`, `"debt":null`, `"debt":1,"debt":2`, `"debt":1,"draws":[{"lot":"l2"}]`, `"Debt":1`, `"owed":1`, `"debt":9223372036854775807`, `"debt":9223372036854775808`, `"debt":-0`},
		`"cycle":1`:            {`"cycle":-1`, `"cycle":4294967295`, `"cycle":4294967296`, `"cycle":1,"x":1`},
		`"attributes":{"a":1}`: {`"attributes":{"a":1`, `"attributes":{a:1}`, `"attributes":[1,2}`, `"attributes":null`, `"attributes":"}"`, `"attributes": 1 `},
		`"description":"d"`:    {`"description":"Año \" \u00e9\n"`, `"description":1`, `"description":"` + "\xff" + `"`, `"description":"` + "\x01" + `"`},
		`"meter":"m"`:          {`"meter":"\u006d"`, `"meter":"é"`, `"meter":null`, `"METER":"m"`},
		`"draws":[{`:           {`"draws":[,{`, `"draws":[null,{`, `"draws":{{`},
		`"revenue":2}]`:        {`"revenue":2},]`, `"revenue":2}}`, `"revenue":2},null]`},
		`"id":"0193511f`:       {`"id":"x193511f`, `"id":null,"x":"`, `"ID":"0193511f`, `"id":"`},
		`"entrysize":1`:        {`"entrysize":2`, `"entrysize":-1`, `"entrysize":"1"`},
		`23:59:59.5Z`:          {`23:59:60Z`, `24:00:00Z`, `23:59:59.5`, `23:59:59.5+01:00`},
		`"source":"/a"`:        {`"source":1`, `"source":"/a","other":{"x":[1]}`, `"source":"/a","subject":"b"`},
		`"1.0"`:                {`"1.1"`, `1.0`},
		`}}}]`:                 {`}}}`, `}}]`, `}}},]`, `}}}] x`, ` } } } ] `, `}}},{}]`},
	} {
		for _, to := range tos {
			changed := strings.Replace(whole, from, to, 1)
			if changed == whole {
				t.Fatalf("%s is not there", from)
			}
			compare([]byte(changed))
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{`"`, `\`, `,`, `}`, `]`, `{`, `[`, `:`, ` `, `-`, `.5`, `0`, `null`, "\x00", "é"}
	for range 20_000 {
		from := rng.IntN(len(whole))
		to := min(len(whole), from+rng.IntN(4))
		compare(bytes.Join([][]byte{[]byte(whole[:from]), []byte(pieces[rng.IntN(len(pieces))]), []byte(whole[to:])}, nil))
	}
}
