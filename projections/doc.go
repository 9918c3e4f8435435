// Package projections folds journals into views: what answers questions without reading a journal.
//
// A view is the fold of one journal (one tenant's shard). All views of one kind share one Pebble store;
// the records of a view and the place in the journal that they stand for (its checkpoint) are written in
// one batch, without fsync. After a crash a view is at an older checkpoint and folds on from there.
//
// Start reading at [Fold] in projection.go: a new kind of view is one implementation of it. store.go says
// how the keys of a store are laid out, runner.go keeps views up to date, rebuild.go makes one anew beside
// the live one and compare.go says how they differ; verify.go proves journal and views by another path.
// The packages below are the kinds: accounts (what decisions need), statement and usage.
//
// It imports events/credit, events/journal and pebble. It knows no rule, no price and no clock.
package projections
