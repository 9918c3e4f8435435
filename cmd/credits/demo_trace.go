package main

import (
	"bytes"
	_ "embed" // the excerpt below
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// excerpt is 500 requests of a real trace; demo/README.md says whose it is and under which licence.
//
//go:embed demo/trace.csv
var excerpt []byte

// The trace has no customers: request i is given to account acct-k, with k drawn from a Zipf
// distribution by a fixed seed, so that a few accounts are busy, most are not, and every run is
// the same.
const (
	traceAccounts = 200
	zipfExponent  = 1.1
	traceSeed     = 20231116
	traceTime     = "2006-01-02 15:04:05.9999999"
)

// traced is one request of the trace with the account that it was given to.
type traced struct {
	at        time.Time
	account   string
	context   int64 // tokens of the question with what it refers to
	generated int64 // tokens of the answer
}

// readTrace reads a trace file, or the excerpt when the name is empty.
func readTrace(file string) ([]traced, error) {
	if file == "" {
		return parseTrace(bytes.NewReader(excerpt))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open the trace: %w", err)
	}
	defer f.Close()
	rows, err := parseTrace(f)
	if err != nil {
		return nil, fmt.Errorf("read the trace %s: %w", file, err)
	}
	return rows, nil
}

func parseTrace(r io.Reader) ([]traced, error) {
	lines := csv.NewReader(r)
	lines.FieldsPerRecord = 3
	if _, err := lines.Read(); err != nil {
		return nil, fmt.Errorf("head of the trace: %w", err)
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(traceSeed, 0)), zipfExponent, 1, traceAccounts-1)
	var rows []traced
	for {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		row := traced{account: "acct-" + strconv.FormatUint(zipf.Uint64(), 10)}
		if row.at, err = time.Parse(traceTime, fields[0]); err != nil {
			return nil, fmt.Errorf("row %d: %w", len(rows)+1, err)
		}
		if row.context, err = strconv.ParseInt(fields[1], 10, 64); err != nil {
			return nil, fmt.Errorf("row %d: context tokens: %w", len(rows)+1, err)
		}
		if row.generated, err = strconv.ParseInt(fields[2], 10, 64); err != nil {
			return nil, fmt.Errorf("row %d: generated tokens: %w", len(rows)+1, err)
		}
		rows = append(rows, row)
	}
}

// Answers of these lengths, in tokens, stand for something else than a chat message where a
// programme sells more than chats. They divide the excerpt into about equal halves and quarters.
const (
	longAnswer   = 400
	mediumAnswer = 200
)

// meterOf says which usage of each programme one request stands for:
//
//   - wanclouds: a chat with the assistant, charged by the token, question and answer together.
//   - tecpet: a long answer is a sticker, any other is one service by the AI.
//   - adtech: a long answer is a dynamic video; a medium one is custom images, one for each 100
//     tokens; a short one optimises as many field products of the feed as the question has tokens.
func meterOf(tenant string, r traced) (meter string, quantity int64) {
	switch {
	case tenant == "wanclouds":
		return "assistant_token", max(1, r.context+r.generated)
	case tenant == "tecpet" && r.generated >= longAnswer:
		return "sticker", 1
	case tenant == "tecpet":
		return "ai_service", 1
	case r.generated >= longAnswer:
		return "dynamic_video", 1
	case r.generated >= mediumAnswer:
		return "custom_image", r.generated / 100
	}
	return "feed_optimization", max(1, r.context)
}

// accountsOf lists the accounts of a trace, the busiest first, as the numbers of acct-k are drawn.
func accountsOf(rows []traced) []string {
	seen := make(map[string]bool)
	for _, r := range rows {
		seen[r.account] = true
	}
	var accounts []string
	for k := range traceAccounts {
		if name := "acct-" + strconv.Itoa(k); seen[name] {
			accounts = append(accounts, name)
		}
	}
	return accounts
}
