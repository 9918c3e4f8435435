package statement

// Every is the fold with another interval of snapshots.
func Every(n uint64) Fold { return Fold{every: n} }

// Keeping is the fold with another bound of what it keeps between batches.
func Keeping(n int) Fold { return Fold{cache: n} }
