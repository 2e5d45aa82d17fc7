// Package run is what the three programs share: how the showcase starts a run, and what it is told of it.
//
// The words are those of examples/showcase/spec.rs, where the talk between the two processes is drawn.
package run

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// Spec says what to run. Fields that a scenario does not know are zero.
type Spec struct {
	Procs   int     `json:"procs"`
	Seconds float64 `json:"seconds"`

	Clients   int    `json:"clients"`
	Rate      int    `json:"rate"`
	Workers   int    `json:"workers"`
	Producers int    `json:"producers"`
	Items     uint64 `json:"items"`
	File      string `json:"file"`
	Fsync     bool   `json:"fsync"`
}

// Duration is how long requests, items or lines are made.
func (s *Spec) Duration() time.Duration { return time.Duration(s.Seconds * float64(time.Second)) }

// Outcome says how a run went.
type Outcome struct {
	Seconds    float64           `json:"seconds"`
	Operations uint64            `json:"operations"`
	Latencies  [][2]uint64       `json:"latencies"`
	Counts     map[string]uint64 `json:"counts,omitempty"`
	Failure    *string           `json:"failure"`
}

// Fail notes what went wrong; the first failure stays.
func (o *Outcome) Fail(format string, args ...any) {
	if o.Failure == nil {
		text := fmt.Sprintf(format, args...)
		o.Failure = &text
	}
}

// Main runs a scenario. It calls prepare, which allocates what the measurement needs, says so, waits to be told to go,
// calls what prepare returned, and tells how it went.
func Main(prepare func(*Spec) func() *Outcome) {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: a run's description in JSON; the showcase starts this program")
		os.Exit(2)
	}
	var spec Spec
	if err := json.Unmarshal([]byte(os.Args[1]), &spec); err != nil {
		fmt.Fprintln(os.Stderr, "not a run's description:", err)
		os.Exit(2)
	}
	runtime.GOMAXPROCS(spec.Procs)
	begin := prepare(&spec)
	runtime.GC() // what prepare left behind is not the run's

	fmt.Println("ready")
	input := bufio.NewReader(os.Stdin)
	if _, err := input.ReadString('\n'); err != nil {
		os.Exit(1)
	}
	go func() { // the showcase has gone away: so do we
		input.ReadByte()
		os.Exit(0)
	}()
	outcome := begin()
	fmt.Println("done")
	json.NewEncoder(os.Stdout).Encode(outcome)
	select {}
}

// Over tells that the time for making requests, items or lines is over.
type Over struct{ flag atomic.Bool }

// After returns an Over that comes true after d.
func After(d time.Duration) *Over {
	over := new(Over)
	time.AfterFunc(d, func() { over.flag.Store(true) })
	return over
}

// IsOver tells whether it has come.
func (o *Over) IsOver() bool { return o.flag.Load() }
