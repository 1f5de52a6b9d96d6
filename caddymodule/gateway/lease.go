package gateway

import (
	"errors"
	"io"
	"math/bits"
	"net/http"
	"sync"
)

// A lease is memory for the body of one exchange, which another exchange gets when
// this one is over. Transports may read a request's body for longer than the
// exchange lasts; from then on they read nothing any more.
type lease struct {
	mu     sync.RWMutex
	ended  bool
	memory []byte
}

// Memory is lent in sizes of powers of two between these. What is smaller costs
// next to nothing to make, what is larger is rare.
const (
	leastLent = 15 // 32 KiB
	mostLent  = 23 // 8 MiB
)

var lent [mostLent + 1]sync.Pool

// errEnded is what a transport gets that reads on.
var errEnded = errors.New("the exchange is over")

// need returns the memory with room for at least n bytes, and what was in it.
func (l *lease) need(n int) []byte {
	if n <= cap(l.memory) {
		return l.memory
	}
	old := l.memory
	l.memory = append(borrow(n), old...)
	giveBack(old)
	return l.memory
}

// end gives the memory back. Nothing of it may be used any more.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		giveBack(l.memory)
		l.memory = nil
	}
}

func borrow(n int) []byte {
	class := bits.Len(uint(n - 1))
	if class < leastLent || class > mostLent {
		return make([]byte, 0, n)
	}
	if p, ok := lent[class].Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, 1<<class)
}

func giveBack(b []byte) {
	n := cap(b)
	if class := bits.Len(uint(n - 1)); n == 1<<class && class >= leastLent && class <= mostLent {
		kept := b // so that b itself does not escape
		lent[class].Put(&kept)
	}
}

// guard has the request's body read only while the lease lasts.
func (l *lease) guard(req *http.Request) {
	if req.Body == nil || cap(l.memory) < 1<<leastLent {
		return // nobody else will get it
	}
	req.Body = &leased{req.Body, l}
	if again := req.GetBody; again != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			b, err := again()
			if err != nil {
				return nil, err
			}
			return &leased{b, l}, nil
		}
	}
}

type leased struct {
	io.ReadCloser
	lease *lease
}

// Read implements io.Reader.
func (r *leased) Read(p []byte) (int, error) {
	r.lease.mu.RLock()
	defer r.lease.mu.RUnlock()
	if r.lease.ended {
		return 0, errEnded
	}
	return r.ReadCloser.Read(p)
}
