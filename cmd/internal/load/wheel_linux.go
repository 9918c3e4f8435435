package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// wheel is all clients of the HTTP door on one goroutine, as good load generators for HTTP have it: it waits for all
// connections at once, reads each answer and writes each request with one call of the system, and in an open loop
// is itself who knows what is due. A goroutine a client takes a third more of the processor that it shares with the server, and
// a thread that announces to others what is due has them woken one by one: the wait for that was most of the
// latency that was seen (docs/PERFORMANCE.md).
type wheel struct {
	poll    int // of epoll
	lanes   []*lane
	free    []*lane // that wait for no answer
	events  []unix.EpollEvent
	tallies *tallies
}

// lane is one client and its connection.
type lane struct {
	*client
	door    *overHTTP
	fd      int // of the connection; -1 when there is none
	used    bool
	waits   bool
	rest    []byte // of the request, when not all of it could be written
	in      []byte
	due     time.Time
	started time.Time
	first   uint64 // of the charges under way
	charges int    // under way; 0 when it only asks
}

// newWheel connects all clients, if this profile can be driven so; nil if not.
func (r *run) newWheel(ctx context.Context, clients []*client) (w *wheel, err error) {
	if r.cfg.Door != doorHTTP || r.target.another != nil || !r.profile.plain {
		return nil, nil
	}
	w = &wheel{tallies: r.tallies, events: make([]unix.EpollEvent, 32)}
	if w.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	for _, c := range clients {
		l := &lane{client: c, door: c.door.(*overHTTP), in: make([]byte, 0, 4<<10), fd: -1}
		w.lanes = append(w.lanes, l)
		if err := w.connect(ctx, l); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	w.free = slices.Clone(w.lanes)
	return w, nil
}

// connect gives a lane a connection.
func (w *wheel) connect(ctx context.Context, l *lane) (err error) {
	if l.fd, err = connect(ctx, l.door.address); err == nil {
		err = unix.EpollCtl(w.poll, unix.EPOLL_CTL_ADD, l.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.number)})
	}
	if err != nil {
		return fmt.Errorf("connect client %d: %w", l.number, err)
	}
	return nil
}

// hangUp is for a lane on which the server hung up, as servers do on whoever asks for nothing: of many clients at
// a low rate most are seldom needed. One that is needed connects again.
func (l *lane) hangUp() error {
	fd := l.fd
	l.fd = -1
	return unix.Close(fd)
}

// connect returns a connection that the Go runtime does not watch: it would be woken for each answer, too.
func connect(ctx context.Context, address string) (fd int, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return -1, err
	}
	defer func() { _ = conn.Close() }() // the duplicate stays open
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return -1, err
	}
	duplicated := errors.New("the connection is gone")
	err = raw.Control(func(own uintptr) { fd, duplicated = unix.Dup(int(own)) })
	return fd, errors.Join(err, duplicated)
}

func (w *wheel) close() error {
	faults := []error{unix.Close(w.poll)}
	for _, l := range w.lanes {
		if l.fd >= 0 {
			faults = append(faults, unix.Close(l.fd))
		}
	}
	return errors.Join(faults...)
}

// turn runs a slice from start to until: a closed loop, or an open one in which a request is due every so often. It returns
// when all that was started is answered. What could not be started until giveUp counts as dropped.
func (w *wheel) turn(ctx context.Context, start, until time.Time, every time.Duration, giveUp time.Time) error {
	if every > 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := wakeInTime(true); err != nil {
			return err
		}
		defer func() { _ = wakeInTime(false) }() // it was possible before
	}
	due := start
	for {
		for len(w.free) > 0 && due.Before(until) {
			now := time.Now()
			if every == 0 {
				due = now
			}
			if due.After(now) || !due.Before(until) {
				break
			}
			if every > 0 && now.After(giveUp) {
				w.drop(now, due)
			} else if err := w.begin(ctx, now, due); err != nil {
				return err
			}
			due = due.Add(every)
		}
		wait := untilAnswered
		if due.Before(until) && len(w.free) > 0 {
			wait = time.Until(due)
		} else if len(w.free) == len(w.lanes) {
			return nil
		}
		if err := w.wait(ctx, wait); err != nil {
			return err
		}
	}
}

// wakeInTime has the system wake this thread when it asked to be woken: by default that may be 50 µs later, half as
// long as an answer takes.
func wakeInTime(on bool) error {
	slack := 0 // the default
	if on {
		slack = 1 // nanosecond
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
		return fmt.Errorf("be woken in time: %w", err)
	}
	return nil
}

// untilAnswered is how long is waited at most for an answer before somebody asks whether the run has been ended.
const untilAnswered = time.Second

func (w *wheel) drop(now, due time.Time) {
	w.tallies.note(0, func(m *measured) {
		m.dropped++
		m.add(now.Sub(due).Microseconds(), 0, false)
	})
}

// begin starts a request on a lane that is free: one whose connection was never used, or that whose was used last, which
// the processor knows best.
func (w *wheel) begin(ctx context.Context, now, due time.Time) error {
	l := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	if l.fd < 0 {
		if err := w.connect(ctx, l); err != nil {
			return err
		}
	}
	l.due, l.started, l.waits, l.charges = due, now, true, 0
	if l.onlyAsks() {
		l.door.compose(l.door.checks(l.account()), "application/json", "")
	} else {
		l.first = l.sent
		batch := l.next(now)
		l.charges = len(batch)
		l.door.compose("/events", l.door.charges(batch), "")
	}
	l.rest = l.door.sent
	return w.write(l)
}

// write writes what is left of a request, now or when the connection takes it.
func (w *wheel) write(l *lane) error {
	whole := len(l.rest) == len(l.door.sent)
	n, err := unix.Write(l.fd, l.rest)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("write a request: %w", err)
	}
	l.rest = l.rest[max(n, 0):]
	watch := uint32(unix.EPOLLIN)
	if len(l.rest) > 0 {
		watch |= unix.EPOLLOUT
	} else if whole {
		return nil // as it was
	}
	return unix.EpollCtl(w.poll, unix.EPOLL_CTL_MOD, l.fd, &unix.EpollEvent{Events: watch, Fd: int32(l.number)})
}

// wait waits for answers, at most for a while.
func (w *wheel) wait(ctx context.Context, most time.Duration) error {
	n, err := unix.EpollWait(w.poll, w.events, 0)
	if n == 0 && most > 0 {
		timeout := unix.NsecToTimespec(int64(most)) // finer than epoll's milliseconds
		if _, err = unix.Ppoll([]unix.PollFd{{Fd: int32(w.poll), Events: unix.POLLIN}}, &timeout, nil); err == nil {
			n, err = unix.EpollWait(w.poll, w.events, 0)
		}
	}
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for answers: %w", err)
	}
	for _, e := range w.events[:max(n, 0)] {
		l := w.lanes[e.Fd]
		if len(l.rest) > 0 && e.Events&unix.EPOLLOUT != 0 {
			err = w.write(l)
		} else {
			err = w.read(l)
		}
		if err != nil {
			return fmt.Errorf("client %d: %w", l.number, err)
		}
	}
	return ctx.Err()
}

// read reads what has come of an answer.
func (w *wheel) read(l *lane) error {
	if len(l.in) == cap(l.in) {
		l.in = slices.Grow(l.in, cap(l.in))
	}
	n, err := unix.Read(l.fd, l.in[len(l.in):cap(l.in)])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case !l.waits && (n == 0 || errors.Is(err, unix.ECONNRESET)):
		return l.hangUp()
	case err != nil:
		return fmt.Errorf("read an answer: %w", err)
	case n == 0:
		return fmt.Errorf("read an answer: %w", io.ErrUnexpectedEOF)
	}
	l.in = l.in[:len(l.in)+n]
	status, head, length := plainHead(l.in)
	if head == 0 || len(l.in) < head+length {
		return nil
	}
	if !l.waits || len(l.in) > head+length {
		return fmt.Errorf("an answer that nobody asked for: %.300q", l.in)
	}
	return w.end(l, status, l.in[head:])
}

// end is a whole answer.
func (w *wheel) end(l *lane, status int, answer []byte) error {
	took, counted := time.Since(l.due).Microseconds(), max(l.charges, 1)
	switch {
	case status/100 != 2:
		return fmt.Errorf("answered %d: %.300s", status, answer)
	case l.charges == 0:
		if err := readCheck(answer); err != nil {
			return err
		}
	default:
		if err := readCharges(answer, l.charges); err != nil {
			return err
		}
		l.charged(l.first, l.charges)
	}
	l.in, l.waits = l.in[:0], false
	if !l.used { // the others' turn comes first: a server does not wait long for a first request
		l.used = true
		w.free = slices.Insert(w.free, 0, l)
	} else {
		w.free = append(w.free, l)
	}
	w.tallies.note(l.number, func(m *measured) {
		if l.started.Sub(l.due) > lateAfter {
			m.late++
		}
		m.add(took, counted, l.charges > 0)
	})
	return nil
}
