package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is a living process other than world itself and kernel threads.
type Process struct {
	Pid  int
	Argv []string
	Exe  string
	Env  []string
}

func processes() []Process {
	found := []Process{}
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		pid, _ := strconv.Atoi(filepath.Base(folder))
		text, err := os.ReadFile(folder + "/cmdline")
		if err != nil || len(text) == 0 || pid == os.Getpid() {
			continue
		}
		exe, _ := os.Readlink(folder + "/exe")
		environ, _ := os.ReadFile(folder + "/environ")
		found = append(found, Process{pid, fields0(text), exe, fields0(environ)})
	}
	return found
}

func fields0(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// Usage of the arm's own processes: memory now, work and wake-ups over a time of rest.
type Usage struct {
	Processes        int
	RssMb            float64
	PssMb            float64
	PeakMb           float64
	CpuPercent       float64 // of one core
	WakeUpsPerSecond float64
	Threads          int
}

func watch(program string, rest time.Duration) *Usage {
	usage := &Usage{}
	var pids []int
	for _, p := range processes() {
		if filepath.Base(p.Exe) == program {
			pids = append(pids, p.Pid)
		}
	}
	usage.Processes = len(pids)
	if rest > 0 {
		run, wakes, _ := work(pids)
		began := now()
		time.Sleep(rest)
		runAfter, wakesAfter, threads := work(pids)
		took := float64(now() - began)
		usage.CpuPercent = 100 * float64(runAfter-run) / took
		usage.WakeUpsPerSecond = float64(wakesAfter-wakes) / (took / 1e9)
		usage.Threads = threads
	}
	for _, pid := range pids {
		usage.RssMb += number(pid, "status", "VmRSS:") / 1024
		usage.PeakMb += number(pid, "status", "VmHWM:") / 1024
		usage.PssMb += number(pid, "smaps_rollup", "Pss:") / 1024
	}
	return usage
}

// work sums over all threads the time on a core (schedstat, ns) and the times it went to sleep by itself.
func work(pids []int) (run, wakes int64, threads int) {
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		threads += len(tasks)
		for _, task := range tasks {
			if text, err := os.ReadFile(task + "/schedstat"); err == nil {
				ns, _ := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
				run += ns
			}
			wakes += int64(value(task+"/status", "voluntary_ctxt_switches:"))
		}
	}
	return
}

func number(pid int, file, key string) float64 {
	return value(fmt.Sprintf("/proc/%d/%s", pid, file), key)
}

func value(file, key string) float64 {
	text, _ := os.ReadFile(file)
	for _, line := range strings.Split(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == key {
			found, _ := strconv.ParseFloat(fields[1], 64)
			return found
		}
	}
	return 0
}
