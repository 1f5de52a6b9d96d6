package egress_test

import (
	"strings"
	"testing"

	. "github.com/nine-router/nine-router/caddymodule/provider/egress"
)

func TestBaseURLsInOneForm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://api.example.com/v1":      "https://api.example.com/v1",
		"https://API.Example.COM/v1///":   "https://api.example.com/v1",
		"HTTP://localhost:11434":          "http://localhost:11434",
		"http://127.0.0.1:8000/v1/":       "http://127.0.0.1:8000/v1",
		"http://[::1]:8000":               "http://[::1]:8000",
		"http://[0:0::1]/v1":              "http://[::1]/v1",
		"https://bücher.example/v1":       "https://xn--bcher-kva.example/v1",
		"https://ｅｘａｍｐｌｅ.com/v1":          "https://example.com/v1",
		"http://127。0。0。1/v1":             "http://127.0.0.1/v1",
		"http://my_server:8000":           "http://my_server:8000",
		"http://10.0.0.1/v1":              "http://10.0.0.1/v1",
		"https://x.example/a%2Fb/v1":      "https://x.example/a%2Fb/v1",
		"https://x.example:65535/openai…": "https://x.example:65535/openai%E2%80%A6",
		"https://2.example.com":           "https://2.example.com",
	} {
		u, err := ParseBase(in)
		if err != nil || u.String() != want {
			t.Errorf("%s: %v %v, want %s", in, u, err, want)
		}
	}
}

func TestBaseURLsThatAreRefused(t *testing.T) {
	t.Parallel()
	for what, urls := range map[string]string{
		"begin with http":     "ftp://x file:///etc/passwd gopher://x //x/v1 x.example:80 unix:/run/x javascript:alert(1) x",
		"names no host":       "http:// http:///v1 http:x.example https:",
		"no user, query":      "http://u@x http://u:hunter2@x/v1 http://@x http://x/?a=b http://x/? http://x/#f http://x/# http://a#@b/",
		"backslash":           `http://x/a\b`,
		"cannot be parsed":    `http://x\@y/ http://x:abc http://[::1 http://[::1]x http://a%zz/ http://a%20b/ http://a%00b http://-%2f`,
		"a port that is not":  "http://x:0 http://x:65536 http://x:99999999999 http://127.0.0.1:0/v1",
		"a colon but no port": "http://x: http://x:/v1 http://[::1]:",
		"a zone":              "http://[fe80::1%25eth0]/ http://[::1%25lo]:80",
		"is a number":         "http://2130706433/ http://0x7f000001 http://0x7f.1 http://127.1 http://0177.0.0.1 http://127.0.0.1. http://0x7f.0.0.0x1 http://1.2.3.4.5 http://①②⑦.1 http://127.0.0.01",
		"host name that is":   "http://a..b http://.x http://a,b http://x!y http://\u202ex",
		"link-local":          "http://169.254.169.254/latest http://[fe80::1]/ http://[::ffff:169.254.169.254] http://metadata.google.internal http://METADATA.google.internal./v1 http://100.100.100.200 http://168.63.129.16 http://192.0.0.192 http://[fd00:ec2::254]/ http://[64:ff9b::a9fe:a9fe] http://[2002:a9fe:a9fe::]",
		"unspecified":         "http://0.0.0.0:80 http://[::]/",
		"multicast":           "http://224.0.0.1 http://[ff02::1]",
		"reserved":            "http://240.0.0.1 http://255.255.255.255 http://0.1.2.3 http://[::7f00:1]",
		". or ..":             "http://x/../y http://x/v1/.. http://x/./v1 http://x/%2e%2e/v1",
	} {
		for _, in := range strings.Fields(urls) {
			if u, err := ParseBase(in); err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: %v %v, want an error with %q", in, u, err, what)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the error quotes the password", in)
			}
		}
	}
	if _, err := ParseBase("http://x/" + strings.Repeat("a", 4096)); err == nil {
		t.Error("a URL without end was taken")
	}
}

func TestProxyURLs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"socks5://u:hunter2@127.0.0.1:1080": "socks5://u:hunter2@127.0.0.1:1080",
		"socks5h://proxy.example":           "socks5h://proxy.example",
		"http://PROXY.example:3128/":        "http://proxy.example:3128",
		"https://proxy.example":             "https://proxy.example",
	} {
		if u, err := ParseProxy(in); err != nil || u.String() != want {
			t.Errorf("%s: %v %v", in, u, err)
		}
	}
	for _, in := range []string{
		"socks4://u:hunter2@x", "u:hunter2@x:1", "http://u:hunter2@x/path", "http://u:hunter2@x?a", "http://u:hunter2@x#", "http://u:hunter2@x:0",
		"http://u:hunter2@", "http://u:hunter2@169.254.169.254", "http://u:hunter2@0x7f.1", "http://u:hunter2@x:port", "http://u:hunter2@%zz", "none",
		"http://u:hunter2\x00@x",
	} {
		if u, err := ParseProxy(in); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v %v", in, u, err)
		}
	}
}

func TestHostsThatLookPrivate(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "localhost.": true, "a.localhost": true, "127.0.0.1": true, "::1": true, "10.1.2.3": true,
		"notlocalhost": false, "localhost.example.com": false, "": false, "example.com": false, "8.8.8.8": false, "169.254.169.254": false,
		"0.0.0.0": false, "ollama": false, "10.example.com": false,
	} {
		if LooksPrivate(host) != want {
			t.Errorf("LooksPrivate(%q) is %v", host, !want)
		}
	}
	if LooksLocal("10.1.2.3") || !LooksLocal("127.0.0.2") || !LooksLocal("x.localhost") {
		t.Error("LooksLocal takes a private address for this machine, or not this machine for itself")
	}
}
