package index

import (
	"context"
	"errors"
)

// Found is what a survey found in the files of a stream.
type Found struct {
	// Last is the last message that can be read; 0: there is none.
	Last uint64
	// Damaged is what in front of it is damaged, in its order.
	Damaged []*Damage
}

// Gone counts the messages that could be read, and cannot any more when the stream is surveyed again, and returns the
// first and the last of them.
func (f *Found) Gone(again *Found) (count, first, last uint64) {
	before, now := f.Damaged, again.Damaged
	for n := uint64(1); n <= f.Last; n++ {
		if damagedAt(&before, n) || n <= again.Last && !damagedAt(&now, n) {
			continue
		}
		if count++; count == 1 {
			first = n
		}
		last = n
	}
	return count, first, last
}

// damagedAt reports whether a message is damaged, and forgets what is damaged before it.
func damagedAt(all *[]*Damage, sequence uint64) bool {
	for len(*all) > 0 && (*all)[0].Last < sequence {
		*all = (*all)[1:]
	}
	return len(*all) > 0 && (*all)[0].First <= sequence
}

// Survey reads a stream that no server has open (its directory is account/streams/stream of a store directory) from
// the first message to the last, each with its checksum, as it is found: a server changes what it cannot read. What is damaged with nothing
// sound behind it is left out: nobody can tell it from a message that was being written when its server ended.
//
// The error is that of ctx or of reading, or says that something is there that this package does not know, like that
// of [Reader.Read]. What was found until then is returned with it. tell, which may be nil, is told how many of how many
// files were read.
func Survey(ctx context.Context, dir, subject string, tell func(read, all int)) (Found, error) {
	var memory []byte
	r := NewReader(dir, subject)
	r.Memory = func(size int) []byte {
		if cap(memory) < size {
			memory = make([]byte, size)
		}
		return memory[:size]
	}
	var found Found
	err := r.survey(ctx, &found, tell)
	for n := len(found.Damaged); n > 0 && found.Damaged[n-1].First > found.Last; n-- {
		found.Damaged = found.Damaged[:n-1]
	}
	return found, err
}

func (r *Reader) survey(ctx context.Context, found *Found, tell func(read, all int)) error {
	files, err := blockNumbers(r.dir)
	if err != nil {
		return err
	}
	if tell == nil {
		tell = func(int, int) {}
	}
	var last *Damage
	read := 0
	for next := uint64(1); ; {
		err := r.Read(ctx, next, maxSeq, func(m Message) bool {
			found.Last = m.Sequence
			for read < len(files) && files[read] < r.block {
				read++
				tell(read, len(files))
			}
			return true
		})
		var d *Damage
		if !errors.As(err, &d) || last != nil && d.First == last.First && d.Last == last.Last {
			if read < len(files) && ctx.Err() == nil {
				tell(len(files), len(files))
			}
			return err
		}
		found.Damaged = append(found.Damaged, d)
		last, next = d, d.Last+1
	}
}
