// The workloads of benches/trace/workloads.rs that Go's tracer is measured on.
//
//	trace NAME                   nanoseconds an operation: ping-pong, gosched, tasks
//	trace -trace NAME            the same while runtime/trace records, to io.Discard
//	trace -times N NAME          N operations instead of 40 ms, after as many to warm up
//	trace -version               Go's version
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/trace"
	"time"
)

var workloads = map[string]func(times int){
	"ping-pong": pingPong,
	"gosched":   gosched,
	"tasks":     tasks,
}

func pingPong(times int) {
	ping, pong := make(chan uint64, 1), make(chan uint64, 1)
	go func() {
		for value := range ping {
			pong <- value
		}
		close(pong)
	}()
	for n := range uint64(times) {
		ping <- n
		if <-pong != n {
			panic("another value came back")
		}
	}
	close(ping)
	<-pong
}

func gosched(times int) {
	for range times {
		runtime.Gosched()
	}
}

func tasks(times int) {
	ended := make(chan struct{}, 1)
	for range times {
		go func() {
			for begun := time.Now(); time.Since(begun) < 10*time.Microsecond; {
			}
			ended <- struct{}{}
		}()
		<-ended
	}
}

// fill says how many operations take some 40 ms.
func fill(run func(int)) int {
	for times := 64; ; times *= 4 {
		begun := time.Now()
		run(times)
		if took := time.Since(begun); took > 8*time.Millisecond {
			return max(1, int(float64(times)*0.04/took.Seconds()))
		}
	}
}

func main() {
	version := flag.Bool("version", false, "print Go's version")
	traced := flag.Bool("trace", false, "record a trace meanwhile")
	times := flag.Int("times", 0, "how many operations")
	flag.Parse()
	if *version {
		fmt.Println(runtime.Version())
		return
	}
	run := workloads[flag.Arg(0)]
	if run == nil {
		fmt.Fprintf(os.Stderr, "trace: no workload is named %q\n", flag.Arg(0))
		os.Exit(2)
	}
	n := *times
	if n <= 0 {
		n = fill(run)
	}
	if *traced {
		if err := trace.Start(io.Discard); err != nil {
			fmt.Fprintln(os.Stderr, "trace:", err)
			os.Exit(1)
		}
		defer trace.Stop()
	}
	run(n)
	begun := time.Now()
	run(n)
	fmt.Printf("%.2f\n", float64(time.Since(begun).Nanoseconds())/float64(n))
}
