// Package credentials keeps what proves who is calling and who approves: API keys, approval
// codes (PIN or TOTP) and the short-lived tokens of one account's page or widget.
//
// # What it promises
//
//   - Every change is published to the stream CREDENTIALS and acknowledged before it takes effect
//     or is answered. With the server's sync_interval "always" that means: it is on disk.
//   - Nothing in the stream is a usable secret. API keys and PINs are kept as hashes, TOTP secrets
//     are sealed, and all of it hangs on the pepper, 32 random bytes in a file outside the journals.
//     A copy of the stream without that file opens nothing.
//   - Two processes cannot interleave on one credential: each write states the sequence it was
//     decided on, and the server refuses it if another came between. So five guesses are five
//     guesses however many processes are asked, and a TOTP step is accepted once.
//   - A revocation acts in this process when Revoke returns, in others as soon as the stream
//     delivers it, well within a second.
//   - No secret is in a log line, an error or a printed value.
//
// # How it is stored
//
// One subject per credential, of which the stream keeps the last message (MaxMsgsPerSubject 1):
//
//	credentials.pepper            proves that the pepper file belongs to this stream
//	credentials.keys.<hash>       all keys of one (tenant, actor): one subject, so that the limit of
//	                              two live keys is fenced too
//	credentials.approval.<hash>   code, wrong tries, lock and last TOTP step of one account
//
// A message is a JSON record; its header Creditstream-Mac is an HMAC over subject and body. A record
// that was altered, or moved to another subject, stops Open; one that arrives later closes that
// credential (Store.Err says so). A record put back in place of a newer one is noticed by the stores
// that were running, not by one opened afterwards: on one machine whoever may rewrite the stream can
// also rewind it, and so can a crash that truncates the store's tail.
//
// # Imports
//
// nats.go (the *nats.Conn must belong to the server's own NATS account: no tenant may reach this
// stream), golang.org/x/crypto for argon2, and the standard library. Nothing of ours.
//
// Start at [Open] in store.go; then amend in record.go, the one way in which anything changes;
// then keyring.go, approval.go and token.go, which only decide.
package credentials
