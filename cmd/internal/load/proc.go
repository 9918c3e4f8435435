package load

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// What the operating system says of a process, from /proc; zero where there is none.

// memory is what a process uses, in MiB: now, and at most so far.
type memory struct{ resident, peak float64 }

func memoryOf(pid int) memory {
	status := procFile(pid, "status")
	return memory{resident: procField(status, "VmRSS:") / 1024, peak: procField(status, "VmHWM:") / 1024}
}

// ticksPerSecond is the unit of times in /proc on Linux (USER_HZ).
const ticksPerSecond = 100

// processorTime is what a process has used so far, on all processors, to a hundredth of a second.
func processorTime(pid int) time.Duration {
	stat := procFile(pid, "stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // the name before may hold spaces
	if len(fields) < 13 {
		return 0
	}
	ticks := number(fields[11]) + number(fields[12]) // user and system
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// BytesRead is what a process has read from files so far, be it from the disk or from the page cache.
func BytesRead(pid int) int64 { return int64(procField(procFile(pid, "io"), "rchar:")) }

// Resident is the memory of a process, in MiB.
func Resident(pid int) float64 { return memoryOf(pid).resident }

// childrenOf are the processes that one started.
func childrenOf(pid int) []int {
	var children []int
	for _, text := range strings.Fields(procFile(pid, "task/"+strconv.Itoa(pid)+"/children")) {
		if child, err := strconv.Atoi(text); err == nil {
			children = append(children, child)
		}
	}
	return children
}

func procFile(pid int, name string) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
	if err != nil {
		return ""
	}
	return string(text)
}

// procField reads the number after a field's name.
func procField(text, name string) float64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return number(strings.Fields(rest)[0])
		}
	}
	return 0
}

func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return n
}
