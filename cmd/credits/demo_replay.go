package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// batchRows is how many requests of the trace are sent together, for each programme.
	batchRows = 100
	// resentEvery makes the demo send the first of every so many batches a second time, as a client
	// does that lost the answer.
	resentEvery = 10
	// provided is how many of the busiest accounts have more credits than their plan brings.
	provided = 5
)

// openTrace opens the accounts of the trace with every programme.
func (d *demo) openTrace(context.Context) error {
	names := accountsOf(d.trace)
	d.head("The accounts of the trace")
	for i, p := range d.cast {
		s := d.scenes[i]
		err := inParallel(names, func(account string) error {
			_, err := d.client.send(s.ctx, request{method: http.MethodPut, path: s.at(account), body: p.settings}, nil)
			return err
		})
		if err != nil {
			return fmt.Errorf("open the accounts of %s: %w", p.tenant, err)
		}
		more := names[:min(provided, len(names))]
		for _, account := range more {
			p.provide(s, account)
		}
		if s.err != nil {
			return fmt.Errorf("provide the busiest accounts of %s: %w", p.tenant, s.err)
		}
		d.say("%s: %d accounts opened, the %d busiest with more credits than the plan brings", p.tenant, len(names), len(more))
	}
	return nil
}

// outcome counts what became of the usages of one programme.
type outcome struct {
	recorded, replayed int
	refused            map[string]int // by code
}

// replay charges the trace to all three programmes.
func (d *demo) replay(ctx context.Context) error {
	d.head("A trace of real requests to a language model, as usage of each programme")
	bar := d.app.newBar(len(d.trace)*len(d.cast), "usages")
	outcomes := make([]outcome, len(d.cast))
	for i := range outcomes {
		outcomes[i].refused = make(map[string]int)
	}
	began := time.Now()
	number := 0
	for rows := range slices.Chunk(d.trace, batchRows) {
		first := number * batchRows
		number++
		if err := moveClock(ctx, d.client, rows[len(rows)-1].at); err != nil {
			return err
		}
		err := inParallel(d.numbers(), func(i int) error {
			results, err := d.send(ctx, d.scenes[i].tenant, rows, first)
			if err == nil && number%resentEvery == 1 {
				var again []usageAnswer
				if again, err = d.send(ctx, d.scenes[i].tenant, rows, first); err == nil {
					outcomes[i].replayed += countReplayed(again)
				}
			}
			if err != nil {
				return fmt.Errorf("replay the trace to %s: %w", d.scenes[i].tenant, err)
			}
			outcomes[i].add(d.scenes[i], rows, first, results)
			bar.add(len(rows))
			return nil
		})
		if err != nil {
			return err
		}
	}
	bar.done()
	d.say("%s requests as %s usages: %s a second", count(len(d.trace)), count(len(d.trace)*len(d.cast)),
		count(perSecond(len(d.trace)*len(d.cast), time.Since(began))))
	for i, o := range outcomes {
		d.say("%s: %s recorded%s; %s sent twice and charged once", d.scenes[i].tenant, count(o.recorded), refusals(o.refused), count(o.replayed))
	}
	return nil
}

// numbers are the indexes of the programmes.
func (d *demo) numbers() []int {
	numbers := make([]int, len(d.cast))
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// perSecond is a rate in whole numbers.
func perSecond(n int, took time.Duration) int64 {
	return int64(n) * int64(time.Second) / max(int64(took), 1)
}

// send sends rows as one batch of CloudEvents. first is the number of the first row: it names the
// events, so that the same row is the same event however often it is sent.
func (d *demo) send(ctx context.Context, tenant string, rows []traced, first int) ([]usageAnswer, error) {
	batch := make([]map[string]any, len(rows))
	for i, row := range rows {
		meter, quantity := meterOf(tenant, row)
		batch[i] = map[string]any{
			"specversion": "1.0", "type": "creditstream.usage", "source": "azure-llm-trace",
			"id": traceKey(first + i), "subject": row.account, "time": row.at.Format(time.RFC3339Nano),
			"data": map[string]any{"meter": meter, "quantity": quantity},
		}
	}
	var answer struct {
		Results []usageAnswer `json:"results"`
	}
	if _, err := d.client.send(ctx, request{
		method: http.MethodPost, path: tenantPath(tenant, "events"), body: batch,
		media: "application/cloudevents-batch+json", repeatable: true,
	}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != len(rows) {
		return nil, fmt.Errorf("%d events were answered by %d results", len(rows), len(answer.Results))
	}
	return answer.Results, nil
}

func traceKey(row int) string { return "trace-" + strconv.Itoa(row) }

func (o *outcome) add(s *scene, rows []traced, first int, results []usageAnswer) {
	for i, result := range results {
		if result.Status != "recorded" {
			o.refused[result.Code]++
			continue
		}
		o.recorded++
		s.acknowledged[rows[i].account+"\x00"+traceKey(first+i)] = true
	}
}

func countReplayed(results []usageAnswer) int {
	n := 0
	for _, result := range results {
		if result.Replayed {
			n++
		}
	}
	return n
}

// refusals lists what was refused and why, "" when nothing was.
func refusals(codes map[string]int) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		parts = append(parts, fmt.Sprintf("%s refused with %s", count(codes[code]), code))
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}
