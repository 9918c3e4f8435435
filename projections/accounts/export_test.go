package accounts

// Keeping is the fold with another bound of what it keeps between batches.
func Keeping(n int) Fold { return Fold{cache: n} }
