package caddymodule_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Clients that never finish what they send keep nobody else waiting, take no place
// at a provider, and are cut off by Caddy's own limits of time. With SOAK=1 there are
// 1,000 of them, and the test waits until they are gone.
func TestSlowClientsHoldNobodyUp(t *testing.T) {
	n, soak := 100, os.Getenv("SOAK") != ""
	if soak {
		n = 1000
	}
	s := run(t, declared, "nine_router")
	ask := func() time.Duration {
		began := time.Now()
		req, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1:"+s.port+"/v1/chat/completions", strings.NewReader(`{"model":"demo/echo","messages":[{"role":"user","content":"hello"}]}`))
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
			t.Fatalf("a quick client got %d %s", resp.StatusCode, b)
		}
		return time.Since(began)
	}
	slowest := func() (d time.Duration) {
		for range 100 {
			d = max(d, ask())
		}
		return d
	}
	ask()
	alone := slowest()
	began := time.Now()
	var all sync.WaitGroup
	for i := range n {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		head := "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:" + s.port + "\r\nAuthorization: Bearer " + key + "\r\n"
		if i%2 == 0 {
			head += "Content-Length: 1000000\r\n\r\n{\"model\":"
		}
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if took := time.Since(began); err == nil && resp.StatusCode < 400 {
				b, _ := io.ReadAll(resp.Body)
				t.Errorf("a slow client got %d %v %s", resp.StatusCode, resp.Header, b)
			} else if soak && took > 65*time.Second {
				t.Errorf("a slow client was cut off after %v", took)
			}
		})
	}
	t.Logf("the slowest of 100 took %v alone, %v beside %d slow clients", alone, slowest(), n)
	if soak {
		all.Wait()
	}
}
