package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

var (
	plainChat = row{name: "a first answer", path: "/v1/chat/completions", body: `{"model":"up/m","messages":[{"role":"user","content":"hello"}]}`}
	stream    = row{name: "a stream", path: "/v1/chat/completions", body: `{"model":"up/m","messages":[{"role":"user","content":"hello"}],"stream":true}`}
	slow      = row{name: "a slow stream", path: "/v1/chat/completions", body: `{"model":"up/m","messages":[{"role":"user","content":"slow"}],"stream":true}`}
)

// openStreams is how many slow streams are open at a time.
const openStreams = 1000

// perStream returns how much memory a slow stream takes, in KiB.
func perStream(p proxy) (float64, error) {
	client := newClient(openStreams)
	defer client.CloseIdleConnections()
	before, err := p.memory()
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	errs := make(chan error, openStreams)
	done := make(chan struct{})
	var begun sync.WaitGroup
	for range openStreams {
		begun.Add(1)
		wg.Go(func() {
			first := sync.OnceFunc(begun.Done)
			defer first()
			resp, err := post(client, p.url, slow)
			if err != nil {
				errs <- err
				return
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				errs <- fmt.Errorf("%s answered %d", slow.name, resp.StatusCode)
				return
			}
			b := make([]byte, 4<<10)
			for {
				if _, err := resp.Body.Read(b); err != nil {
					errs <- fmt.Errorf("%s broke off: %w", slow.name, err)
					return
				}
				first()
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	begun.Wait()
	time.Sleep(5 * time.Second) // of streaming, so that what it takes has settled
	after, err := p.memory()
	close(done)
	wg.Wait()
	if err != nil {
		return 0, err
	}
	select {
	case err := <-errs:
		return 0, err
	default:
		return float64(after-before) / openStreams, nil
	}
}

// untilContent returns how long a stream's first bytes take, in the middle, in
// milliseconds.
func untilContent(url string, d time.Duration) (float64, error) {
	client := newClient(1)
	defer client.CloseIdleConnections()
	var all []time.Duration
	b := make([]byte, 64<<10)
	for end := time.Now().Add(d); time.Now().Before(end) || len(all) < 10; {
		began := time.Now()
		resp, err := post(client, url, stream)
		if err != nil {
			return 0, err
		}
		_, err = resp.Body.Read(b)
		all = append(all, time.Since(began))
		for err == nil {
			_, err = resp.Body.Read(b)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("%s answered %d", stream.name, resp.StatusCode)
		}
	}
	slices.Sort(all)
	return all[len(all)/2].Seconds() * 1000, nil
}
