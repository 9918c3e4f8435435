// Package purchases turns money into credits: it requests a purchase, has the buyer's money collected
// by a payment provider, and credits the account when the provider says that it was paid.
//
// Start reading at Provider (provider.go), what a payment company has to be able to do; adding one is
// one file like sandbox.go. service.go carries a purchase from request to credit; notices.go takes in
// what providers say; resume.go asks them again, after a restart, about what was under way. webhook.go
// is the signature of their notifications.
//
// What may be bought, and what a payment gives, is decided in services/rules; this package keeps no
// state of a purchase. The journal says first what is to happen, then the provider is told, under the
// purchase's own id: whatever breaks in between, doing it again is safe, and a provider that repeats
// itself or speaks out of order changes nothing.
//
// The package imports services/accounts, services/rules, services/credentials and events/credit.
package purchases
