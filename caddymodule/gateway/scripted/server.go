package scripted

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxKept bounds how many requests of a script are kept.
const maxKept = 1000

// A server is the upstream's process from within.
type server struct {
	shared  net.Listener
	refused net.Conn // holds a port on which nobody listens
	tls     *tls.Config

	mu      sync.Mutex
	scripts map[string]*script // by the segment of the path
}

// A script is what is played under a name.
type script struct {
	mu       sync.Mutex
	steps    []Step
	own      net.Listener // nil if it is played on the shared one
	count    int
	open     int
	requests []*Request
}

// serve obeys the commands that come in until they end.
func serve(in io.Reader, out io.Writer) error {
	s := &server{scripts: map[string]*script{}}
	var err error
	if s.tls, err = selfSigned(); err != nil {
		return err
	}
	if s.shared, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	// A port that a connection goes out from is taken, and yet nobody listens on it.
	if s.refused, err = net.Dial("tcp", s.shared.Addr().String()); err != nil {
		return err
	}
	go s.accept(s.shared, nil)
	lines, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c command
		if err := lines.Decode(&c); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		r, err := s.obey(c)
		if err != nil {
			r.Err = err.Error()
		}
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
}

func (s *server) obey(c command) (r reply, err error) {
	if c.Op == opHello {
		return r, nil
	}
	segment := segment(c.Name)
	if c.Op == opScript {
		return r, s.set(segment, c.Steps)
	}
	sc := s.script(segment)
	if sc == nil {
		return r, errors.New("no such script")
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	switch c.Op {
	case opURL:
		scheme, address := "http://", s.shared.Addr()
		if sc.own != nil {
			address = sc.own.Addr()
		}
		if sc.steps[0].TLS != "" {
			scheme = "https://"
		}
		if sc.steps[0].Refused {
			address = s.refused.LocalAddr()
		}
		r.URL = scheme + address.String() + "/" + segment
	case opRequests:
		for _, q := range sc.requests {
			r.Requests = append(r.Requests, *q)
		}
	case opCount:
		r.Count, r.Open = sc.count, sc.open
	case opReset:
		sc.count, sc.requests = 0, nil
	default:
		return r, fmt.Errorf("no operation %q", c.Op)
	}
	return r, nil
}

// set puts a script in place. It keeps its listener and what came for it.
func (s *server) set(segment string, steps []Step) error {
	if len(steps) == 0 {
		return errors.New("a script has at least one step")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := s.scripts[segment]
	if sc == nil {
		sc = &script{}
		s.scripts[segment] = sc
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.steps, sc.count, sc.requests = steps, 0, nil
	apart := steps[0].TLS != "" || slices.ContainsFunc(steps, func(st Step) bool { return st.opens() })
	if apart && sc.own == nil {
		own, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		sc.own = own
		go s.accept(own, sc)
	}
	return nil
}

func (s *server) script(segment string) *script {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.scripts[segment]
}

// segment is the part of the path that names a script: its name, if that can
// stand in a path as it is.
func segment(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, name)
	if clean == name && name != "" {
		return name
	}
	h := fnv.New32a()
	io.WriteString(h, name)
	return fmt.Sprintf("%s-%08x", clean, h.Sum32())
}

// begin takes the next step. With opening, only one that acts before there is a
// request.
func (sc *script) begin(opening bool) (*Step, *Request) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	i := min(sc.count, len(sc.steps)-1)
	if opening && !sc.steps[i].opens() {
		return nil, nil
	}
	sc.count++
	sc.open++
	q := &Request{Came: time.Now(), Step: i}
	if len(sc.requests) < maxKept {
		sc.requests = append(sc.requests, q)
	}
	step := sc.steps[i]
	return &step, q
}

// note changes what is known of a request.
func (sc *script) note(change func()) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	change()
}

// end is the end of a request, which may be told more than once.
func (sc *script) end(q *Request) {
	sc.note(func() {
		if q.Done.IsZero() {
			q.Done = time.Now()
			sc.open--
		}
	})
}

func (s *server) accept(l net.Listener, own *script) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go s.converse(conn.(*net.TCPConn), own)
	}
}

// converse serves one connection to its end.
func (s *server) converse(raw *net.TCPConn, own *script) {
	defer raw.Close()
	c := &connection{raw: raw, conn: raw}
	if own != nil && !c.open(s, own) {
		return
	}
	c.in = bufio.NewReader(c.conn)
	for {
		req, err := http.ReadRequest(c.in)
		if err != nil {
			if c.step != nil { // taken when the connection was accepted
				c.sc.end(c.record)
			}
			return
		}
		if !s.answer(c, req) {
			return
		}
	}
}

// open plays what comes before HTTP: the first step, if it is one of that, and TLS.
func (c *connection) open(s *server, sc *script) bool {
	step, q := sc.begin(true)
	if step != nil {
		c.sc, c.step, c.record = sc, step, q
		if step.TLS != "" && step.TLS != TLSUntrusted {
			defer sc.end(q)
			c.spoilTLS(step.TLS)
			return false
		}
		if c.at(Accept, 0) != nil {
			sc.end(q)
			return false
		}
	}
	sc.mu.Lock()
	secure := sc.steps[0].TLS != ""
	sc.mu.Unlock()
	if !secure {
		return true
	}
	if step == nil { // taken now, so that a handshake that fails counts before the client knows
		c.sc = sc
		c.step, c.record = sc.begin(false)
		q = c.record
	}
	conn := tls.Server(c.raw, s.tls)
	if err := conn.Handshake(); err != nil {
		sc.note(func() { q.Problem = err.Error() })
		sc.end(q)
		return false
	}
	c.conn = conn
	return true
}

// spoilTLS fails after the client's first message, so that it is one that was
// answered wrongly and not one that could not be sent.
func (c *connection) spoilTLS(how TLS) {
	var hello [4096]byte
	c.raw.Read(hello[:])
	switch how {
	case TLSGarbage:
		io.WriteString(c.raw, "220 mail.example.com ESMTP\r\n")
	case TLSStall:
		io.Copy(io.Discard, c.raw)
	}
}

// answer plays the next step for a request, and says whether the connection goes on.
func (s *server) answer(c *connection, req *http.Request) bool {
	name, rest, _ := strings.Cut(strings.TrimPrefix(req.URL.RequestURI(), "/"), "/")
	sc := s.script(name)
	if sc == nil {
		io.WriteString(c.conn, "HTTP/1.1 501 No Such Script\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return false
	}
	if c.step == nil {
		c.sc = sc
		c.step, c.record = sc.begin(false)
	}
	sc.note(func() { c.record.Method, c.record.Path, c.record.Header = req.Method, "/"+rest, req.Header })
	c.done, c.sent, c.left = 0, 0, nil
	err := c.play(req)
	c.unwatch()
	sc.end(c.record)
	c.step = nil
	return err == nil
}

// selfSigned makes a certificate that no authority has signed.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"http/1.1"}}, nil
}
