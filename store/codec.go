package store

import (
	"encoding/binary"
	"errors"
	"time"
)

// bookVersion is the first byte of an exchange in the books. A later version
// only adds fields at the end.
const bookVersion = 1

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
	b = append(b, flag(e.Stream)|flag(e.UsageReported)<<1)
	for _, n := range e.numbers() {
		b = binary.AppendVarint(b, n)
	}
	return b
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

func (e *Exchange) numbers() [12]int64 {
	return [...]int64{int64(e.Attempts), int64(e.Status), e.Input, e.CacheRead, e.CacheWrite, e.Output, e.Reasoning,
		int64(e.Losses), int64(e.FirstContent), int64(e.Duration), e.BytesIn, e.BytesOut}
}

// decodeExchange reads what appendExchange wrote.
func decodeExchange(b []byte, e *Exchange) error {
	if len(b) == 0 || b[0] < bookVersion {
		return errBook
	}
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
	b = b[size+1:]
	var numbers [12]int64
	for i := range numbers {
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
	return nil
}
