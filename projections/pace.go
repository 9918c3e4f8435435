package projections

import "sync"

// pace lets a table be written in step with what comes onto the shelf: twice as fast, so that it is done when the next
// shelf is half full. All of it at once would take a processor for a tenth of a second, and whoever asks meanwhile
// would wait for what asked before him; in step it takes the same part of a processor all the time. Who waits for
// the table has the rest written at once.
type pace struct {
	mu     sync.Mutex
	moved  sync.Cond // came or urgent changed, and who waits may go on
	came   int       // bytes on the next shelf
	room   int       // how many it has room for
	urgent int       // how many wait for the table
	next   int       // how much is to be done when it goes on, of all; 0 when nobody waits
	all    int
}

// pacedAhead is how many times as fast as the shelf fills the table is written.
const pacedAhead = 2

func newPace() *pace {
	p := &pace{room: 1}
	p.moved.L = &p.mu
	return p
}

// fill says how full the next shelf is.
func (p *pace) fill(came, room int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.came, p.room = came, room
	p.letGo()
}

// hurry has everything written at once, until calm is called as often.
func (p *pace) hurry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.urgent++
	p.letGo()
}

func (p *pace) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.urgent--
}

// letGo is called with mu held.
func (p *pace) letGo() {
	if p.next > 0 && p.may(p.next, p.all) {
		p.moved.Signal()
	}
}

// may is called with mu held.
func (p *pace) may(next, all int) bool {
	return p.urgent > 0 || int64(next)*int64(p.room) <= pacedAhead*int64(p.came)*int64(all)
}

// wait returns when so much of all may be done. One goroutine waits at a time.
func (p *pace) wait(next, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.next, p.all = next, all; !p.may(next, all); {
		p.moved.Wait()
	}
	p.next = 0
}
