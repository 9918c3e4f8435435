package projections

import "iter"

// pile is records in the order in which they were put, to be taken by key. It is used again after it was emptied.
type pile struct {
	chunks  [][]byte // keys and values, one after the other
	records []piled
	size    int // in bytes, with what is kept beside keys and values
	head    Head
}

// piled is where a record is.
type piled struct {
	chunk, at  uint32
	key, value uint32 // lengths
	dropped    bool
}

const (
	leastChunk = 32 << 10 // of the first; the next are twice as large each, up to chunkSize
	chunkSize  = 1 << 20
	// perRecord is what a record takes beside its key and value; half of it is in the sorter, which two piles share.
	perRecord = 44
)

// put keeps a copy of a record, and returns that of the value, which stays as it is until the pile is emptied.
func (p *pile) put(key, value []byte, dropped bool) []byte {
	n := len(key) + len(value)
	last := len(p.chunks) - 1
	if last < 0 || cap(p.chunks[last])-len(p.chunks[last]) < n {
		if last++; last < cap(p.chunks) && cap(p.chunks[:last+1][last]) >= n {
			p.chunks = p.chunks[:last+1] // one of before
		} else {
			p.chunks = append(p.chunks, make([]byte, 0, max(min(leastChunk<<min(last, 5), chunkSize), n)))
		}
	}
	chunk := p.chunks[last]
	at := len(chunk)
	chunk = append(append(chunk, key...), value...)
	p.chunks[last] = chunk
	p.records = append(p.records, piled{uint32(last), uint32(at), uint32(len(key)), uint32(len(value)), dropped})
	p.size += n + perRecord
	return chunk[at+len(key) : at+n : at+n]
}

func (p *pile) empty() {
	for i := range p.chunks {
		p.chunks[i] = p.chunks[i][:0]
	}
	p.chunks, p.records, p.size, p.head = p.chunks[:0], p.records[:0], 0, Head{}
}

// capacity is how many bytes it takes, empty or not.
func (p *pile) capacity() (n int) {
	for _, chunk := range p.chunks[:cap(p.chunks)] {
		n += cap(chunk)
	}
	return n + perRecord*cap(p.records)
}

func (p *pile) key(n uint32) []byte {
	r := &p.records[n]
	return p.chunks[r.chunk][r.at : r.at+r.key]
}

func (p *pile) value(n uint32) []byte {
	r := &p.records[n]
	return p.chunks[r.chunk][r.at+r.key : r.at+r.key+r.value]
}

// all yields the records in the order in which they were put.
func (p *pile) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := range p.records {
			if !yield(uint32(i)) {
				return
			}
		}
	}
}

// touch reads a byte in each line of memory of a record, and returns their sum. Records that come by key are nowhere
// near each other: who touches the next few before he takes the first waits for the memory of all of them once.
func (p *pile) touch(n uint32) (sum byte) {
	r := &p.records[n]
	chunk := p.chunks[r.chunk]
	end := r.at + r.key + r.value
	for at := r.at; at < end; at += cacheLine {
		sum += chunk[at]
	}
	return sum + chunk[end-1]
}

// cacheLine is how many bytes of memory a processor reads at once, on most.
const cacheLine = 64
