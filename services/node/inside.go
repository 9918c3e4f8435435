package node

import "net/http"

// Handler is the HTTP door for this process alone: what works on a stopped server's directory needs no port
// that others could find. It decides who asks as the other door does.
func (n *Node) Handler() http.Handler { return n.doors.api.Handler() }
