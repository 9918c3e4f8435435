package main

import "encoding/json"

// The answers of the interface, as far as the tables and the demo read them. Amounts of credits
// are decimal strings, times RFC 3339. With --output json the server's own answer is printed, so
// nothing is lost that is not named here.

type terms struct {
	Total     string `json:"total"`
	Used      string `json:"used"`
	Held      string `json:"held"`
	Expired   string `json:"expired"`
	Revoked   string `json:"revoked"`
	Frozen    string `json:"frozen"`
	Remaining string `json:"remaining"`
}

type cycle struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type balance struct {
	Account  string `json:"account"`
	At       string `json:"at"`
	Position string `json:"position"`
	Cycle    cycle  `json:"cycle"`
	terms
	Debt  string        `json:"debt"`
	Pools []poolBalance `json:"pools"`
}

type poolBalance struct {
	Pool string `json:"pool"`
	Unit string `json:"unit"` // "credit", or the meter whose units the pool counts
	terms
	Expires string       `json:"expires"` // the earliest of its lots
	Lots    []lotBalance `json:"lots"`
}

type lotBalance struct {
	Lot       string `json:"lot"`
	Remaining string `json:"remaining"`
	Starts    string `json:"starts"`
	Expires   string `json:"expires"`
}

type draw struct {
	Pool   string `json:"pool"`
	Lot    string `json:"lot"`
	Amount string `json:"amount"`
	Unit   string `json:"unit"`
}

type history struct {
	Entries []historyLine `json:"entries"`
	Next    string        `json:"next"`
}

type historyLine struct {
	Position    string `json:"position"`
	Time        string `json:"time"`
	Type        string `json:"type"`
	Meter       string `json:"meter"`
	Quantity    int64  `json:"quantity"`
	Credits     string `json:"credits"`
	Unit        string `json:"unit"`
	Units       string `json:"units"`
	Description string `json:"description"`
	Erased      bool   `json:"erased"`
	Actor       string `json:"actor"`
	Key         string `json:"key"`
	Draws       []draw `json:"draws"`
	Remaining   string `json:"remaining"`
}

type usageReport struct {
	Groups  []usageGroup `json:"groups"`
	Credits string       `json:"credits"`
}

type usageGroup struct {
	Meter    string `json:"meter"`
	Day      string `json:"day"`
	Quantity int64  `json:"quantity"`
	Credits  string `json:"credits"`
	Units    string `json:"units"` // of the quantity, what pools paid that count units of the meter
}

type checkAnswer struct {
	Allowed        bool   `json:"allowed"`
	Cost           string `json:"cost"`
	Remaining      string `json:"remaining"`
	RemainingUnits int64  `json:"remaining_units"`
	Code           string `json:"code"`
	Draws          []draw `json:"draws"`
}

type usageAnswer struct {
	Status    string `json:"status"`
	Position  string `json:"position"`
	Cost      string `json:"cost"`
	Draws     []draw `json:"draws"`
	Remaining string `json:"remaining"`
	Replayed  bool   `json:"replayed"`

	// Only of an event that was refused among others.
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

type money struct {
	Currency string `json:"currency"`
	Amount   string `json:"amount"`
}

type purchase struct {
	Purchase    string `json:"purchase"`
	Status      string `json:"status"`
	Credits     string `json:"credits"`
	Price       money  `json:"price"`
	PaysUntil   string `json:"pays_until"`
	CheckoutURL string `json:"checkout_url"`
	Position    string `json:"position"`
}

type grantAnswer struct {
	Lot      string `json:"lot"`
	Position string `json:"position"`
}

// event is one line of the journal: a CloudEvent.
type event struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Subject  string          `json:"subject"`
	Time     string          `json:"time"`
	EntryKey string          `json:"entrykey"`
	Data     json.RawMessage `json:"data"`
}
