// Package personal keeps the keys that seal the texts of an account in the journal, and destroys them.
//
// A journal is never changed, and people may ask to be forgotten. So what a tenant writes about an account
// (descriptions, attributes, metadata, reasons) is sealed before it is decided on: with a key of that account
// that stands in the stream PERSONAL, which only the server may read. Erase deletes the key, overwriting it on
// disk; from then on the texts are noise that the hash chain still covers. docs/PERSONAL.md has the format
// and what it does not promise.
//
// Start reading at Store; key.go has the cryptography, record.go what stands in the stream. The package
// imports events/credit for the mark of a sealed text, and services/accounts for what it is there.
package personal
