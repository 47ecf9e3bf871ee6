// Package main is k3s-lite-init, the small static PID 1 of an image:
//
//	k3s-lite-init [flags] -- k3s-lite up …       reaps, passes signals on, restarts after a crash
//	k3s-lite-init exec [flags] -- PROGRAM …      cgroups, limits and user, then becomes the program
//
// It does what Node.js cannot: catch real-time signals, live on when k3s-lite crashes (the kernel ends
// a container with its PID 1), and set limits of a process before its program runs. It knows nothing
// of units. Started as any other process than 1 it makes itself a child subreaper.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// version is set by the linker.
var version = "unknown"

// Exit codes when there is none of the program. Source: POSIX shells.
const (
	exitUsage         = 2
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignalBase    = 128
)

const (
	firstDelay = 100 * time.Millisecond // before the first restart: what runs meanwhile runs unsupervised
	maxDelay   = 5 * time.Second
	killPeriod = 100 * time.Millisecond // SIGKILL again: something may have been forked meanwhile
	killRounds = 20                     // then what is left hangs in the kernel, which ends it after us
)

// underInit tells k3s-lite that it has an init, and which: a bug then ends it by a signal, not by a code.
const underInit = "K3S_LITE_UNDER_INIT"

type supervisor struct {
	options
	argv     []string
	file     string
	terminal bool // standard input is the terminal that the program shall control
	children chan os.Signal
	signals  chan os.Signal
	pid      int // of the program; 0 while there is none
	stopping bool
	crashes  []time.Time
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "exec" {
		execute(os.Args[2:])
	}
	s := &supervisor{children: make(chan os.Signal, 1), signals: make(chan os.Signal, 64)}
	s.options, s.argv = parse(os.Args[1:])
	s.file = find(s.argv[0])
	if os.Getpid() != 1 {
		const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER. Source: prctl(2).
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); errno != 0 {
			say("not a child subreaper, orphans go elsewhere: %v", errno)
		}
	}
	s.terminal = leaveTerminal()
	signal.Notify(s.children, syscall.SIGCHLD)
	signal.Notify(s.signals, catchable()...)
	os.Exit(s.run())
}

// run returns the exit code: the program's own, or 128 and the number of the signal that ended it.
func (s *supervisor) run() int {
	if err := s.start(); err != nil {
		say("cannot run %s: %v", s.file, err)
		return exitNotExecutable
	}
	var again <-chan time.Time
	for {
		select {
		case <-s.children:
			status, ended, _ := s.reap()
			if !ended {
				continue
			}
			delay, isCrash := s.afterEnd(status)
			if !isCrash {
				s.endOthers()
				return codeOf(status)
			}
			again = time.After(delay)
		case received := <-s.signals:
			if passed, isStop := s.pass(received.(syscall.Signal)); isStop && s.pid == 0 {
				s.endOthers()
				return exitSignalBase + int(passed)
			}
		case <-again:
			if err := s.start(); err != nil {
				say("cannot run %s again: %v", s.file, err)
				s.endOthers()
				return exitNotExecutable
			}
		}
	}
}

// start runs the program in a session of its own, so that a terminal's signals reach it once.
func (s *supervisor) start() error {
	pid, err := syscall.ForkExec(s.file, s.argv, &syscall.ProcAttr{
		Env:   append(os.Environ(), underInit+"="+strconv.Itoa(os.Getpid())),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: s.terminal},
	})
	s.pid = pid
	return err
}

// reap waits for everything that has ended; it tells how the program did if it is among that, and
// whether a child is left.
func (s *supervisor) reap() (status syscall.WaitStatus, ended, left bool) {
	for {
		var each syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &each, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return status, ended, err == nil
		}
		if pid == s.pid {
			status, ended, s.pid = each, true, 0
		}
	}
}

// afterEnd decides: a code is an answer, a signal that nobody asked for is a crash.
func (s *supervisor) afterEnd(status syscall.WaitStatus) (delay time.Duration, isCrash bool) {
	if !status.Signaled() || s.stopping || s.restarts == 0 {
		return 0, false
	}
	now := time.Now()
	for len(s.crashes) > 0 && now.Sub(s.crashes[0]) > s.restartsWithin {
		s.crashes = s.crashes[1:]
	}
	how := fmt.Sprintf("%s was ended by signal %d (%v)", s.argv[0], int(status.Signal()), status.Signal())
	if len(s.crashes) >= s.restarts {
		say("%s; not started again: %d times within %v are enough", how, len(s.crashes), s.restartsWithin)
		return 0, false
	}
	delay = min(firstDelay<<min(len(s.crashes), 10), maxDelay)
	s.crashes = append(s.crashes, now)
	say("%s; starting it again in %v (%d of %d within %v)", how, delay, len(s.crashes), s.restarts, s.restartsWithin)
	return delay, true
}

// pass gives a signal to the program as the table of rewrites says. As for a PID 1, a signal without a
// handler ends nothing, but for those that ask it to stop.
func (s *supervisor) pass(received syscall.Signal) (passed syscall.Signal, isStop bool) {
	passed, isRewritten := s.rewrites[received]
	if !isRewritten {
		passed = received
	}
	isStop = passed == syscall.SIGTERM || passed == syscall.SIGINT || passed == syscall.SIGQUIT
	s.stopping = s.stopping || isStop
	if passed != 0 && s.pid != 0 && (isStop || catches(s.pid, passed)) {
		_ = syscall.Kill(s.pid, passed)
	}
	return passed, isStop
}

// endOthers ends what the program left: SIGTERM, a short grace (cut short when we are told to stop), SIGKILL.
func (s *supervisor) endOthers() {
	told := map[int]bool{}
	deadline := time.After(s.grace)
	for round := 0; round < killRounds; {
		if _, _, left := s.reap(); !left {
			return
		}
		if round == 0 {
			signalOthers(syscall.SIGTERM, told)
		} else {
			signalOthers(syscall.SIGKILL, map[int]bool{})
		}
		select {
		case <-s.children:
			continue
		case received := <-s.signals:
			if _, isStop := s.pass(received.(syscall.Signal)); !isStop {
				continue
			}
		case <-deadline:
		}
		round++
		deadline = time.After(killPeriod)
	}
}

// signalOthers signals everything in our pid namespace if we are its init, otherwise our children: a
// process whose parent ends becomes one. Who is in `told` has been before.
func signalOthers(which syscall.Signal, told map[int]bool) {
	if os.Getpid() == 1 {
		if !told[1] {
			_ = syscall.Kill(-1, which)
		}
		told[1] = true
		return
	}
	for _, pid := range childrenOf(os.Getpid()) {
		if !told[pid] {
			_ = syscall.Kill(pid, which)
		}
		told[pid] = true
	}
}

func codeOf(status syscall.WaitStatus) int {
	if status.Signaled() {
		return exitSignalBase + int(status.Signal())
	}
	return status.ExitStatus()
}
