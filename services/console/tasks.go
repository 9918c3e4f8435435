package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"creditstream/services/api"
)

// task is work that goes on behind the pages: a rebuild or a verification.
type task struct {
	ID      string
	Kind    string // "rebuild" or "verify"
	View    string
	Tenant  string // "" = all
	Shard   string // "" = all
	Accept  bool
	Actor   string
	Began   time.Time
	Ended   time.Time // zero while it runs
	Done    uint64    // commits
	Total   uint64
	Where   string // the journal that it is at
	Fault   string
	Rebuilt *api.RebuildAnswer
	Report  *api.VerifyAnswer
}

// Running reports whether it goes on.
func (t *task) Running() bool { return t.Ended.IsZero() }

// Percent is how much of the present journal is done.
func (t *task) Percent() uint64 {
	if t.Total == 0 {
		return 0
	}
	return min(t.Done*100/t.Total, 100)
}

// Different reports whether views differed and were left as they are.
func (t *task) Different() bool {
	if t.Rebuilt == nil {
		return false
	}
	for _, r := range t.Rebuilt.Rebuilt {
		if r.Different > 0 && !r.Switched {
			return true
		}
	}
	return false
}

// Took is how long it took, or has taken.
func (t *task) Took() time.Duration {
	if t.Running() {
		return time.Since(t.Began)
	}
	return t.Ended.Sub(t.Began)
}

// maxTasks is how many tasks are remembered, and maxRunning how many may run at once.
const (
	maxTasks   = 50
	maxRunning = 4
)

// tasks are those of this process, oldest first.
type tasks struct {
	mu   sync.Mutex
	last int
	list []*task
}

// add starts to remember a task; false when too many run.
func (s *tasks) add(t *task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	running := 0
	for _, known := range s.list {
		if known.Running() {
			running++
		}
	}
	if running >= maxRunning {
		return false
	}
	s.last++
	t.ID = strconv.Itoa(s.last)
	if s.list = append(s.list, t); len(s.list) > maxTasks {
		for i, old := range s.list {
			if !old.Running() {
				s.list = append(s.list[:i:i], s.list[i+1:]...)
				break
			}
		}
	}
	return true
}

// change changes a task that others look at.
func (s *tasks) change(t *task, how func(*task)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how(t)
}

// find is a copy of a task as it is now.
func (s *tasks) find(id string) (task, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.list {
		if t.ID == id {
			return *t, true
		}
	}
	return task{}, false
}

// of are the tasks of a kind, newest first.
func (s *tasks) of(kind string) (list []task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.list) - 1; i >= 0; i-- {
		if s.list[i].Kind == kind {
			list = append(list, *s.list[i])
		}
	}
	return list
}

// run puts a long question to the API behind the pages, as whoever asked, and follows its progress. It ends
// with the console; a browser that leaves does not end it.
func (v *visit) run(t *task, path string) error {
	t.Actor, t.Began = v.who.Actor, time.Now()
	if !v.tasks.add(t) {
		return fmt.Errorf("there are %d rebuilds and verifications under way: wait for one to end", maxRunning)
	}
	query := make(url.Values)
	for name, value := range map[string]string{"tenant": t.Tenant, "shard": t.Shard} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if t.Accept {
		query.Set("accept", "true")
	}
	q := question{method: http.MethodPost, path: path, query: query, accept: "application/x-ndjson"}
	asker := &visit{Console: v.Console, ctx: v.Console.ctx, r: v.r, who: v.who}
	v.behind.Go(func() { asker.carryOut(t, q) })
	return nil
}

func (v *visit) carryOut(t *task, q question) {
	reader, writer := io.Pipe()
	out := &piped{to: writer}
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	go func() {
		defer func() { _ = writer.Close() }()
		v.send(ctx, q, out)
	}()
	answer, err := v.progress(t, reader)
	_ = reader.Close()
	if refused := out.refused(); refused != nil {
		err = refused
	}
	if err == nil && len(answer) == 0 {
		err = fmt.Errorf("it broke off without an answer")
	}
	v.tasks.change(t, func(t *task) {
		t.Ended = time.Now()
		if err == nil {
			err = t.finish(answer)
		}
		if err != nil {
			t.Fault = err.Error()
		}
	})
}

// progress reads lines of progress; the last line is the answer.
func (v *visit) progress(t *task, from io.Reader) (answer []byte, err error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var step struct {
			Tenant      *string
			Shard       int
			Done, Total *uint64
		}
		if json.Unmarshal(lines.Bytes(), &step) == nil && step.Tenant != nil && step.Done != nil && step.Total != nil {
			v.tasks.change(t, func(t *task) {
				t.Done, t.Total, t.Where = *step.Done, *step.Total, fmt.Sprintf("%s/%d", *step.Tenant, step.Shard)
			})
			continue
		}
		answer = append(answer[:0], lines.Bytes()...)
	}
	return answer, lines.Err()
}

// finish reads what came of it.
func (t *task) finish(answer []byte) error {
	var problem api.Problem
	if err := json.Unmarshal(answer, &problem); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if problem.Code != "" {
		return &refusal{problem}
	}
	if t.Kind == "verify" {
		t.Report = new(api.VerifyAnswer)
		return json.Unmarshal(answer, t.Report)
	}
	t.Rebuilt = new(api.RebuildAnswer)
	return json.Unmarshal(answer, t.Rebuilt)
}

// task shows how far a task is; the page asks again until it has ended.
func (v *visit) task() error {
	t, ok := v.tasks.find(v.r.PathValue("task"))
	if !ok {
		return errNowhere
	}
	if v.isPart() {
		return v.write(http.StatusOK, "task-part", "", &t)
	}
	return v.write(http.StatusOK, "task", "Task "+t.ID, &t)
}
