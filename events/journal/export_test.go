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
