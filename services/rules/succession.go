package rules

// Accepts checks that the catalog may be published after those of the book: what any of them counted
// amounts in has to stay, also for a pool that was dropped in between, because its lots may still be
// there. The error is a *CatalogError. The receiver may be nil.
func (b *Book) Accepts(next *Catalog) error {
	if b == nil {
		return nil
	}
	for _, p := range b.published {
		if err := next.Follows(p.catalog); err != nil {
			return err
		}
	}
	return nil
}
