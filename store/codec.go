package store

import (
	"encoding/binary"
	"errors"
	"time"
)

// bookVersion is the first byte of an exchange in the books. A later version
// only adds fields at the end: the first had no price, no cost and no trace.
const bookVersion = 2

// MaxTrace is how long the trace of an exchange may be, in bytes. A longer one is
// left out of the books, which count the exchange all the same.
const MaxTrace = 64 << 10

var errBook = errors.New("an entry of the books is damaged")

// appendExchange appends the compact form of e: its numbers as varints and its
// texts with their length in front, in a fixed order.
func appendExchange(b []byte, e *Exchange) []byte {
	b = append(b, bookVersion)
	for _, s := range e.texts() {
		b = binary.AppendUvarint(b, uint64(len(*s)))
		b = append(b, *s...)
	}
	b = binary.AppendVarint(b, e.Began.UnixNano())
	b = append(b, flag(e.Stream)|flag(e.UsageReported)<<1|flag(e.Priced)<<2)
	for _, n := range e.numbers() {
		b = binary.AppendVarint(b, n)
	}
	trace := e.Trace
	if len(trace) > MaxTrace {
		trace = nil
	}
	b = binary.AppendUvarint(b, uint64(len(trace)))
	return append(b, trace...)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (e *Exchange) texts() [12]*string {
	return [...]*string{&e.ID, &e.KeyID, &e.Operation, &e.ClientFormat, &e.Requested, &e.Provider, &e.Model,
		&e.ConnectionID, &e.ProviderFormat, (*string)(&e.Outcome), &e.Scope, &e.Reason}
}

// firstNumbers is how many of the numbers the first version has.
const firstNumbers = 12

func (e *Exchange) numbers() [firstNumbers + 5]int64 {
	return [...]int64{int64(e.Attempts), int64(e.Status), e.Input, e.CacheRead, e.CacheWrite, e.Output, e.Reasoning,
		int64(e.Losses), int64(e.FirstContent), int64(e.Duration), e.BytesIn, e.BytesOut,
		int64(e.Price.Input), int64(e.Price.Output), int64(e.Price.CacheRead), int64(e.Price.CacheWrite), int64(e.Cost)}
}

// decodeExchange reads what appendExchange wrote, and what earlier versions of it
// did. The trace is a part of b.
func decodeExchange(b []byte, e *Exchange) error {
	if len(b) == 0 || b[0] == 0 {
		return errBook
	}
	version := b[0]
	b = b[1:]
	*e = Exchange{}
	for _, s := range e.texts() {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return errBook
		}
		*s, b = string(b[size:size+int(n)]), b[size+int(n):]
	}
	began, size := binary.Varint(b)
	if size <= 0 || len(b) == size {
		return errBook
	}
	e.Began = time.Unix(0, began)
	e.Stream, e.UsageReported = b[size]&1 != 0, b[size]&2 != 0
	e.Priced = version > 1 && b[size]&4 != 0
	b = b[size+1:]
	numbers := e.numbers()
	known := len(numbers)
	if version == 1 {
		known = firstNumbers
	}
	for i := range known {
		n, size := binary.Varint(b)
		if size <= 0 {
			return errBook
		}
		numbers[i], b = n, b[size:]
	}
	e.Attempts, e.Status = int(numbers[0]), int(numbers[1])
	e.Input, e.CacheRead, e.CacheWrite, e.Output, e.Reasoning = numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]
	e.Losses, e.FirstContent, e.Duration = int(numbers[7]), time.Duration(numbers[8]), time.Duration(numbers[9])
	e.BytesIn, e.BytesOut = numbers[10], numbers[11]
	if version == 1 {
		return nil
	}
	e.Price = Price{Money(numbers[12]), Money(numbers[13]), Money(numbers[14]), Money(numbers[15])}
	e.Cost = Money(numbers[16])
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) || n > MaxTrace {
		return errBook
	}
	if n > 0 {
		e.Trace = b[size : size+int(n)]
	}
	return nil
}
