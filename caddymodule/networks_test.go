package caddymodule_test

import (
	"fmt"
	"net/http"
	"testing"
)

// Where a key may come from is judged by the client's address as the server knows
// it: that in X-Forwarded-For counts only if a trusted proxy says so.
func TestNetworksOfAKeyBehindAProxy(t *testing.T) {
	for name, c := range map[string]struct {
		trusted, networks, forwarded string
		want                         int
	}{
		"a trusted proxy, from within":      {"trusted_proxies static 127.0.0.1/32", "10.0.0.0/8", "10.1.2.3", 200},
		"a trusted proxy, from elsewhere":   {"trusted_proxies static 127.0.0.1/32", "10.0.0.0/8", "203.0.113.9", 403},
		"the proxy's own is not counted":    {"trusted_proxies static 127.0.0.1/32", "127.0.0.1", "203.0.113.9", 403},
		"anybody can write a header":        {"", "10.0.0.0/8", "10.1.2.3", 403},
		"without a proxy, the connection's": {"", "127.0.0.1", "10.1.2.3", 200},
	} {
		t.Run(name, func(t *testing.T) {
			servers := ""
			if c.trusted != "" {
				servers = "\tservers {\n\t\t" + c.trusted + "\n\t}\n"
			}
			s := run(t, fmt.Sprintf("%s\tnine_router {\n\t\tprovider demo\n\t\tkey test %s {\n\t\t\tnetworks %s\n\t\t}\n\t}", servers, key, c.networks), "nine_router")
			req, _ := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+s.port+"/v1/models", nil)
			req.Header.Set("Authorization", "Bearer "+key)
			req.Header.Set("X-Forwarded-For", c.forwarded)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("status %d, want %d", resp.StatusCode, c.want)
			}
		})
	}
}
