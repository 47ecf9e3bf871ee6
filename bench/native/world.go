package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec is one run of one arm. The caller has already made the namespaces (unshare); world is PID 1
// in them, so that whatever the arm leaves behind goes when world does.
type Spec struct {
	Address    string     // of the node, "10.99.0.2/24", on a link that leads nowhere
	Cgroup     string     // of the unified tree, entered before the start; "": stay
	Mounts     []Mount    // made before the start
	Command    []string   // the arm: a supervisor or a shell script
	Env        []string   // its whole environment
	Log        string     // its output
	IntervalUs int        // between two looks at the same thing
	Checks     []Check    // when is each unit truly ready
	Node       *NodeCheck // when is the node Ready, and when does a pod made then run
	Marks      []Mark     // when does the arm itself say something
	WaitFor    []string   // names of checks and marks (or "node", "pod") that end the start
	TimeoutS   int        // for the start
	SettleMs   int        // rest between start and the measurements below
	IdleMs     int        // how long the arm's own processes are watched at rest; 0: not at all
	Own        string     // base name of the program of the arm's own processes ("node")
	Capture    bool       // also keep the command lines of all processes
	After      []string   // a program run after the measurements, while the arm still runs
	Stop       bool       // SIGTERM and wait for the end; otherwise everything is killed
	Result     string     // where the Result goes
}

type Mount struct{ Source, Target string } // Source "tmpfs" or a folder to bind

type Mark struct{ Name, Contains string }

// Result holds milliseconds since the spawn of the arm.
type Result struct {
	T0        int64 // CLOCK_MONOTONIC in ns
	At        map[string]float64
	Missing   []string
	LastPod   string `json:",omitempty"` // what the API said of it, if it never ran
	Usage     *Usage
	StopMs    float64
	Exit      string
	Leftovers []string
	Processes []Process `json:",omitempty"`
}

func world(file string) {
	var spec Spec
	text, err := os.ReadFile(file)
	check(err)
	check(json.Unmarshal(text, &spec))
	if spec.Cgroup != "" {
		check(os.MkdirAll(spec.Cgroup, 0o755))
		check(os.WriteFile(spec.Cgroup+"/cgroup.procs", []byte("0"), 0))
	}
	makeNetwork(spec.Address)
	for _, m := range spec.Mounts {
		check(os.MkdirAll(m.Target, 0o755))
		if m.Source == "tmpfs" {
			check(syscall.Mount("tmpfs", m.Target, "tmpfs", 0, "mode=0755"))
		} else {
			check(syscall.Mount(m.Source, m.Target, "", syscall.MS_BIND, ""))
		}
	}

	seen := newSightings(spec.WaitFor)
	result := Result{At: seen.at}
	arm := start(spec, seen)
	result.T0 = seen.t0
	stopLooking := make(chan struct{})
	look(spec, seen, stopLooking)
	select {
	case <-seen.all:
	case <-arm.exited:
	case <-time.After(time.Duration(spec.TimeoutS) * time.Second):
	}
	close(stopLooking)
	time.Sleep(time.Duration(spec.SettleMs) * time.Millisecond)
	if spec.Capture {
		result.Processes = processes()
	}
	if spec.Own != "" {
		result.Usage = watch(spec.Own, time.Duration(spec.IdleMs)*time.Millisecond)
	}
	if len(spec.After) > 0 {
		check(runInWorld(spec.After, spec.Env))
	}
	if spec.Stop {
		before := now()
		syscall.Kill(arm.pid, syscall.SIGTERM)
		select {
		case <-arm.exited:
			result.StopMs = float64(now()-before) / 1e6
			result.Exit = arm.exit()
		case <-time.After(2 * time.Minute):
			result.Exit = "still running after 2 min"
		}
		for _, p := range processes() {
			result.Leftovers = append(result.Leftovers, strings.Join(p.Argv, " "))
		}
	}
	seen.Lock()
	result.Missing = seen.missing()
	if len(result.Missing) > 0 {
		result.LastPod = seen.lastPod
	}
	text, err = json.MarshalIndent(result, "", " ")
	check(err)
	check(os.WriteFile(spec.Result, text, 0o644))
	syscall.Kill(-1, syscall.SIGKILL)
}

// runInWorld runs a program to its end, which the reaper sees too: the pipe's end tells.
func runInWorld(command, env []string) error {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	_, err = syscall.ForkExec(program, command, &syscall.ProcAttr{
		Env: env, Files: []uintptr{0, writer.Fd(), writer.Fd()}})
	writer.Close()
	io.Copy(os.Stderr, reader)
	return err
}

func makeNetwork(address string) {
	commands := []string{"ip link set lo up"}
	if address != "" {
		commands = append(commands,
			"ip link add bench0 type veth peer name bench1", "ip address add "+address+" dev bench0",
			"ip link set bench0 up", "ip link set bench1 up", "ip route add default dev bench0")
	}
	for _, command := range commands {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			check(fmt.Errorf("%s: %w: %s", command, err, out))
		}
	}
}

type arm struct {
	pid    int
	exited chan struct{}
	status syscall.WaitStatus
}

func (a *arm) exit() string {
	if a.status.Signaled() {
		return a.status.Signal().String()
	}
	return fmt.Sprint(a.status.ExitStatus())
}

// start spawns the arm and, as PID 1 must, reaps everything from then on.
func start(spec Spec, seen *sightings) *arm {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	reader, writer, err := os.Pipe()
	check(err)
	log, err := os.Create(spec.Log)
	check(err)
	null, err := os.Open(os.DevNull)
	check(err)
	program, err := exec.LookPath(spec.Command[0])
	check(err)
	a := &arm{exited: make(chan struct{})}
	seen.t0 = now()
	a.pid, err = syscall.ForkExec(program, spec.Command, &syscall.ProcAttr{
		Env:   spec.Env,
		Files: []uintptr{null.Fd(), writer.Fd(), writer.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	check(err)
	writer.Close()
	go func() {
		lines := bufio.NewReader(reader)
		for {
			line, err := lines.ReadString('\n')
			at := now()
			for _, mark := range spec.Marks {
				if strings.Contains(line, mark.Contains) {
					seen.note(mark.Name, at)
				}
			}
			fmt.Fprintf(log, "%.1f %s", float64(at-seen.t0)/1e6, line)
			if err == io.EOF {
				return
			}
		}
	}()
	go func() {
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, 0, nil)
			if err == syscall.ECHILD {
				return
			}
			if pid == a.pid {
				a.status = status
				close(a.exited)
			}
		}
	}()
	return a
}

// sightings keeps when each thing was first seen.
type sightings struct {
	sync.Mutex
	t0      int64
	at      map[string]float64
	wanted  []string
	all     chan struct{}
	closed  bool
	lastPod string
}

func newSightings(wanted []string) *sightings {
	return &sightings{at: map[string]float64{}, wanted: wanted, all: make(chan struct{})}
}

func (s *sightings) note(name string, at int64) {
	s.Lock()
	defer s.Unlock()
	if _, twice := s.at[name]; twice {
		return
	}
	s.at[name] = float64(at-s.t0) / 1e6
	if !s.closed && len(s.missing()) == 0 {
		s.closed = true
		close(s.all)
	}
}

func (s *sightings) missing() []string {
	missing := []string{}
	for _, name := range s.wanted {
		if _, ok := s.at[name]; !ok {
			missing = append(missing, name)
		}
	}
	return missing
}
