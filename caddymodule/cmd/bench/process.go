package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// processes are those that a run starts, all of this binary.
type processes struct {
	dir     string // for what they keep
	started []*exec.Cmd
}

func (ps *processes) end() {
	for _, c := range ps.started {
		c.Process.Signal(os.Interrupt)
		c.Wait()
	}
}

func (ps *processes) start(in string, args ...string) (*exec.Cmd, error) {
	c := exec.Command(os.Args[0], args...)
	c.Stdin, c.Stderr = strings.NewReader(in), io.Discard
	home := fmt.Sprintf("%s/%d", ps.dir, len(ps.started))
	c.Env = append(os.Environ(), "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	err := c.Start()
	if err == nil {
		ps.started = append(ps.started, c)
	}
	return c, err
}

// A proxy is a process under load.
type proxy struct {
	url   string
	pid   int
	ready time.Duration // from its start to its first answer
}

// proxy starts Caddy, and waits for its first answer.
func (ps *processes) proxy(global, site string, args ...string) (proxy, error) {
	at := address()
	began := time.Now()
	c, err := ps.start(fmt.Sprintf("{\n admin off\n auto_https off\n%s\n}\nhttp://%s {\n%s\n}\n", global, at, site), append(args, "-role", "caddy")...)
	if err != nil {
		return proxy{}, err
	}
	if err := await(at); err != nil {
		return proxy{}, err
	}
	p := proxy{url: "http://" + at, pid: c.Process.Pid}
	err = send(newClient(1), p.url, plainChat)
	p.ready = time.Since(began)
	return p, err
}

func address() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return ""
	}
	defer l.Close()
	return l.Addr().String()
}

func await(address string) error {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("nobody listens at %s", address)
}

// tick is the unit of CPU time in /proc, see proc_pid_stat(5).
const tick = 10 * time.Millisecond

// cpu returns the CPU time that the process has taken.
func (p proxy) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, fmt.Errorf("reading CPU time: %w", err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("reading CPU time: unexpected form")
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, nil
}

// memory returns the resident memory of the process, in KiB.
func (p proxy) memory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, fmt.Errorf("reading memory: %w", err)
	}
	_, rest, ok := strings.Cut(string(b), "VmRSS:")
	if !ok {
		return 0, errors.New("reading memory: unexpected form")
	}
	return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
}
