// Package backup is the form in which everything that a server keeps is put away: files in an order, and a
// manifest that names each of them with its SHA-256.
//
// A backup is a directory or one tar file, with the same files in both. Start reading at [Manifest], which says
// what is in it; [Writer] writes one as a stream, so that nothing has to be put aside first; [Receive] stores
// such a stream, and [Archive] reads it back and notices what was changed, cut off or left out.
//
// It knows nothing of NATS and Pebble: what the files hold is package node's business. It imports of ours only
// events/journal, for places in journals.
package backup
