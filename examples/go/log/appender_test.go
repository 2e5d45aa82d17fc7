package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// Nobody reads the pipe at first, so that a write fails when it is full, which is in the midst of a line; and a pipe cannot
// be cut.
func TestATornLineThatCannotBeCutOffIsCompletedByTheNextAppend(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var first strings.Builder
	for i := 0; i < 10_000; i++ {
		fmt.Fprintf(&first, "%d 1 some text that makes it long\n", i)
	}
	a := &appender{file: writer}
	writer.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	rest := a.append([]byte(first.String()))
	if a.err == nil || a.lost == 0 {
		t.Fatal("the pipe took all")
	}
	writer.SetWriteDeadline(time.Time{})
	got := make(chan string)
	go func() {
		all, _ := io.ReadAll(reader)
		got <- string(all)
	}()
	rest = a.append(append(rest, "second\n"...))
	writer.Close()
	all := <-got
	kept, second := strings.CutSuffix(all, "second\n")
	if !second || len(rest) > 0 || !strings.HasPrefix(first.String(), kept) || !strings.HasSuffix(kept, "\n") {
		t.Fatalf("it ends with %q, and %q is left", all[max(0, len(all)-99):], rest)
	}
	if lines := uint64(strings.Count(kept, "\n")); lines+a.lost != 10_000 || a.bytes != uint64(len(all)) {
		t.Fatalf("%d lines are there, %d lost; %d bytes of %d", lines, a.lost, a.bytes, len(all))
	}
}

func TestATornLineIsCutOff(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	file.WriteString("0 1 one\n1 1 tw")
	a := &appender{file: file, torn: 6}
	if a.cut() != nil {
		t.Fatal("it cannot be cut")
	}
	if all, _ := os.ReadFile(file.Name()); string(all) != "0 1 one\n" {
		t.Fatalf("left: %q", all)
	}
}
