// What the kernel and its /proc tell of signals, terminals and children.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const (
	lastSignal = 64
	// The first that a program may use, as glibc counts; 32 and 33 are its own. Source: signal(7).
	sigRtMin = 34
	// halt is how container engines and systemd ask an init to stop. Source: systemd(1), SIGRTMIN+3.
	halt = syscall.Signal(sigRtMin + 3)
)

var signalNames = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "PIPE": syscall.SIGPIPE, "ALRM": syscall.SIGALRM,
	"TERM": syscall.SIGTERM, "CONT": syscall.SIGCONT, "STOP": syscall.SIGSTOP, "TSTP": syscall.SIGTSTP,
	"TTIN": syscall.SIGTTIN, "TTOU": syscall.SIGTTOU, "WINCH": syscall.SIGWINCH, "PWR": syscall.SIGPWR,
}

// parseSignal reads SIGTERM, TERM, 15, SIGRTMIN+3 or RTMIN+3; 0 is no signal.
func parseSignal(text string) (syscall.Signal, error) {
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if known, isKnown := signalNames[name]; isKnown {
		return known, nil
	}
	base := 0
	if offset, isRealTime := strings.CutPrefix(name, "RTMIN+"); isRealTime {
		base, name = sigRtMin, offset
	}
	number, err := strconv.Atoi(name)
	if err != nil || number < 0 || base+number > lastSignal {
		return 0, fmt.Errorf("unknown signal %q", text)
	}
	return syscall.Signal(base + number), nil
}

// catchable lists what is passed on: all but what cannot be caught, what the Go runtime (SIGURG, SIGPROF) and
// the C library use, and SIGCHLD.
func catchable() []os.Signal {
	var all []os.Signal
	for number := syscall.Signal(1); number <= lastSignal; number++ {
		switch number {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGURG, syscall.SIGPROF, syscall.SIGCHLD, 32, 33, 34:
		default:
			all = append(all, number)
		}
	}
	return all
}

// catches tells whether a process has a handler for a signal.
func catches(pid int, which syscall.Signal) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := bytes.Cut(text, []byte("\nSigCgt:\t"))
	mask, _, _ := bytes.Cut(after, []byte("\n"))
	caught, err := strconv.ParseUint(string(mask), 16, 64)
	return err == nil && caught>>(which-1)&1 == 1
}

func childrenOf(pid int) (children []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// leaveTerminal gives up the terminal on standard input if it controls our session, so that the
// program's session can have it: Ctrl-C then reaches the program from the kernel, and only once.
func leaveTerminal() bool {
	session, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	var group int32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	if int(session) != os.Getpid() || errno != 0 {
		return false
	}
	// The kernel tells the session that it lost its terminal, and that is us.
	signal.Ignore(syscall.SIGHUP, syscall.SIGCONT)
	_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCNOTTY, 0)
	return errno == 0
}
