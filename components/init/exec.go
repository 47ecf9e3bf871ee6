package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Numbers of the limits. Source: asm-generic/resource.h; the same on every architecture that Node.js 20 runs on.
var limitNumbers = map[string]int{
	"cpu": 0, "fsize": 1, "data": 2, "stack": 3, "core": 4, "rss": 5, "nproc": 6, "nofile": 7,
	"memlock": 8, "as": 9, "locks": 10, "sigpending": 11, "msgqueue": 12, "nice": 13, "rtprio": 14, "rttime": 15,
}

const unlimited = ^uint64(0)

type limit struct {
	name       string
	soft, hard uint64
	keepsHard  bool
}

// execute enters cgroups, sets limits, changes the user, and becomes the program: it never ran outside
// of them. What the system refuses is said and left out, as k3s-lite does; a user is never left out.
func execute(args []string) {
	var cgroups []string
	var limits []limit
	var oomScoreAdj *int
	account := ""
	flags := newFlags("k3s-lite-init exec", "[flags] -- PROGRAM [ARGS]")
	flags.Func("cgroup", "`folder` of a cgroup to enter, made if it is missing (repeatable)", func(folder string) error {
		cgroups = append(cgroups, folder)
		return nil
	})
	flags.Func("rlimit", "`NAME=SOFT[:HARD]`, each a number or `unlimited`, clamped to the present hard limit (repeatable)", func(text string) error {
		parsed, err := parseLimit(text)
		limits = append(limits, parsed)
		return err
	})
	flags.Func("nofile", "`N`: short for --rlimit nofile=N", func(text string) error {
		parsed, err := parseLimit("nofile=" + text)
		limits = append(limits, parsed)
		return err
	})
	flags.Func("oom-score-adj", "`N`, -1000 to 1000", func(text string) error {
		number, err := strconv.Atoi(text)
		if err != nil || number < -1000 || number > 1000 {
			return errors.New("want a number from -1000 to 1000")
		}
		oomScoreAdj = &number
		return nil
	})
	flags.StringVar(&account, "user", "", "`USER[:GROUP]` by name or number; supplementary groups are dropped")
	_ = flags.Parse(args)
	if flags.NArg() == 0 {
		flags.Usage()
		os.Exit(exitUsage)
	}
	for _, folder := range cgroups {
		if err := enter(folder); err != nil {
			say("not in cgroup %s: %v", folder, err)
		}
	}
	for _, each := range limits {
		if err := each.set(); err != nil {
			say("limit %s is not set: %v", each.name, err)
		}
	}
	if oomScoreAdj != nil {
		if err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(*oomScoreAdj)), 0); err != nil {
			say("oom_score_adj is not set: %v", err)
		}
	}
	if account != "" {
		if err := become(account); err != nil {
			say("cannot become user %s: %v", account, err)
			os.Exit(exitNotExecutable)
		}
	}
	file := find(flags.Arg(0))
	say("cannot run %s: %v", file, syscall.Exec(file, flags.Args(), os.Environ()))
	os.Exit(exitNotExecutable)
}

func enter(folder string) error {
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// 0 is whoever writes it. Not WriteFile, which would make the file in a folder that is no cgroup.
	file, err := os.OpenFile(filepath.Join(folder, "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("0")
	return errors.Join(err, file.Close())
}

func parseLimit(text string) (limit, error) {
	name, values, found := strings.Cut(text, "=")
	if _, isKnown := limitNumbers[name]; !found || !isKnown {
		return limit{}, errors.New("want NAME=SOFT[:HARD] with a name of setrlimit(2) in small letters, like nofile or memlock")
	}
	soft, hard, hasHard := strings.Cut(values, ":")
	parsed := limit{name: name, keepsHard: !hasHard}
	var err, errHard error
	parsed.soft, err = parseAmount(soft)
	if hasHard {
		parsed.hard, errHard = parseAmount(hard)
	}
	return parsed, errors.Join(err, errHard)
}

func parseAmount(text string) (uint64, error) {
	if text == "unlimited" {
		return unlimited, nil
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a number nor unlimited", text)
	}
	return number, nil
}

func (l limit) set() error {
	var present syscall.Rlimit
	if err := syscall.Getrlimit(limitNumbers[l.name], &present); err != nil {
		return err
	}
	hard := present.Max
	if !l.keepsHard {
		hard = min(l.hard, present.Max)
	}
	return syscall.Setrlimit(limitNumbers[l.name], &syscall.Rlimit{Cur: min(l.soft, hard), Max: hard})
}

func become(account string) error {
	userName, groupName, hasGroup := strings.Cut(account, ":")
	entry, err := user.Lookup(userName)
	if err != nil {
		entry, err = user.LookupId(userName)
	}
	if err != nil {
		// Nobody of the file: a bare number will do, if it comes with its group.
		entry = &user.User{Uid: userName, Gid: ""}
	}
	if hasGroup {
		entry.Gid = groupName
		if group, err := user.LookupGroup(groupName); err == nil {
			entry.Gid = group.Gid
		}
	}
	uid, errUid := strconv.Atoi(entry.Uid)
	gid, errGid := strconv.Atoi(entry.Gid)
	if errUid != nil || errGid != nil {
		return errors.New("there is no such user or group")
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return fmt.Errorf("setgid: %w", err)
	}
	return syscall.Setuid(uid)
}
