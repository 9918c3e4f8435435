package load

import (
	"os"
	"strconv"
	"strings"
)

// memory is what this process uses as the operating system counts it, in MiB: now, and at most so far.
type memory struct{ resident, peak float64 }

// memoryNow reads /proc, and is zero where there is none.
func memoryNow() memory {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return memory{}
	}
	return memory{resident: statusMB(string(text), "VmRSS:"), peak: statusMB(string(text), "VmHWM:")}
}

func statusMB(status, field string) float64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				return 0
			}
			return kb / 1024
		}
	}
	return 0
}
