package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// report tells a failure: in words on standard error and, for a script that asked for JSON, a
// refusal also as the object that the server sent, on standard output.
func (a *app) report(err error) {
	var problem *Problem
	if errors.As(err, &problem) && a.output == "json" && problem.raw != nil {
		err = errors.Join(err, a.printJSON(problem.raw))
	}
	fmt.Fprintf(a.stderr, "credits: %v\n", err)
}

// show prints an answer: as it came with --output json, else by the function given.
func (a *app) show(raw json.RawMessage, table func(io.Writer)) error {
	if a.output == "json" {
		return a.printJSON(raw)
	}
	answer := page{width: widthOf(a.stdout)}
	table(&answer)
	_, err := a.stdout.Write(answer.Bytes())
	return err
}

// printJSON prints one value on one line.
func (a *app) printJSON(raw json.RawMessage) error {
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	line.WriteByte('\n')
	_, err := a.stdout.Write(line.Bytes())
	return err
}

// printValue prints what this command found out by itself, as JSON.
func (a *app) printValue(value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	return a.printJSON(raw)
}

// grouped writes a decimal string with a comma between thousands: 1234567.5 is 1,234,567.5.
func grouped(amount string) string {
	sign, digits := "", amount
	if strings.HasPrefix(digits, "-") || strings.HasPrefix(digits, "+") {
		sign, digits = digits[:1], digits[1:]
	}
	whole, fraction, hasFraction := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if hasFraction {
		whole += "." + fraction
	}
	return sign + whole
}

// count writes a number with a comma between thousands.
func count[N int | int64](n N) string { return grouped(fmt.Sprint(n)) }

// moment shortens an instant for a table: to the second, in its own zone. What is not an instant
// stays as it is.
func moment(instant string) string {
	t, err := time.Parse(time.RFC3339Nano, instant)
	if err != nil {
		return instant
	}
	if t.Location() == time.UTC {
		return t.Format("2006-01-02 15:04:05Z")
	}
	return t.Format("2006-01-02 15:04:05-07:00")
}

// paidBy says which lots paid, pool by pool: "2 ai_service of ai_quota + 3 of purchased".
func paidBy(draws []draw) string {
	parts := make([]string, len(draws))
	for i, d := range draws {
		unit := ""
		if d.Unit != "" && d.Unit != "credit" {
			unit = " " + d.Unit
		}
		parts[i] = grouped(d.Amount) + unit + " of " + d.Pool
		if d.Lot != "" {
			parts[i] += " " + shortLot(d.Lot)
		}
	}
	return strings.Join(parts, " + ")
}

// shortLot is enough of a lot's name to tell the lots of one account apart.
func shortLot(lot string) string {
	if len(lot) <= 12 {
		return lot
	}
	return "…" + lot[len(lot)-8:]
}

// coloured reports whether the writer is a terminal that wants colours (https://no-color.org).
func (a *app) coloured(w io.Writer) bool {
	return a.env("NO_COLOR") == "" && a.env("TERM") != "dumb" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// widthOf is how many columns a terminal has, 0 for what is none.
func widthOf(w io.Writer) int {
	if !isTerminal(w) {
		return 0
	}
	width, _, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return width
}
