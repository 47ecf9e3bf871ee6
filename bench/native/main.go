// The outside view of a benchmark: programs that stamp what they do, and a world (network, mount
// and process namespaces of its own) in which one arm of a comparison runs under the eyes of an
// independent prober. Only the standard library.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	began := now()
	if len(os.Args) < 2 {
		usage()
	}
	switch arguments := os.Args[2:]; os.Args[1] {
	case "stamp": // FILE NAME [WORK_MS]: as stamp.c, where there is no C compiler
		stamp(arguments[0], arguments[1], "start", began)
		if len(arguments) > 2 {
			ms, err := strconv.Atoi(arguments[2])
			check(err)
			time.Sleep(time.Duration(ms) * time.Millisecond)
			stamp(arguments[0], arguments[1], "ready", now())
		}
		notifyReady()
		rest()
	case "exec": // FILE NAME PROGRAM [ARGS…]: stamps, then becomes PROGRAM
		stamp(arguments[0], arguments[1], "start", began)
		check(syscall.Exec(arguments[2], arguments[2:], os.Environ()))
	case "serve": // KIND FILE NAME AFTER_MS WHERE
		serve(arguments)
	case "echo": // ADDRESS
		echo(arguments[0])
	case "load": // KIND ADDRESS SECONDS CLIENTS [PER_SECOND]: see load.go
		load(arguments)
	case "world": // SPEC.json: see world.go
		world(arguments[0])
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: bench stamp|exec|serve|echo|load|world …")
	os.Exit(2)
}

// rest stays until a signal ends it.
func rest() {
	for {
		time.Sleep(time.Hour)
	}
}
