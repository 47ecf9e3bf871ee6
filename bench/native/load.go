package main

// A server and clients for proxies of TCP connections. What is sent is not looked into, so what a
// proxy adds is all that differs between two runs.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const wordBytes = 64

// echo ADDRESS: answers each word with the same word. A client that sends a word of zeros wants a flood
// instead: nothing is answered, everything is thrown away.
func echo(address string) {
	listener, err := net.Listen("tcp", address)
	check(err)
	fmt.Println(listener.Addr())
	for {
		connection, err := listener.Accept()
		check(err)
		go func() {
			defer connection.Close()
			buffer := make([]byte, 256*1024)
			if _, err := io.ReadFull(connection, buffer[:wordBytes]); err != nil {
				return
			}
			if buffer[0] == 0 {
				for {
					if _, err := connection.Read(buffer); err != nil {
						return
					}
				}
			}
			connection.Write(buffer[:wordBytes])
			for {
				if _, err := io.ReadFull(connection, buffer[:wordBytes]); err != nil {
					return
				}
				if _, err := connection.Write(buffer[:wordBytes]); err != nil {
					return
				}
			}
		}()
	}
}

// LoadResult is printed as JSON.
type LoadResult struct {
	Done    int64
	Failed  int64
	Seconds float64
	// Microseconds: of a word and its answer, or of a connection with one word and its answer.
	P50, P90, P99, Max float64
	Bytes              int64
	FirstError         string `json:",omitempty"`
	// Longest time without any success, milliseconds.
	LongestGapMs float64
}

// load KIND ADDRESS SECONDS CLIENTS [PER_SECOND]
//
//	words: each client has a connection and sends a word when the last was answered
//	connections: each client makes a connection, sends a word, awaits the answer, closes it
//	flood: each client sends as fast as it can
//	hold: opens CLIENTS connections, exchanges a word on each, prints READY, and again a word on each at the end
//	seek: one client that tries again at once: for the time without an answer
func load(arguments []string) {
	kind, address := arguments[0], arguments[1]
	seconds, err := strconv.ParseFloat(arguments[2], 64)
	check(err)
	clients, err := strconv.Atoi(arguments[3])
	check(err)
	perSecond := 0.0
	if len(arguments) > 4 {
		perSecond, err = strconv.ParseFloat(arguments[4], 64)
		check(err)
	}
	if kind == "hold" {
		hold(address, seconds, clients)
		return
	}
	began := time.Now()
	until := began.Add(time.Duration(seconds * float64(time.Second)))
	var failed, bytes, due atomic.Int64
	var firstError, lastGood atomic.Value
	lastGood.Store(began)
	longest := time.Duration(0)
	var mutex sync.Mutex
	var all []float64
	var group sync.WaitGroup
	fail := func(err error) {
		failed.Add(1)
		firstError.CompareAndSwap(nil, err.Error())
	}
	for client := 0; client < clients; client++ {
		group.Add(1)
		go func() {
			defer group.Done()
			var took []float64
			done := func(from time.Time) {
				at := time.Now()
				took = append(took, float64(at.Sub(from).Nanoseconds())/1e3)
				if kind == "seek" {
					if gap := at.Sub(lastGood.Load().(time.Time)); gap > longest {
						longest = gap
					}
					lastGood.Store(at)
				}
			}
			switch kind {
			case "words":
				words(address, until, done, fail)
			case "flood":
				bytes.Add(flood(address, until, fail))
			case "connections":
				for time.Now().Before(until) {
					from := time.Now()
					if perSecond > 0 {
						// Each is due at a fixed time, so that a proxy that is late does not slow the load down.
						at := began.Add(time.Duration(float64(due.Add(1)) / perSecond * float64(time.Second)))
						if at.After(until) {
							break
						}
						time.Sleep(time.Until(at))
						from = at
					}
					if err := once(address, 5*time.Second); err != nil {
						fail(err)
					} else {
						done(from)
					}
				}
			case "seek":
				for time.Now().Before(until) {
					from := time.Now()
					if err := once(address, 5*time.Second); err != nil {
						fail(err)
					} else {
						done(from)
						time.Sleep(2 * time.Millisecond)
					}
				}
			default:
				usage()
			}
			mutex.Lock()
			all = append(all, took...)
			mutex.Unlock()
		}()
	}
	group.Wait()
	elapsed := time.Since(began)
	// One that has not ended is as long as it was seen.
	if gap := time.Since(lastGood.Load().(time.Time)); kind == "seek" && gap > longest {
		longest = gap
	}
	sort.Float64s(all)
	at := func(share float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return all[int(share*float64(len(all)-1))]
	}
	result := LoadResult{
		Done: int64(len(all)), Failed: failed.Load(), Seconds: elapsed.Seconds(), Bytes: bytes.Load(),
		P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1), LongestGapMs: float64(longest.Microseconds()) / 1e3,
	}
	if text, ok := firstError.Load().(string); ok {
		result.FirstError = text
	}
	check(json.NewEncoder(os.Stdout).Encode(result))
}

func word() []byte {
	made := make([]byte, wordBytes)
	for i := range made {
		made[i] = 'w'
	}
	return made
}

func exchange(connection net.Conn, sent, buffer []byte) error {
	if _, err := connection.Write(sent); err != nil {
		return err
	}
	if _, err := io.ReadFull(connection, buffer); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("closed without an answer")
		}
		return err
	}
	return nil
}

func once(address string, within time.Duration) error {
	connection, err := net.DialTimeout("tcp", address, within)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(within))
	return exchange(connection, word(), make([]byte, wordBytes))
}

func words(address string, until time.Time, done func(time.Time), fail func(error)) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		fail(err)
		return
	}
	defer connection.Close()
	sent, buffer := word(), make([]byte, wordBytes)
	for {
		from := time.Now()
		if !from.Before(until) {
			return
		}
		if err := exchange(connection, sent, buffer); err != nil {
			fail(err)
			return
		}
		done(from)
	}
}

func flood(address string, until time.Time, fail func(error)) int64 {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		fail(err)
		return 0
	}
	defer connection.Close()
	chunk := make([]byte, 128*1024)
	sent := int64(0)
	for time.Now().Before(until) {
		n, err := connection.Write(chunk)
		sent += int64(n)
		if err != nil {
			fail(err)
			return sent
		}
	}
	return sent
}

// hold opens connections, leaves them alone for a while, and asks on each again.
func hold(address string, seconds float64, clients int) {
	var limit syscall.Rlimit
	check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = limit.Max
	check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	began := time.Now()
	held := make([]net.Conn, clients)
	var failed, next atomic.Int64
	var first atomic.Value
	sent := word()
	fail := func(err error) {
		failed.Add(1)
		first.CompareAndSwap(nil, err.Error())
	}
	// Some at a time: one after the other it would be a measure of latency.
	var group sync.WaitGroup
	for dialler := 0; dialler < 32; dialler++ {
		group.Add(1)
		go func() {
			defer group.Done()
			buffer := make([]byte, wordBytes)
			for at := next.Add(1) - 1; at < int64(clients); at = next.Add(1) - 1 {
				connection, err := net.DialTimeout("tcp", address, 5*time.Second)
				if err == nil {
					connection.SetDeadline(time.Now().Add(5 * time.Second))
					err = exchange(connection, sent, buffer)
				}
				if err != nil {
					fail(err)
					continue
				}
				held[at] = connection
			}
		}()
	}
	group.Wait()
	opened := time.Since(began)
	fmt.Println("READY")
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	count := int64(0)
	buffer := make([]byte, wordBytes)
	for _, connection := range held {
		if connection == nil {
			continue
		}
		count++
		connection.SetDeadline(time.Now().Add(5 * time.Second))
		if err := exchange(connection, sent, buffer); err != nil {
			fail(err)
		}
	}
	result := LoadResult{Done: count, Failed: failed.Load(), Seconds: opened.Seconds()}
	if text, ok := first.Load().(string); ok {
		result.FirstError = text
	}
	check(json.NewEncoder(os.Stdout).Encode(result))
}
