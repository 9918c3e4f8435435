package api

import (
	"context"
	"testing"

	"creditstream/services/accounts"
)

// What was asked for may wait in the shard when whoever asked is gone: it must stay as it is.
func TestWorkIsNotUsedAgainWhileItMayWait(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for _, ctx := range []context.Context{t.Context(), ended} {
		request := accounts.Request{Key: "k", Account: "a"}
		w := &usageWork{events: []usageEvent{{Request: request}}, requests: []accounts.Request{request}}
		requests, events := w.requests, w.events
		w.release(ctx)
		if left := requests[0] == request && events[0].Request == request; left != (ctx == ended) {
			t.Errorf("the context ended: %t; the requests are as they were: %t", ctx == ended, left)
		}
	}
}
