// Package trial makes up journals for tests: many accounts to which everything happens that a fact can
// state, in an order that rules could have decided. Equal seeds make equal journals.
//
// Start reading at [New] and [Source.Commit]; moves.go has what can happen to an account, settle.go what
// falls due by itself.
//
// It imports events/credit and projections. Only tests import it.
package trial

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"creditstream/events/credit"

	"github.com/google/uuid"
)

// unit is one credit at scale 6.
const unit credit.Amount = 1_000_000

const cycleLength = 30 * 24 * time.Hour

// Source makes entries. Its accounts are the fold of all that it made.
type Source struct {
	rng      *rand.Rand
	now      time.Time
	accounts []*customer
	step     time.Duration
	plain    bool
	entries  []credit.Entry
	ids      uint64
	version  uint32
}

// customer is an account and what the moves remember of it.
type customer struct {
	*credit.Account
	uses []*use
}

// use is what of one use can still be reversed.
type use struct {
	key      string
	meter    string
	total    int64 // reversed
	draws    []credit.Draw
	quantity int64
}

// New starts a journal with that many accounts, none of which is open yet.
func New(seed uint64, accounts int) *Source {
	s := &Source{
		rng:  rand.New(rand.NewPCG(seed, 1)),
		now:  time.Date(2026, 1, 10, 9, 30, 0, 1, time.UTC),
		step: 6 * time.Hour / time.Duration(max(1, accounts)),
	}
	for i := range accounts {
		s.accounts = append(s.accounts, &customer{Account: credit.NewAccount(fmt.Sprintf("account-%06d", i))})
	}
	return s
}

// Plain makes a journal of nearly nothing but single uses, as a busy one is.
func Plain(seed uint64, accounts int) *Source {
	s := New(seed, accounts)
	s.plain = true
	s.step = time.Millisecond
	return s
}

// Account returns an account as it is now, or nil.
func (s *Source) Account(id string) *credit.Account {
	for _, c := range s.accounts {
		if c.ID() == id {
			return c.Account
		}
	}
	return nil
}

// Accounts returns all accounts as they are now.
func (s *Source) Accounts() []*credit.Account {
	all := make([]*credit.Account, len(s.accounts))
	for i, c := range s.accounts {
		all[i] = c.Account
	}
	return all
}

// Now is the shard's time.
func (s *Source) Now() time.Time { return s.now }

// Commit makes at least n entries, and the body of the commit that carries them.
func (s *Source) Commit(n int) ([]credit.Entry, []byte) {
	s.entries = nil
	for len(s.entries) < n {
		s.now = s.now.Add(time.Duration(s.rng.Int64N(int64(2*s.step)) + 1))
		if s.rng.IntN(500) == 0 && !s.plain {
			s.catalog()
			continue
		}
		c := s.accounts[s.rng.IntN(len(s.accounts))]
		s.settle(c)
		s.move(c)
	}
	body, err := credit.EncodeCommit("/creditstream/trial/0", s.entries)
	if err != nil {
		panic(err)
	}
	return s.entries, body
}

func (s *Source) catalog() {
	s.version++
	source := fmt.Sprintf("version: %d\n", s.version)
	s.entries = append(s.entries, credit.Entry{
		Key: s.key(), Hash: s.hash(), Actor: "owner", Recorded: s.now,
		Facts: []credit.Fact{{ID: s.id(), At: s.now, Event: &credit.CatalogPublished{Version: s.version, Source: source}}},
	})
}

// asked is an entry that a request asked for.
func (s *Source) asked(c *customer, at time.Time, events ...credit.Event) string {
	key := s.key()
	s.add(c, credit.Entry{Key: key, Hash: s.hash(), Actor: "feature"}, at, events...)
	return key
}

// fell is an entry about what fell due.
func (s *Source) fell(c *customer, key string, at time.Time, event credit.Event) {
	s.add(c, credit.Entry{Key: key}, at, event)
}

func (s *Source) add(c *customer, e credit.Entry, at time.Time, events ...credit.Event) {
	e.Account, e.Recorded = c.ID(), s.now
	for _, event := range events {
		e.Facts = append(e.Facts, credit.Fact{ID: s.id(), At: at, Event: event})
		c.Evolve(event, at)
	}
	s.entries = append(s.entries, e)
}

func (s *Source) id() uuid.UUID {
	s.ids++
	id := uuid.UUID{6: 0x70, 8: 0x80}
	binary.BigEndian.PutUint64(id[:], uint64(s.now.UnixMilli())<<16)
	id[6] = 0x70
	binary.BigEndian.PutUint32(id[12:], uint32(s.ids))
	return id
}

func (s *Source) key() string { return s.id().String() }

func (s *Source) hash() (h credit.Hash) {
	binary.BigEndian.PutUint64(h[:], s.rng.Uint64()|1)
	return h
}

func (s *Source) chance(percent int) bool { return s.rng.IntN(100) < percent }
