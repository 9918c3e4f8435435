package api

import (
	"slices"
	"strings"

	"creditstream/services/accounts"
)

// places is how far a reader has come in each of a tenant's journals, by shard: what comes next. Sequence 0
// is the beginning. A reader of several journals gets all of them as one position, else whoever goes on
// behind an event of one journal would miss what he has not seen of the others.
type places []accounts.Position

// placeSeparator stands between the positions of several journals, the one that is meant first.
const placeSeparator = "_"

// parsePlaces reads a position that this tenant gave out: of one journal, or of several. latest is the
// shard of the event or answer that it was given out with.
func parsePlaces(text string, shards int) (p places, latest int, ok bool) {
	p = make(places, shards)
	for i, part := range strings.Split(text, placeSeparator) {
		at, err := accounts.ParsePosition(part)
		if err != nil || at.Shard >= shards || p[at.Shard].Sequence > 0 {
			return nil, 0, false
		}
		if p[at.Shard] = at; i == 0 {
			latest = at.Shard
		}
	}
	return p, latest, true
}

// with is the position of an entry for somebody who reads all of the journals.
func (p places) with(at accounts.Position) string {
	text := at.String()
	for shard, next := range p {
		if shard != at.Shard && next.Sequence > 0 {
			text += placeSeparator + next.String()
		}
	}
	return text
}

// readers is a copy that a reader of these shards moves on, or nil if one is all there is to read.
func (p places) readers(shards []int) places {
	if len(shards) == 1 {
		return nil
	}
	return slices.Clone(p)
}
