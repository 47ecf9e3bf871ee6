package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// serve becomes ready in the way that KIND says, AFTER_MS after its start, and stamps the moment
// at which a check would first succeed.
//
//	tcp, http, unix  listens at that moment (WHERE: address or socket)
//	late             answers 503 from the start and 200 from that moment on
//	notify           sends READY=1
//	log              writes the line "ready"
//	file             makes WHERE
func serve(arguments []string) {
	kind, file, name, where := arguments[0], arguments[1], arguments[2], arguments[4]
	ms, err := strconv.Atoi(arguments[3])
	check(err)
	stamp(file, name, "start", now())
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	check(err)
	var isReady atomic.Bool
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !isReady.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	if kind == "late" {
		listener, err := net.Listen("tcp", where)
		check(err)
		go http.Serve(listener, answer)
	}
	time.Sleep(time.Duration(ms) * time.Millisecond)
	isReady.Store(true)
	var at int64
	switch kind {
	case "tcp", "http", "unix":
		network := map[string]string{"tcp": "tcp", "http": "tcp", "unix": "unix"}[kind]
		listener, err := net.Listen(network, where)
		at = now()
		check(err)
		if kind == "http" {
			go http.Serve(listener, answer)
		} else {
			go acceptAll(listener)
		}
	case "late":
		at = now()
	case "notify":
		at = now()
		notifyReady()
	case "log":
		at = now()
		fmt.Println("ready")
	case "file":
		at = now()
		check(os.WriteFile(where, nil, 0o644))
	default:
		usage()
	}
	fmt.Fprintf(out, "%s ready %d\n", name, at)
	rest()
}

func acceptAll(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		connection.Close()
	}
}

func notifyReady() {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	connection, err := net.Dial("unixgram", socket)
	check(err)
	_, err = connection.Write([]byte("READY=1"))
	check(err)
	connection.Close()
}
