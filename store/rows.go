package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Rows are JSON with a version, so that a person can read a broken store. What
// the API must not show of an entity has its place in the row beside it.
type row[T any] struct {
	V      int    `json:"v"`
	Value  T      `json:"value"`
	Sealed string `json:"sealed,omitempty"` // a connection's credential
	// SealedProxies are a connection's proxies, as one list of texts in JSON.
	SealedProxies string `json:"sealed_proxies,omitempty"`
	Hash          string `json:"hash,omitempty"` // a key's hash, in hexadecimal digits
}

const rowVersion = 1

// row returns the stored form of the record as it is in s, under its new
// revision.
func (s *state) row(r Record, seal *sealer) ([]byte, error) {
	switch r := r.(type) {
	case *Node:
		return json.Marshal(row[Node]{V: rowVersion, Value: s.nodes[r.Name]})
	case *Connection:
		c := s.connections[r.ID]
		out := row[Connection]{V: rowVersion, Value: c}
		if c.APIKey.IsSet() {
			out.Sealed = seal.seal([]byte(c.APIKey.text), sealPlace(&c))
		}
		if len(c.Proxies) > 0 {
			list, err := json.Marshal(proxyTexts(c.Proxies))
			if err != nil {
				return nil, err
			}
			out.SealedProxies = seal.seal(list, sealPlace(&c)+proxiesPlace)
		}
		return json.Marshal(out)
	case *Alias:
		return json.Marshal(row[Alias]{V: rowVersion, Value: s.aliases[r.Name]})
	case *Combo:
		return json.Marshal(row[Combo]{V: rowVersion, Value: s.combos[r.Name]})
	case *Key:
		k := s.keys[r.ID]
		return json.Marshal(row[Key]{V: rowVersion, Value: k, Hash: hex.EncodeToString(k.Hash[:])})
	case *Setting:
		return json.Marshal(row[Setting]{V: rowVersion, Value: s.settings[r.Name]})
	}
	return nil, fmt.Errorf("not a record of this store")
}

// sealPlace binds a credential to its record at its revision.
func sealPlace(c *Connection) string {
	return c.RecordID() + "@" + strconv.FormatUint(c.Rev, 10)
}

// proxiesPlace follows the place of a connection's credential, so that neither
// opens in the place of the other.
const proxiesPlace = "#proxies"

func proxyTexts(proxies []Secret) []string {
	texts := make([]string, len(proxies))
	for i, p := range proxies {
		texts[i] = p.text
	}
	return texts
}

// openCredentials opens what is sealed in the row of a connection.
func openCredentials(r *row[Connection], seal *sealer) error {
	place := sealPlace(&r.Value)
	if r.Sealed != "" {
		secret, err := seal.open(r.Sealed, place)
		if err != nil {
			return err
		}
		r.Value.APIKey = NewSecret(string(secret))
	}
	if r.SealedProxies == "" {
		return nil
	}
	list, err := seal.open(r.SealedProxies, place+proxiesPlace)
	if err != nil {
		return err
	}
	var texts []string
	if err := json.Unmarshal(list, &texts); err != nil {
		return errSealed
	}
	for _, t := range texts {
		r.Value.Proxies = append(r.Value.Proxies, NewSecret(t))
	}
	return nil
}

// loadRow puts a stored row into the state.
func (s *state) loadRow(id string, text []byte, seal *sealer) error {
	table, key, _ := strings.Cut(id, "/")
	switch table {
	case "node":
		return load(s.nodes, key, text, nil)
	case "connection":
		return load(s.connections, key, text, func(r *row[Connection]) error { return openCredentials(r, seal) })
	case "alias":
		return load(s.aliases, key, text, nil)
	case "combo":
		return load(s.combos, key, text, nil)
	case "key":
		return load(s.keys, key, text, func(r *row[Key]) error {
			if n, err := hex.Decode(r.Value.Hash[:], []byte(r.Hash)); err != nil || n != len(r.Value.Hash) {
				return fmt.Errorf("its hash is damaged")
			}
			return nil
		})
	case "setting":
		return load(s.settings, key, text, nil)
	}
	return fmt.Errorf("unknown table")
}

func load[T any](table map[string]T, key string, text []byte, finish func(*row[T]) error) error {
	var r row[T]
	if err := json.Unmarshal(text, &r); err != nil || r.V != rowVersion {
		return fmt.Errorf("the row is damaged")
	}
	if finish != nil {
		if err := finish(&r); err != nil {
			return err
		}
	}
	table[key] = r.Value
	return nil
}
