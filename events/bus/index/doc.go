// Package index carries the index of a stream over a crash, so that the next start does not read the whole journal.
//
// The embedded server writes an index of each stream (index.db) every two minutes or so, and at its end. At a start it
// believes one only when nothing was written after it; else it reads every block of the stream, twice. So after a
// crash a start takes as long as the journal is.
//
// An index is right all the same as of when it was written, and of a stream from which nothing can be removed only
// appended records can have come since. [Carry] reads those, each with its checksum, and writes the index that the
// server itself would have written behind the last of them. That has to happen before the server starts, under the
// lock of its directory.
//
// Two rules keep this safe. Whatever is not plainly that (another version, a gap, a torn or damaged record, a file
// that nobody knows, a stream that may remove something) is left as it is, and the server reads all of it as ever:
// being wrong about the format costs time, not records. And an index is written only when all that it speaks of is
// synced, so no power cut leaves one that knows more than the disk.
//
// [Reader] knows the same files for another reason: it reads the messages of a journal from its blocks while a server has
// them open, because a server that is asked for them keeps whole blocks in memory.
//
// What the files look like is known from server/filestore.go of the version named by [ReadFor], and held to that
// server by the tests; with any other version nothing is carried. Start reading at carry.go, which does all the input
// and output; state.go is the index and record.go what is appended, and both are pure. meta.go says which streams.
// messages.go is [Reader], damage.go says what it could not read because a file is damaged, and survey.go reads a whole stream
// before a server changes it.
//
// It imports NATS for the configuration of a stream, the hash that NATS uses, and nothing of this module.
package index
