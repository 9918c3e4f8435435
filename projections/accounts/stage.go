package accounts

import (
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// Stage collects what one commit, or several in a row, changed. It is for one goroutine.
type Stage struct {
	batch *projections.Batch
	puts
}

// puts writes records into a batch that is set from call to call.
type puts struct {
	to      *projections.Batch
	account string // whose parts are drained
	value   []byte
	err     error // the first one; it comes out of Commit
	put     func(part credit.Part, id string, value []byte)
	drop    func(part credit.Part, id string)
}

// Stage returns an empty stage, to be used again and again. Close it. After the view was switched to a new
// generation (a rebuild) the stage has to be empty.
func (v *View) Stage() *Stage {
	s := &Stage{batch: v.NewCommitBatch()}
	s.to = s.batch
	s.bind()
	return s
}

// bind makes the two functions for Drain once: made at each call they would be most of its garbage.
func (p *puts) bind() {
	p.put = p.putPart
	p.drop = p.dropPart
}

// Account drains the account: what changed since the last time is written at Commit.
func (p *puts) Account(a *credit.Account) {
	p.account = a.ID()
	p.value = a.Drain(p.value, p.put, p.drop)
}

// Key indexes an idempotency key. Entries that no request asked for (a zero hash) have none to index.
func (p *puts) Key(account, key string, hash credit.Hash, sequence uint64, offset uint32) {
	if hash == (credit.Hash{}) {
		return
	}
	var buf [keySize]byte
	value := Key{Hash: hash, Sequence: sequence, Offset: offset}.append(buf[:0])
	p.note(p.to.Put(appendKey(p.to.Key(), account, key), value))
}

// Catalog keeps a version of the tenant's rules.
func (p *puts) Catalog(version uint32, at time.Time, source string) {
	p.value = PublishedCatalog{At: at, Source: source}.append(p.value[:0])
	p.note(p.to.Put(appendCatalog(p.to.Key(), version), p.value))
}

func (p *puts) putPart(part credit.Part, id string, value []byte) {
	if part == credit.PartDue {
		p.note(p.to.Put(appendDue(p.to.Key(), id, p.account), nil))
		return
	}
	p.note(p.to.Put(appendPart(p.to.Key(), p.account, part, id), value))
	if part == credit.PartPurchase {
		p.note(p.to.Put(appendPurchase(p.to.Key(), id), []byte(p.account)))
	}
}

func (p *puts) dropPart(part credit.Part, id string) {
	if part == credit.PartDue {
		p.note(p.to.Drop(appendDue(p.to.Key(), id, p.account)))
		return
	}
	p.note(p.to.Drop(appendPart(p.to.Key(), p.account, part, id)))
}

func (p *puts) note(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *puts) takeErr() error {
	err := p.err
	p.err = nil
	return err
}

// Len is how many bytes are staged.
func (s *Stage) Len() int { return s.batch.Len() }

// Commit writes what was staged, and that it stands for the journal up to head; the stage is empty after
// it. After an error the accounts that were drained are ahead of the view: drop them, and load them anew.
func (s *Stage) Commit(head projections.Head) error {
	if err := s.takeErr(); err != nil {
		s.batch.Reset()
		return err
	}
	return s.batch.Commit(head)
}

// Reset empties the stage. The accounts that were drained into it have to be dropped.
func (s *Stage) Reset() {
	s.err = nil
	s.batch.Reset()
}

// Close releases the stage.
func (s *Stage) Close() error { return s.batch.Close() }
