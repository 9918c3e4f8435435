// Package faultfs is a disk that can lose power, run full and fail, mounted as a real file system: what is
// tested on it runs unchanged, in a process of its own.
//
// A Disk keeps everything twice: as programs see it now, and as it would be found after a power cut. What
// was written, created, renamed or removed and not synced is in the first and not in the second. Cut makes
// the disk that is found: nothing of what was not synced (Nothing), all of it (Everything: what kill -9
// leaves), or some of it (Some: writes that survive others made before them, writes torn at sectors and pages,
// files that grew without their content). The old disk answers every operation with EIO from then on.
//
// # What a sync promises
//
// A sync of a file (fsync, fdatasync, or a write to a file opened with O_SYNC or O_DSYNC; the kernel turns the
// latter into write and sync) makes its content and length durable. About names there are two models, and the
// difference matters because JetStream never syncs the directory of a new message block:
//
//   - Ordered is what ext4, XFS and Btrfs do on Linux: metadata operations go to one log, in order, and
//     a sync writes that log up to the last operation on the synced file or directory. So a file that was
//     synced is found under its name, and a rename cannot overtake the creation before it. The model keeps no
//     more than XFS does, which is least: ext4 writes the whole log at each sync.
//   - Strict is the letter of POSIX: a sync of a file says nothing about its name, which a sync of its
//     directory makes durable, as does one of the directory's own parent for the directory.
//
// fdatasync may leave out times, which this disk does not keep, so it does the same as fsync.
// sync_file_range and close promise nothing here, as on Linux. Locks are the kernel's.
//
// # A sync that failed
//
// When a sync fails (EIO, injected), Linux forgets that the pages were dirty: a later sync of the same file
// succeeds without writing them, though everyone still reads them. So it is here: what a failed sync should have
// made durable stays lost, whatever is synced later, until somebody writes it again.
//
// What is not modelled: bits that rot (other tests flip them), a disk that lies about a sync, and a cut within
// one sector.
//
// Start reading at [NewDisk], then sync.go for what is durable and cut.go for what is found. Mounting needs
// Linux, root and /dev/fuse: Unsupported says what is missing. The package imports nothing of this module.
package faultfs
