package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGrouped(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "999": "999", "1000": "1,000", "18987200": "18,987,200", "-1234.5": "-1,234.5",
		"+1000": "+1,000", "0.000001": "0.000001", "": "", "1234567.891011": "1,234,567.891011",
	} {
		if got := grouped(in); got != want {
			t.Errorf("grouped(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMoment(t *testing.T) {
	for in, want := range map[string]string{
		"2026-03-01T00:00:00Z":           "2026-03-01 00:00:00Z",
		"2026-03-01T00:00:00.123456789Z": "2026-03-01 00:00:00Z",
		"2026-03-01T00:00:00+02:00":      "2026-03-01 00:00:00+02:00",
		"":                               "",
		"never":                          "never",
	} {
		if got := moment(in); got != want {
			t.Errorf("moment(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPaidBy(t *testing.T) {
	got := paidBy([]draw{
		{Pool: "ai_quota", Lot: "L1", Amount: "2", Unit: "ai_service"},
		{Pool: "purchased", Amount: "3000", Unit: "credit"},
	})
	if want := "2 ai_service of ai_quota L1 + 3,000 of purchased"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// At a terminal a table is as wide as the terminal is, with every word of it; a script gets a row in a line.
func TestTablesFit(t *testing.T) {
	lines := []historyLine{
		{Time: "2026-03-01T00:00:00Z", Type: "usage", Meter: "ai_service", Quantity: 5, Credits: "-3", Remaining: "45", Description: "WhatsApp on a Sunday, long after midnight", Draws: []draw{
			{Pool: "ai_quota", Lot: "l1", Amount: "2", Unit: "ai_service"}, {Pool: "purchased", Lot: "l2", Amount: "3", Unit: "credit"},
		}},
		{Time: "2026-03-01T00:00:00Z", Type: "grant", Credits: "0", Unit: "ai_service", Units: "300", Remaining: "50", Draws: []draw{{Pool: "ai_quota", Lot: "l1", Amount: "300", Unit: "ai_service"}}},
	}
	for _, width := range []int{0, 100, 140} {
		p := page{width: width}
		printHistory(&p, lines)
		text := p.String()
		for _, line := range strings.Split(text, "\n") {
			if n := utf8.RuneCountInString(line); width > 0 && n > width {
				t.Errorf("%d columns of %d: %q", n, width, line)
			}
		}
		for _, word := range []string{"WhatsApp", "midnight", "purchased", "+300 ai_service"} {
			if !strings.Contains(text, word) {
				t.Errorf("at %d columns %q is missing in\n%s", width, word, text)
			}
		}
		if rows := strings.Count(text, "\n"); width == 0 && rows != 4 {
			t.Errorf("a script gets %d lines:\n%s", rows, text)
		}
	}
}

func TestTraceIsTheSameStoryEveryTime(t *testing.T) {
	rows, err := readTrace("")
	if err != nil {
		t.Fatal(err)
	}
	again, err := readTrace("")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 500 {
		t.Fatalf("the excerpt has %d rows", len(rows))
	}
	perAccount := make(map[string]int)
	for i, row := range rows {
		if row != again[i] {
			t.Fatalf("row %d is %+v and then %+v", i, row, again[i])
		}
		if i > 0 && row.at.Before(rows[i-1].at) {
			t.Fatalf("row %d is earlier than the one before", i)
		}
		perAccount[row.account]++
		for _, tenant := range []string{"tecpet", "adtech", "wanclouds"} {
			if meter, quantity := meterOf(tenant, row); meter == "" || quantity < 1 {
				t.Fatalf("row %d is %d of %q for %s", i, quantity, meter, tenant)
			}
		}
	}
	if busiest := accountsOf(rows)[0]; busiest != "acct-0" || perAccount["acct-0"] < 50 {
		t.Errorf("the busiest account is %s with %d requests", busiest, perAccount["acct-0"])
	}
}

func TestTraceNamesTheRowThatIsWrong(t *testing.T) {
	_, err := parseTrace(strings.NewReader("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:47,x,1\n"))
	if err == nil || !strings.Contains(err.Error(), "row 2") {
		t.Errorf("got %v", err)
	}
}
