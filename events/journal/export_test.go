package journal

// ForgetLastID makes the next append expect an id that the server does not have,
// as when the server lost track of it.
func (j *Journal) ForgetLastID() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending.lastID = "unknown"
}

// Awaited reports whether somebody waits for the head to move.
func (j *Journal) Awaited() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.moved != nil
}

// Repeat sends everything that waits for its ack again, as when that does not come.
func (j *Journal) Repeat() { j.writer.repeat() }

// TrustSequence repeats the oldest append without the id that it follows, as when the server does not know that.
func (j *Journal) TrustSequence() { j.writer.trustSequence() }
