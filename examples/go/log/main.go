// The batched log on Go: the program of examples/showcase/log/gmprt.rs.
package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"gmprt.example/showcase/run"
)

const (
	capacity   = 1000                   // lines that the channel holds
	flushEvery = 100 * time.Millisecond // how long a line stays in the batch at most, the disk permitting
	full       = 256 << 10              // bytes of a batch that is not waited with
	timedEvery = 61                     // every such line of a producer is timed
)

// producer makes lines, and notes what became of them.
type producer struct {
	id, made, sent, sum uint64
	checksum            uint32    // of the line under way
	since               time.Time // when that set out, if it is timed
	over                *run.Over
	times               *run.Shards
	buffer              [64]byte // where a line is put together, so that it costs one allocation, as in Rust
}

// line is the next one to send, while there is time.
func (p *producer) line() (string, bool) {
	if p.over.IsOver() {
		return "", false
	}
	p.made++
	line := strconv.AppendUint(p.buffer[:0], p.id, 10)
	line = strconv.AppendUint(append(line, ' '), p.made, 10)
	line = append(line, " answered GET /v1/orders with 200 OK in 1.2 ms"...)
	p.checksum = crc32.ChecksumIEEE(line)
	p.since = time.Time{}
	if (p.made+p.id)%timedEvery == 0 {
		p.since = time.Now()
	}
	return string(line), true
}

// done notes that the channel has taken that line.
func (p *producer) done() {
	p.sent++
	p.sum += uint64(p.checksum)
	if !p.since.IsZero() {
		p.times.Record(int(p.id), time.Since(p.since))
	}
}

// logger is the writer's half: the batch, and where it goes.
type logger struct {
	batch []byte
	file  *appender
	taken uint64
	open  bool // whether lines may still come
}

// take takes what the channel holds, beginning with a line already received, and flushes if the batch is full or the channel
// closed. Not the select of two channels for each line: a receive beside a default takes one lock at most.
func (l *logger) take(line string, ok bool, inbox <-chan string) {
	for ok {
		l.batch = append(append(l.batch, line...), '\n')
		l.taken++
		if len(l.batch) >= full {
			l.flush()
			return
		}
		select {
		case line, ok = <-inbox:
		default:
			return
		}
	}
	l.open = false
	l.flush()
}

func (l *logger) flush() { l.batch = l.file.append(l.batch) }

// unwritten is how many lines are not in the file, after the last flush: what that leaves in the batch is a torn line's rest.
func (l *logger) unwritten() uint64 {
	if len(l.batch) > 0 {
		return l.file.lost + 1
	}
	return l.file.lost
}

// write is one run: producers, this goroutine, file.
func write(producers []producer, log *logger) {
	inbox := make(chan string, capacity)
	var producing sync.WaitGroup
	producing.Add(len(producers))
	for i := range producers {
		go func(p *producer) { defer producing.Done(); for line, ok := p.line(); ok; line, ok = p.line() { inbox <- line; p.done() } }(&producers[i])
	}
	go func() { producing.Wait(); close(inbox) }()
	for ticks := time.Tick(flushEvery); log.open; {
		select { case line, ok := <-inbox: log.take(line, ok, inbox); case <-ticks: log.flush() }
	}
}

func main() {
	run.Main(func(spec *run.Spec) func() *run.Outcome {
		file, err := open(spec.File, spec.Fsync)
		if err != nil {
			fmt.Fprintf(os.Stderr, "showcase: cannot open %s: %v\n", spec.File, cause(err))
			os.Exit(1)
		}
		log := &logger{batch: make([]byte, 0, full+64), file: file, open: true}
		times := run.NewShards()
		producers := make([]producer, spec.Producers)
		for i := range producers {
			producers[i] = producer{id: uint64(i), times: times} // touched before memory is looked at, as in Rust
		}
		return func() *run.Outcome {
			over := run.After(spec.Duration())
			for i := range producers {
				producers[i].over = over
			}
			start := time.Now()
			write(producers, log)
			outcome := &run.Outcome{Seconds: time.Since(start).Seconds(), Operations: log.taken, Latencies: times.Recorded()}
			var sent, sum uint64
			for i := range producers {
				sent += producers[i].sent
				sum += producers[i].sum
			}
			unwritten := log.unwritten()
			outcome.Counts = map[string]uint64{
				"sent": sent, "sent_sum": sum, "written": log.taken - unwritten, "unwritten": unwritten,
				"bytes": file.bytes, "flushes": file.flushes,
			}
			if sent != log.taken {
				outcome.Fail("%s lines were sent, but %s taken", grouped(sent), grouped(log.taken))
			}
			if file.err != nil {
				outcome.Fail("cannot %s %s: %v: %s of %s lines unwritten",
					file.doing, spec.File, cause(file.err), grouped(unwritten), grouped(log.taken))
			}
			return outcome
		}
	})
}

// cause is an error without the path, which we say ourselves.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// grouped writes 1234567 as 1,234,567.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
