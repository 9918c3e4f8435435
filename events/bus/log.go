package bus

import (
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
)

// serverLog gives the server's messages to a slog.Logger. A fatal message does
// not end the process: Start sees that the server is not ready and says so.
type serverLog struct {
	log   *slog.Logger
	error func(text string) // is told what is logged as an error
	fatal func(text string) // is told why the server gives up
}

func (l serverLog) Noticef(format string, v ...any) {
	l.log.Debug("nats: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Warnf(format string, v ...any) { l.log.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("nats: " + text)
	l.error(text)
}
func (l serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("nats: " + text)
	l.fatal(text)
}
func (l serverLog) Debugf(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Tracef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }

// logErrors reports what a connection learns behind its user's back, such as a
// publish that the server did not permit.
func logErrors(log *slog.Logger) nats.Option {
	return nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		subject := ""
		if sub != nil {
			subject = sub.Subject
		}
		log.Error("bus connection", "name", nc.Opts.Name, "subject", subject, "error", err)
	})
}
