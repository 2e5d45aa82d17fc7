package main

import (
	"bytes"
	"os"
)

var newline = []byte{'\n'}

// appender appends batches of lines to a file, and counts the lines that are lost, as examples/showcase/log/appender.rs does:
// there stands what becomes of a line that is torn.
type appender struct {
	file    *os.File
	fsync   bool
	torn    uint64 // how much of a torn line stands at the file's end
	lost    uint64 // lines that could not be written
	bytes   uint64 // length of the file
	flushes uint64
	doing   string // what went wrong first
	err     error
}

// open opens a file, makes it if need be, and empties it, unless it is something like /dev/full.
func open(path string, fsync bool) (*appender, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() {
		err = file.Truncate(0)
	}
	return &appender{file: file, fsync: fsync}, err
}

// append appends the batch, and returns it emptied; the rest of a torn line that cannot be cut off stays in it.
func (a *appender) append(batch []byte) []byte {
	if len(batch) == 0 {
		return batch
	}
	a.flushes++
	written, err := a.file.Write(batch) // until all is written or it fails; tries again after EINTR
	a.note("write to", err)
	a.bytes += uint64(written)
	a.torn += uint64(written)
	if end := bytes.LastIndexByte(batch[:written], '\n'); end >= 0 {
		a.torn = uint64(written - end - 1)
	}
	left := batch[written:]
	a.lost += uint64(bytes.Count(left, newline))
	rest := batch[:0]
	if a.torn > 0 && a.cut() != nil {
		a.lost-- // not yet
		rest = append(rest, left[:bytes.Index(left, newline)+1]...)
	} else {
		a.bytes -= a.torn
		a.torn = 0
	}
	if a.fsync {
		a.note("sync", a.file.Sync())
	}
	return rest
}

// cut takes the torn line off the file's end.
func (a *appender) cut() error {
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	return a.file.Truncate(info.Size() - int64(a.torn))
}

func (a *appender) note(doing string, err error) {
	if err != nil && a.err == nil {
		a.doing, a.err = doing, err
	}
}
