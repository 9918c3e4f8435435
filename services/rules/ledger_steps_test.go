package rules_test

import (
	"fmt"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// words are one step: a verb, positions and name=value settings; "…" keeps spaces together.
type words struct {
	at  []string
	set map[string]string
	raw []string
}

func split(text string) words {
	w := words{set: map[string]string{}}
	var quoted bool
	for _, f := range strings.FieldsFunc(text, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	}) {
		f = strings.ReplaceAll(f, `"`, "")
		w.raw = append(w.raw, f)
		if name, value, ok := strings.Cut(f, "="); ok {
			w.set[name] = value
		} else {
			w.at = append(w.at, f)
		}
	}
	return w
}

// arg is a position, or "".
func (w words) arg(n int) string {
	if n < len(w.at) {
		return w.at[n]
	}
	return ""
}

// step carries out one line. The first word says what:
//
//	catalog, publish, show              the rules, a new version of them, what answers show
//	at TIME [±duration]                 moves the clock; answers what fell due
//	open, change, import, close, reopen the account
//	use, hold, capture, release, reverse, check
//	grant, revoke, request, approve, confirm, update, fail, refund, buy
//	balance, pools, pool, lots, cycle, purchase, why, facts    answer and change nothing
func (l *ledger) step(text string) ([]string, error) {
	w := split(text)
	switch w.arg(0) {
	case "catalog":
		return nil, l.load(w.arg(1), w.raw[2:])
	case "publish":
		return nil, l.publish(l.now, w.raw[1:])
	case "show":
		for _, what := range w.at[1:] {
			l.show[what] = true
		}
		return nil, nil
	case "at":
		return l.moveClock(w)
	case "open", "change", "import", "close", "reopen":
		command, err := l.accountCommand(w)
		if err != nil {
			return nil, err
		}
		return l.decide(command)
	case "use", "hold", "capture", "release", "reverse":
		return l.usage(w)
	case "grant", "revoke":
		command, err := l.grantCommand(w)
		if err != nil {
			return nil, err
		}
		return l.decide(command)
	case "request", "approve", "confirm", "update", "fail", "refund", "buy":
		return l.purchaseStep(w)
	}
	return l.ask(w)
}

func (l *ledger) moveClock(w words) ([]string, error) {
	now, err := l.instant(w.arg(1))
	if err != nil {
		return nil, err
	}
	if w.arg(2) != "" {
		d, err := time.ParseDuration(strings.TrimPrefix(w.arg(2), "+"))
		if err != nil {
			return nil, err
		}
		now = now.Add(d)
	}
	if now.Before(l.now) {
		return nil, fmt.Errorf("the clock never goes back: it is %s", l.now)
	}
	l.now = now
	return l.fallDue(), nil
}

func (l *ledger) accountCommand(w words) (rules.Command, error) {
	if w.arg(0) == "close" {
		return rules.CloseAccount{Reason: w.set["reason"]}, nil
	}
	if w.arg(0) == "reopen" {
		return rules.ReopenAccount{Reason: w.set["reason"]}, nil
	}
	put := rules.PutAccount{Effective: w.set["effective"]}
	for name, value := range w.set {
		switch name {
		case "plan":
			put.Plan = rules.Set(value)
		case "timezone":
			put.Timezone = rules.Set(value)
		case "anchor":
			anchor, err := l.instant(value)
			if err != nil {
				return nil, err
			}
			put.Anchor = rules.Set(anchor)
		case "approval":
			put.Approval = rules.Set(value)
		case "card":
			method := credit.PaymentMethod{}
			if value != "" {
				method = credit.PaymentMethod{Provider: "sandbox", Reference: "pm_1", Label: value}
			}
			put.PaymentMethod = rules.Set(method)
		case "effective":
		default:
			return nil, fmt.Errorf("an account has no %s", name)
		}
	}
	if w.arg(0) != "import" {
		return put, nil
	}
	imported := rules.ImportAccount{PutAccount: put}
	for _, lot := range w.at[1:] {
		parts := strings.Split(lot, "/") // pool/credits/kind/ends
		if len(parts) != 4 {
			return nil, fmt.Errorf("%q is not pool/credits/kind/ends", lot)
		}
		amount, err := l.amount(parts[1])
		if err != nil {
			return nil, err
		}
		opening := rules.OpeningLot{Pool: parts[0], Credits: amount, Kind: parts[2]}
		if parts[3] != "" {
			if opening.Ends, err = l.instant(parts[3]); err != nil {
				return nil, err
			}
		}
		imported.Lots = append(imported.Lots, opening)
	}
	return imported, nil
}

func (l *ledger) usage(w words) (answer []string, err error) {
	var command rules.Command
	switch w.arg(0) {
	case "use":
		use := rules.Use{Meter: w.arg(1), Intake: w.set["intake"] != ""}
		if use.Quantity, err = whole(w.arg(2)); err != nil {
			return nil, err
		}
		if at := w.set["time"]; at != "" {
			if use.Time, err = l.instant(at); err != nil {
				return nil, err
			}
		}
		command = use
	case "hold":
		hold := rules.PlaceHold{Meter: w.arg(1)}
		if hold.Quantity, err = whole(w.arg(2)); err != nil {
			return nil, err
		}
		if ttl := w.set["ttl"]; ttl != "" {
			if hold.TTL, err = time.ParseDuration(ttl); err != nil {
				return nil, err
			}
		}
		command = hold
	case "capture":
		capture := rules.CaptureHold{Hold: w.arg(1)}
		if w.arg(2) != "" {
			if capture.Quantity, err = whole(w.arg(2)); err != nil {
				return nil, err
			}
		}
		command = capture
	case "release":
		command = rules.ReleaseHold{Hold: w.arg(1)}
	case "reverse":
		if command, err = l.reversal(w); err != nil {
			return nil, err
		}
	}
	before := len(l.facts)
	answer, err = l.decide(command)
	l.remember(l.facts[before:])
	return answer, err
}

// remember keeps usages under the keys that reversals name them by: u1, u2, … and, for a capture, the
// hold's.
func (l *ledger) remember(facts []credit.Fact) {
	for _, f := range facts {
		switch e := f.Event.(type) {
		case *credit.UsageRecorded:
			n := 1
			for l.usages[fmt.Sprint("u", n)].Event != nil {
				n++
			}
			l.usages[fmt.Sprint("u", n)] = f
		case *credit.HoldCaptured:
			same := &credit.UsageRecorded{
				Meter: e.Meter, Quantity: e.Quantity, Cost: e.Cost, Debt: e.Debt, Unpaid: e.Unpaid, Why: e.Why, Carry: e.Carry,
				Remaining: e.Remaining, Catalog: e.Catalog, Draws: append(append([]credit.Draw(nil), e.Draws...), e.Excess...),
			}
			l.usages[e.Hold] = credit.Fact{At: f.At, Event: same}
		}
	}
}

func (l *ledger) reversal(w words) (rules.Command, error) {
	reverse := rules.ReverseUsage{Usage: w.arg(1), Reason: w.set["reason"]}
	if w.arg(2) != "" {
		var err error
		if reverse.Quantity, err = whole(w.arg(2)); err != nil {
			return nil, err
		}
	}
	if f, ok := l.usages[reverse.Usage]; ok {
		reverse.Original, reverse.OriginalAt = f.Event.(*credit.UsageRecorded), f.At
	}
	if record, ok := l.stored[string(credit.PartReversed)+reverse.Usage]; ok {
		var err error
		if reverse.Already, err = credit.DecodeReversed(record); err != nil {
			return nil, err
		}
	}
	return reverse, nil
}

func (l *ledger) grantCommand(w words) (rules.Command, error) {
	if w.arg(0) == "revoke" {
		return rules.RevokeLot{Lot: w.arg(1), Reason: "a mistake"}, nil
	}
	amount, err := l.amount(w.arg(2))
	if err != nil {
		return nil, err
	}
	grant := rules.GrantCredits{Pool: w.arg(1), Credits: amount, Kind: w.set["kind"], Reason: w.set["reason"], InvoiceRef: w.set["invoice"]}
	if _, ok := w.set["reason"]; !ok {
		grant.Reason = "as agreed"
	}
	if price := w.set["price"]; price != "" {
		if grant.Price, err = l.money(price); err != nil {
			return nil, err
		}
	}
	if ends := w.set["ends"]; ends != "" {
		t, err := l.instant(ends)
		if err != nil {
			return nil, err
		}
		grant.Ends = rules.Set(t)
	}
	return grant, nil
}

func (l *ledger) purchaseStep(w words) ([]string, error) {
	id := w.arg(1)
	switch w.arg(0) {
	case "request", "buy":
		return l.request(w)
	case "approve":
		return l.decide(rules.ApprovePurchase{Purchase: id})
	case "update":
		return l.decide(rules.UpdatePurchase{Purchase: id, Status: w.arg(2), Reason: w.set["reason"]})
	case "fail":
		return l.decide(rules.FailPurchase{Purchase: id, Reason: w.set["reason"]})
	case "refund":
		return l.decide(rules.RefundPurchase{Purchase: id, Reason: "asked for", Chargeback: w.arg(2) == "chargeback"})
	}
	confirm := rules.ConfirmPayment{Purchase: id, Reference: "pay_1"}
	if p := l.account.Purchase(id); p != nil {
		confirm.Paid = p.Price
	}
	if paid := w.set["paid"]; paid != "" {
		var err error
		if confirm.Paid, err = l.money(paid); err != nil {
			return nil, err
		}
	}
	return l.decide(confirm)
}

// request asks for a pack, or for a top-up when it names an amount of money; buy also confirms it. The
// code is taken as given and right unless code= says otherwise.
func (l *ledger) request(w words) ([]string, error) {
	request := rules.RequestPurchase{Purchase: fmt.Sprint("p", l.purchases+1), Provider: "sandbox", Approved: "pin"}
	if code, ok := w.set["code"]; ok {
		request.Approved = code
	}
	switch what := w.arg(1); {
	case strings.ContainsAny(what, "."):
		money, err := l.money(what)
		if err != nil {
			return nil, err
		}
		request.TopUp = money
	default:
		request.Pack = what
	}
	answer, err := l.decide(request)
	if err != nil {
		return answer, err
	}
	l.purchases++
	if w.arg(0) == "request" {
		return answer, nil
	}
	return l.decide(rules.ConfirmPayment{Purchase: request.Purchase, Paid: l.account.Purchase(request.Purchase).Price, Reference: "pay_1"})
}
