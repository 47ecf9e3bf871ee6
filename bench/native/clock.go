package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// now is CLOCK_MONOTONIC in nanoseconds: the one clock that every process of a measurement shares.
func now() int64 {
	var t syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}

func stamp(file, name, what string, at int64) {
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	check(err)
	fmt.Fprintf(out, "%s %s %d\n", name, what, at)
	out.Close()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
