// Soak is a developer's command: it does to a server what a data centre does, again and again, and closes the
// books after each time (`task soak`).
//
// The server (services/node, the whole of it) is a child process, the victim. The driver, this process, sends it
// a mixed load over HTTP and writes down every answer, on a disk that nothing happens to. A campaign is one kind
// of fault; after each fault the server is started on what is left, whatever had no answer is asked again under its key,
// and the books are closed (books.go):
//
//   - every acknowledged command is in the journal, once, as it was, and repeats its original answer;
//   - no idempotency key and no purchase took effect twice;
//   - no account is below zero;
//   - keys that were made open, and those that were revoked do not; texts can be read, and erased ones cannot;
//   - the server's own verification agrees: hashes, order, conservation, and every view equal to the fold.
//
// Then the load goes on, on the same data. A campaign that finds something prints what, with the seed that shows
// it again, and keeps the data directory.
//
// Start reading at campaign.go, which also says how to add one; driver.go has the load. The tests of this package
// run a few rounds of each campaign and require that a server that does not sync is found out.
package main
