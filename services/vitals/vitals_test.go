package vitals

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestClassesCoverAll holds that each duration falls in one class, and that its end is at most a quarter off.
func TestClassesCoverAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "d"))
		class := classOf(d)
		end, begin := Upper(class), time.Duration(0)
		if class > 0 {
			begin = Upper(class - 1)
		}
		if d < begin || d >= end {
			t.Fatalf("%v is in the class [%v, %v)", d, begin, end)
		}
		if end-begin > time.Microsecond && (end-begin)*4 > begin+time.Microsecond {
			t.Fatalf("the class of %v is [%v, %v): too wide", d, begin, end)
		}
	})
}

// TestSamplesAreWhatChanged feeds readings by hand.
func TestSamplesAreWhatChanged(t *testing.T) {
	at := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	var r Reading
	v := Start(Config{Read: func() Reading { return Reading{} }, Every: time.Hour, Keep: 3, Now: func() time.Time { return at }})
	defer v.Close()
	var latency Latency
	for i := range 100 {
		latency.counts[classOf(time.Duration(i)*time.Millisecond)].Add(1)
	}
	for range 5 {
		at = at.Add(2 * time.Second)
		r.Events, r.Commits, r.Latency = r.Events+100, r.Commits+10, latency.Counts()
		r.Tenants = map[string]uint64{"acme": r.Events}
		v.take(r, at)
	}
	got := v.Since(time.Time{})
	if len(got) != 3 || got[0].At != at.Add(-4*time.Second) || got[2].At != at {
		t.Fatalf("the ring holds %+v", got)
	}
	if got[2].Events != 50 || got[2].Commits != 5 || got[2].P50 != 0 {
		t.Errorf("the last sample is %+v", got[2])
	}
	if rate := v.Rate("acme"); rate != 50 {
		t.Errorf("rate %d, want 50", rate)
	}
	if rate := v.Rate("nobody"); rate != 0 {
		t.Errorf("rate %d of a tenant that there is not", rate)
	}
	counts := latency.Counts()
	if p50, p99 := counts.Quantile(50), counts.Quantile(99); p50 < 49*time.Millisecond || p50 > 64*time.Millisecond || p99 < 98*time.Millisecond || p99 > 128*time.Millisecond {
		t.Errorf("p50 %v, p99 %v of 0 to 99 ms", p50, p99)
	}
}
