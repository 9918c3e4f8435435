package statement

// Every is the fold with another interval of snapshots.
func Every(n uint64) Fold { return Fold{every: n} }
