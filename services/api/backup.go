package api

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"creditstream/services/accounts"
)

// ErrBackingUp says that a backup is under way.
var ErrBackingUp = fmt.Errorf("%w: a backup is under way", accounts.ErrUnavailable)

func backupRoute() route {
	return route{
		id: "backup", method: http.MethodPost, path: adminPath + "/backup", stream: true,
		summary: "Everything that the server keeps, as a tar file, while it goes on",
		detail: "Its last files are a manifest with the SHA-256 of all others, and the manifest's own: an answer without them broke off. It holds the " +
			"credentials, protected by the pepper, which is no part of it. `credits restore` makes a data directory of it.",
		query:       []param{{"journal_only", "boolean", "Without the views, which are built anew after a restore."}},
		answerMedia: "application/x-tar", handle: backUp,
	}
}

func backUp(c *call) (reply, error) {
	out := &patient{w: c.w, control: http.NewResponseController(c.w)}
	header := c.w.Header()
	header.Set("Content-Type", "application/x-tar")
	header.Set("Cache-Control", "no-store")
	err := c.cfg.Backup(c.ctx, out, c.r.URL.Query().Get("journal_only") == "true")
	if err == nil {
		c.log.Info("backed up", "actor", c.principal.Actor, "bytes", out.written)
		return reply{status: http.StatusOK, written: true}, nil
	}
	if out.written == 0 {
		return reply{}, err
	}
	if !errors.Is(err, c.ctx.Err()) {
		c.log.Error("a backup broke off", "bytes", out.written, "reason", err)
	}
	panic(http.ErrAbortHandler) // nobody may take it for whole
}

// patient is an answer of any length whose client has to take some of it all the time.
type patient struct {
	w       http.ResponseWriter
	control *http.ResponseController
	written int64
}

// Write implements io.Writer.
func (p *patient) Write(text []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(slowestRead)); err != nil {
		return 0, err
	}
	n, err := p.w.Write(text)
	p.written += int64(n)
	return n, err
}
