package bus

import "sync"

// sessions remembers with what each tenant's client logged in, so that it can be
// asked again whether that is still good. NATS itself asks once per connection.
type sessions struct {
	mu   sync.Mutex
	open map[uint64]session // by the server's id of the client
}

type session struct{ user, token, tenant string }

func (s *sessions) add(client uint64, login session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[uint64]session)
	}
	s.open[client] = login
}

// RecheckLogins asks Authenticate again about every tenant's client that is
// connected, disconnects those that it no longer lets in, and returns how many
// those were. Call it when a key was revoked, and every second or so for keys that
// expire or are revoked elsewhere.
func (s *Server) RecheckLogins() (disconnected int) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	running := s.running.Load()
	if running == nil {
		clear(s.sessions.open)
		return 0
	}
	for client, login := range s.sessions.open {
		if tenant, ok := s.authenticate(login.user, login.token); ok && tenant == login.tenant {
			if running.GetClient(client) == nil {
				delete(s.sessions.open, client)
			}
			continue
		}
		delete(s.sessions.open, client)
		// It may have left by itself meanwhile, which is as good.
		if running.DisconnectClientByID(client) == nil {
			disconnected++
		}
	}
	return disconnected
}
