//go:build !unix

package front

import "net"

// hasHungUp cannot tell here: a request waits for its answer until its context ends.
func hasHungUp(net.Conn) bool { return false }
