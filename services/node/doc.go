// Package node is one running server: the one place where everything is wired.
//
// Start reading at Start: it opens the bus, the credentials and the views, then each tenant's
// journals (tenants.go), then the doors (doors.go). Close goes the same way back. `credits serve`, the
// demo, the bench and the tests of the doors all run a Node.
//
// It imports everything of ours and nothing imports it but cmd.
package node
