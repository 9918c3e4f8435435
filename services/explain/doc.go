// Package explain says why a balance is what it is, why an entry cost what it cost, and why a use is refused:
// as steps that add up, and as sentences.
//
// It is pure but for what it reads: facts of the statement view and the tenant's catalogs. It decides nothing;
// what lots would pay, and in which order, it asks of services/rules.
//
// Start reading at Balance in balance.go; entry.go explains one entry and a use that is only asked about,
// facts.go has what each kind of event says, words.go the parts of sentences. It imports events/credit,
// services/rules and the statement view.
package explain
