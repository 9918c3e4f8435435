package console

import (
	"time"

	"creditstream/services/api"
)

// explainPage is the events behind a balance, newest first, as a timeline.
type explainPage struct {
	*accountPage
	At       string // the day or instant that the balance is of; "" is now
	AtFault  string
	Then     *api.Balance
	Timeline *api.History
}

func (v *visit) explain() error {
	p, err := v.openAccount("Explain")
	if err != nil {
		return err
	}
	p.Filter = pick(v.r.URL.Query(), "at", "cursor")
	data := &explainPage{accountPage: p, At: p.Filter.Get("at")}
	ask, filter := pick(nil), pick(p.Filter, "cursor")
	if data.At != "" {
		at, err := time.Parse("2006-01-02T15:04", data.At)
		if err != nil {
			data.AtFault = "a day and a time are expected"
		} else {
			ask.Set("at", at.Format(time.RFC3339))
			filter.Set("to", at.Add(time.Nanosecond).Format(time.RFC3339Nano))
		}
	}
	data.Then = new(api.Balance)
	if err := v.ask(get(v.ofAccount("balance"), ask), data.Then); err != nil {
		fault := &act{accountPage: p}
		if _, other := fault.refused(err); other != nil {
			return other
		}
		data.AtFault = fault.Fault
		if err := v.ask(get(v.ofAccount("balance"), nil), data.Then); err != nil {
			return err
		}
		filter.Del("to")
	}
	if data.Timeline, err = v.lines(filter, "50"); err != nil {
		return err
	}
	return v.write(200, "explain", p.Account.Account+" · Explain", data)
}
