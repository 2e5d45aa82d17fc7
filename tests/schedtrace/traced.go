// A program that Go traces, for tests/schedtrace.rs: the parser there must take this program's lines as it takes ours.
package main

import (
	"io"
	"os"
	"runtime"
	"sync"
	"time"
)

func main() {
	for range 3 {
		go func() {
			for {
				runtime.Gosched()
			}
		}()
	}
	go func() { <-make(chan int) }()
	go func() { time.Sleep(time.Hour) }()
	var mutex sync.Mutex
	mutex.Lock()
	go mutex.Lock()
	io.Copy(io.Discard, os.Stdin) // until the test has seen enough
}
