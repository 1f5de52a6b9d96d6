package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/store/storetest"
)

// childDir names the directory in which this binary, run by the test of a kill,
// writes until it is killed.
const childDir = "NINE_ROUTER_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeForEver(dir)
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

func open(t testing.TB, dir, key string) *store.Badger {
	t.Helper()
	s, err := store.OpenBadger(context.Background(), store.BadgerOptions{Dir: dir, EncryptionKey: store.NewSecret(key)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMemoryKeepsThePromises(t *testing.T) {
	t.Parallel()
	storetest.Run(t, false, func(*testing.T) (store.Store, func() store.Store) { return store.NewMemory(), nil })
}

func TestBadgerKeepsThePromises(t *testing.T) {
	t.Parallel()
	storetest.Run(t, true, func(t *testing.T) (store.Store, func() store.Store) {
		dir := t.TempDir()
		return open(t, dir, ""), func() store.Store { return open(t, dir, "") }
	})
}

func writeForEver(dir string) {
	s, err := store.OpenBadger(context.Background(), store.BadgerOptions{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for worker := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("e-%d-%d", worker, i)
				e := &store.Exchange{
					ID: id, Began: time.Unix(int64(i)*600, int64(worker)), KeyID: fmt.Sprint("k-", i%3), Outcome: store.Finished,
					Input: int64(i), Output: int64(worker), Cost: store.Money(i * worker),
				}
				if s.Record(context.Background(), e) == nil {
					fmt.Println(id)
				}
			}
		}()
	}
	for i := 0; ; i++ {
		k := &store.Key{ID: fmt.Sprint("k-", i), Name: fmt.Sprint("k-", i)}
		c := &store.Connection{ID: fmt.Sprint("c-", i), Provider: "p", Name: fmt.Sprint(i), APIKey: store.NewSecret(fmt.Sprint("secret-", i))}
		if _, err := s.Apply(context.Background(), store.Put(k), store.Put(c)); err == nil {
			fmt.Println(k.ID)
		}
	}
}

// What was acknowledged is there after kill -9, and counted.
func TestAKillLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	keys, killed := 0, false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		id := lines.Text()
		acknowledged[id] = true
		if strings.HasPrefix(id, "k-") {
			keys++
		}
		if !killed && keys >= 20 && len(acknowledged) > 2000 {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Wait()
	s := open(t, dir, "")
	defer s.Close()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range snap.Keys {
		delete(acknowledged, k.ID)
	}
	for _, c := range snap.Connections {
		if want := "secret-" + strings.TrimPrefix(c.ID, "c-"); c.APIKey.Reveal() != want {
			t.Errorf("%s has another secret", c.ID)
		}
	}
	if len(snap.Keys) != len(snap.Connections) {
		t.Errorf("%d keys and %d connections were written together", len(snap.Keys), len(snap.Connections))
	}
	n := 0
	err = s.Exchanges(t.Context(), time.Unix(0, 0), time.Unix(1<<31, 0), func(e *store.Exchange) bool {
		n++
		delete(acknowledged, e.ID)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(acknowledged) > 0 || n < 1000 {
		t.Errorf("%d acknowledged records are missing, %d exchanges found", len(acknowledged), n)
	}
	storetest.Agree(t, s)
}

func TestNoSecretIsInTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, "")
	const secret = "a-secret-that-must-not-be-found"
	if _, err := s.Apply(t.Context(), store.Put(&store.Connection{ID: "c", Provider: "findable-provider", Name: "n", APIKey: store.NewSecret(secret), Proxies: []store.Secret{store.NewSecret("http://user:" + secret + "@host")}})); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	found := false
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the secret is in %s", e.Name())
		}
		found = found || bytes.Contains(b, []byte("findable-provider"))
		return err
	})
	if err != nil || !found {
		t.Errorf("the search does not work: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "master.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("master.key: %v %v", info, err)
	}
}

func TestKeysThatDoNotFit(t *testing.T) {
	t.Parallel()
	try := func(dir, key string) error {
		s, err := store.OpenBadger(t.Context(), store.BadgerOptions{Dir: dir, EncryptionKey: store.NewSecret(key)})
		if err == nil {
			s.Close()
		}
		return err
	}
	dir := t.TempDir()
	const key = "an encryption key of the user"
	if err := open(t, dir, key).Close(); err != nil {
		t.Fatal(err)
	}
	if err := try(dir, "another key of the user"); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	if err := try(dir, ""); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("no key: %v", err)
	}
	if err := try(dir, "short"); err == nil {
		t.Error("a short key was taken")
	}
	if err := try(dir, key); err != nil {
		t.Error(err)
	}
	own := t.TempDir()
	if err := open(t, own, "").Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(own, "master.key")); err != nil {
		t.Fatal(err)
	}
	if err := try(own, ""); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("a lost key file: %v", err)
	}
}

func TestAStoreInUseIsSaidToBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, "")
	defer s.Close()
	_, err := store.OpenBadger(t.Context(), store.BadgerOptions{Dir: dir})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "caddy reload") {
		t.Errorf("got %v", err)
	}
}

func TestLargestRowsFit(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), "")
	defer s.Close()
	c := &store.Connection{ID: "c", Provider: "p", Name: "n", APIKey: store.NewSecret(strings.Repeat("s", 64<<10)), Models: make([]string, 2000)}
	for i := range c.Models {
		c.Models[i] = strings.Repeat("m", 100)
	}
	if _, err := s.Apply(t.Context(), store.Put(c)); err != nil {
		t.Error(err)
	}
	c.APIKey = store.NewSecret(strings.Repeat("s", 64<<10+1))
	if _, err := s.Apply(t.Context(), store.Put(c)); err == nil || strings.Contains(err.Error(), "sss") {
		t.Errorf("got %v", err)
	}
	big := strings.Repeat("x", 8<<10)
	if err := s.Record(t.Context(), &store.Exchange{ID: big, Requested: big, Provider: big, Model: big, Reason: big}); err != nil {
		t.Error(err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		secret, hint := store.NewKey()
		if len(secret) != 52 || seen[secret] || store.CheckKey(secret) != nil || strings.Contains(secret, hint) {
			t.Fatalf("%s %s", secret, hint)
		}
		seen[secret] = true
		typo := []byte(secret)
		if typo[10]++; store.CheckKey(string(typo)) == nil {
			t.Fatalf("a typo was taken: %s", typo)
		}
	}
	for _, bad := range []string{"", "short", "change-me-change-me-change-me", "with space in it 0123456789", strings.Repeat("x", 600)} {
		if store.CheckKey(bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	s := open(b, b.TempDir(), "")
	defer s.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		e := &store.Exchange{Requested: "demo/echo", Provider: "demo", Model: "echo", KeyID: "key_1", Input: 100, Cost: 5, Outcome: store.Finished}
		for pb.Next() {
			e.ID, e.Began = store.NewID("nrx"), time.Now()
			if err := s.Record(context.Background(), e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUsedSince(b *testing.B) {
	m := store.NewMemory()
	defer m.Close()
	for i := range 31 {
		if err := m.Record(context.Background(), &store.Exchange{ID: fmt.Sprint(i), KeyID: "k", Began: time.Now().AddDate(0, 0, -i)}); err != nil {
			b.Fatal(err)
		}
	}
	month := time.Now().AddDate(0, 0, -31)
	b.ReportAllocs()
	for b.Loop() {
		m.UsedSince("k", month)
	}
}

func BenchmarkHash(b *testing.B) {
	h := store.NewHasher(make([]byte, 32))
	b.ReportAllocs()
	for b.Loop() {
		h.Hash("nr-0123456789012345678901234567890123456789")
	}
}
