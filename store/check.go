package store

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Bounds of what is stored, in bytes, so that a database never has to refuse a
// value (its words would quote it).
const (
	maxName   = 200
	maxText   = 8 << 10
	maxModels = 2000
	maxSecret = 64 << 10

	maxProxies = 16
	maxProxy   = 2 << 10
	maxWeight  = 1_000_000
)

func bounded(limit int, texts ...string) error {
	for _, t := range texts {
		if len(t) > limit {
			return fmt.Errorf("a text of %d bytes is longer than the %d that are allowed", len(t), limit)
		}
	}
	return nil
}

func checkModels(models []string) error {
	if len(models) > maxModels {
		return fmt.Errorf("%d models are more than the %d that are allowed", len(models), maxModels)
	}
	return bounded(2*maxName, models...)
}

func checkNode(n *Node) error {
	for k, v := range n.Headers {
		if err := bounded(maxText, k, v); err != nil {
			return err
		}
	}
	if len(n.Headers) > 50 {
		return fmt.Errorf("%d headers are more than the 50 that are allowed", len(n.Headers))
	}
	if err := bounded(maxText, n.BaseURL, n.Prefix, n.Format); err != nil {
		return err
	}
	return checkModels(n.Models)
}

func checkConnection(c *Connection) error {
	if err := bounded(maxName, c.Name, c.Provider); err != nil {
		return err
	}
	if err := bounded(maxSecret, c.APIKey.text); err != nil {
		return err
	}
	if c.MaxConcurrent < 0 {
		return fmt.Errorf("max_concurrent is %d, less than nothing", c.MaxConcurrent)
	}
	if len(c.Proxies) > maxProxies {
		return fmt.Errorf("%d proxies are more than the %d that are allowed", len(c.Proxies), maxProxies)
	}
	for i, p := range c.Proxies {
		if err := CheckProxy(p); err != nil {
			return fmt.Errorf("proxy %d: %w", i+1, err)
		}
	}
	return checkModels(c.Models)
}

// CheckProxy says what is wrong with the URL of a proxy, without a word of it, for
// it may hold a password.
func CheckProxy(proxy Secret) error {
	if err := bounded(maxProxy, proxy.text); err != nil {
		return err
	}
	u, err := url.Parse(proxy.text)
	if err != nil {
		return errors.New("not a URL")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return errors.New("the URL of a proxy begins with http://, https://, socks5:// or socks5h://")
	}
	if u.Hostname() == "" {
		return errors.New("the URL of a proxy needs a host")
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the URL of a proxy ends after its host and port")
	}
	return nil
}

func checkCombo(c *Combo) error {
	if err := checkModels(c.Models); err != nil {
		return err
	}
	if len(c.Weights) > len(c.Models) {
		return fmt.Errorf("%d weights for %d models", len(c.Weights), len(c.Models))
	}
	for _, w := range c.Weights {
		if w < 0 || w > maxWeight {
			return fmt.Errorf("the weight %d is not between 0 and %d", w, maxWeight)
		}
	}
	if c.Sticky < 0 {
		return fmt.Errorf("sticky is %d, less than nothing", c.Sticky)
	}
	if c.Deadline < 0 {
		return fmt.Errorf("the deadline is %s, less than nothing", c.Deadline)
	}
	return bounded(maxName, c.Strategy)
}

func checkKey(k *Key) error {
	if err := bounded(maxName, k.Name, k.Hint); err != nil {
		return err
	}
	return k.Limits.Check()
}
