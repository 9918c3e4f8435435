package api

import (
	"context"

	"creditstream/services/credentials"
)

type principalKey struct{}

// As returns a context whose requests are those of a principal that was authenticated before: for the
// pages of this process, which hand their requests to Handler without a port in between. Whatever else is
// checked of a request is checked of these, too; nothing that comes in over a port can carry it.
func As(ctx context.Context, who credentials.Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, who)
}

// inside is the principal that As put there.
func inside(ctx context.Context) (credentials.Principal, bool) {
	who, ok := ctx.Value(principalKey{}).(credentials.Principal)
	return who, ok
}
