// What Go's runtime.entersyscall and runtime.exitsyscall cost when the system call between them does not block.
//
// syscall.Syscall is syscall.RawSyscall between the two, and nothing else (syscall/syscall_linux.go). Both make the
// cheapest call that enters the kernel, getpid, in turn; the difference of the medians is a round's figure.
//
//	go run syscall.go [rounds]
//
// Prints Go's version and then a line for each round, in nanoseconds.
package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A round takes its batches in turns, so that a slow phase of the machine meets both.
const (
	batches = 11
	calls   = 5_000
)

type call = func(trap, a1, a2, a3 uintptr) (r1, r2 uintptr, err syscall.Errno)

func mean(f call) float64 {
	begin := time.Now()
	for range calls {
		f(syscall.SYS_GETPID, 0, 0, 0)
	}
	return float64(time.Since(begin).Nanoseconds()) / calls
}

func round() float64 {
	var with, without [batches]float64
	for i := range batches {
		with[i] = mean(syscall.Syscall)
		without[i] = mean(syscall.RawSyscall)
	}
	slices.Sort(with[:])
	slices.Sort(without[:])
	return with[batches/2] - without[batches/2]
}

func main() {
	rounds := 31
	if len(os.Args) > 1 {
		n, err := strconv.Atoi(os.Args[1])
		if err != nil || n < 1 {
			fmt.Fprintln(os.Stderr, "syscall: rounds must be a number from 1, not", os.Args[1])
			os.Exit(2)
		}
		rounds = n
	}
	fmt.Println(runtime.Version())
	round()
	for range rounds {
		fmt.Printf("%.2f\n", round())
	}
}
