package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// request is one command as it is sent, and sent again.
type request struct {
	Kind    kind   `json:"kind"`
	Account string `json:"account"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Key     string `json:"key"`
	Body    string `json:"body"`
}

// id is what makes a command one and the same: its account and its key.
func (r *request) id() string { return r.Account + " " + r.Key }

// note is a command that was acknowledged.
type note struct {
	request
	Answer string `json:"answer"` // what has to be the same when the request is repeated
}

// record is what the driver was told, by command: kept in memory, and in a file on a disk that nothing happens
// to, to be looked at afterwards. It may be used concurrently.
type record struct {
	mu      sync.Mutex
	acked   map[string]note
	order   []string            // of acked, oldest first
	unknown map[string]request  // sent, and no answer came
	differs []string            // repetitions that were answered otherwise, in words
	entries map[string][32]byte // hash of each entry that a server has shown us in its journal, by id
	bought  map[string]bool     // path of purchases that were settled
	file    *os.File
}

func newRecord(path string) (*record, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record of acknowledgements: %w", err)
	}
	return &record{
		acked: make(map[string]note), unknown: make(map[string]request), entries: make(map[string][32]byte),
		bought: make(map[string]bool), file: file,
	}, nil
}

func (r *record) close() error { return r.file.Close() }

// acknowledge notes an answer. A repetition has to have the first one's.
func (r *record) acknowledge(q request, answer string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := q.id()
	delete(r.unknown, id)
	if first, again := r.acked[id]; again {
		if first.Answer != answer {
			r.differs = append(r.differs, fmt.Sprintf("%s %s of %s was answered %s, and now %s", q.Kind, q.Key, q.Account, first.Answer, answer))
		}
		return nil
	}
	n := note{q, answer}
	r.acked[id] = n
	r.order = append(r.order, id)
	line, err := json.Marshal(n)
	if err == nil {
		_, err = r.file.Write(append(line, '\n'))
	}
	return err
}

// settled notes that a purchase was paid and its credits given.
func (r *record) settled(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bought[path] = true
}

// doubt notes that no answer came.
func (r *record) doubt(q request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.acked[q.id()]; !known {
		r.unknown[q.id()] = q
	}
}

// refuse notes that a command was refused, which says that its key took no effect.
func (r *record) refuse(q request, code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.unknown, q.id())
	if first, known := r.acked[q.id()]; known {
		r.differs = append(r.differs, fmt.Sprintf("%s %s of %s was answered %s, and now it is refused: %s", q.Kind, q.Key, q.Account, first.Answer, code))
	}
}

// doubtful returns the commands that no answer came to.
func (r *record) doubtful() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []request
	for _, q := range r.unknown {
		all = append(all, q)
	}
	return all
}

// size is how many commands were acknowledged.
func (r *record) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.acked)
}

// count adds what was acknowledged to a result.
func (r *record) count(to *result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to.ByKind == nil {
		to.ByKind = make(map[kind]int)
	}
	to.Acknowledged += len(r.acked)
	for _, n := range r.acked {
		to.ByKind[n.Kind]++
	}
}
