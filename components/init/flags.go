package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rewrites       map[syscall.Signal]syscall.Signal
	restarts       int
	restartsWithin time.Duration
	grace          time.Duration
}

func parse(args []string) (options, []string) {
	// A program that Node.js runs opens its debugger to everybody at SIGUSR1: nobody wants that of a container.
	o := options{rewrites: map[syscall.Signal]syscall.Signal{syscall.SIGUSR1: 0, halt: syscall.SIGTERM}}
	flags := newFlags("k3s-lite-init", "[flags] -- PROGRAM [ARGS]\n       k3s-lite-init exec --help")
	flags.Func("rewrite", "`FROM:TO`, a signal to pass on as another; TO 0 drops it (repeatable; default SIGRTMIN+3:SIGTERM, SIGUSR1:0)", func(text string) error {
		from, to, found := strings.Cut(text, ":")
		wanted, err := parseSignal(from)
		given, errTo := parseSignal(to)
		if !found || wanted == 0 || err != nil || errTo != nil {
			return errors.New("want two signals by name or number, like SIGTERM:SIGQUIT or 15:3")
		}
		o.rewrites[wanted] = given
		return nil
	})
	flags.IntVar(&o.restarts, "restarts", 5, "start the program again at most so often within --restarts-within when a signal ended it that was not asked for; 0: never")
	flags.DurationVar(&o.restartsWithin, "restarts-within", time.Minute, "see --restarts")
	flags.DurationVar(&o.grace, "grace", 3*time.Second, "time between SIGTERM and SIGKILL for what is left when the program has ended")
	isVersion := flags.Bool("version", false, "print the version")
	_ = flags.Parse(args)
	if *isVersion {
		fmt.Println("k3s-lite-init", version)
		os.Exit(0)
	}
	if flags.NArg() == 0 || o.restarts < 0 {
		flags.Usage()
		os.Exit(exitUsage)
	}
	return o, flags.Args()
}

// find is the program's path; it exits with a shell's codes when there is none to run.
func find(program string) string {
	file, err := exec.LookPath(program)
	if err == nil {
		return file
	}
	say("cannot run %s: %v", program, errors.Unwrap(err))
	if errors.Is(err, fs.ErrPermission) {
		os.Exit(exitNotExecutable)
	}
	os.Exit(exitNotFound)
	return ""
}

func newFlags(name, usage string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: %s %s\n", name, usage)
		flags.PrintDefaults()
	}
	return flags
}

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "k3s-lite-init: "+format+"\n", values...)
}
