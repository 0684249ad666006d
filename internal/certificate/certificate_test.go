package certificate

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"housing/internal/certificate/certificatetest"
	"housing/internal/follow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serial(t *testing.T, k *Keeper) int64 {
	t.Helper()
	c, err := k.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.SerialNumber.Int64()
}

// TestTheSwapOfALink is what Kubernetes does: the files are links through a
// link to a folder, and that link is renamed.
func TestTheSwapOfALink(t *testing.T) {
	dir := t.TempDir()
	soon := time.Now().Add(time.Hour)
	for i, name := range []string{"first", "second"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		certificatetest.Write(t, filepath.Join(dir, name), "tls", int64(i+1), soon)
	}
	link := func(to string) {
		if err := os.Symlink(to, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	link("first")
	k, err := Load(filepath.Join(dir, "..data", "tls.crt"), filepath.Join(dir, "..data", "tls.key"))
	if err != nil || serial(t, k) != 1 {
		t.Fatal(err)
	}
	reports := make(chan error)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		follow.Source{Read: k.Read, Apply: k.Set}.Follow(ctx, time.Millisecond, k.Loaded(), func(err error) { reports <- err })
	}()
	link("second")
	if err := <-reports; err != nil || serial(t, k) != 2 {
		t.Errorf("after the swap: serial %d, %v", serial(t, k), err)
	}
	// A pair that does not fit, and one that is gone, keep the one of before;
	// each is told once.
	certificatetest.Write(t, filepath.Join(dir, "first"), "other", 3, soon)
	if err := os.Rename(filepath.Join(dir, "first", "other.key"), filepath.Join(dir, "first", "tls.key")); err != nil {
		t.Fatal(err)
	}
	link("first")
	if err := <-reports; err == nil || serial(t, k) != 2 {
		t.Errorf("a broken pair: serial %d, %v", serial(t, k), err)
	}
	link("nowhere")
	if err := <-reports; err == nil || serial(t, k) != 2 {
		t.Errorf("no pair: serial %d, %v", serial(t, k), err)
	}
	certificatetest.Write(t, filepath.Join(dir, "first"), "tls", 4, soon)
	link("first")
	if err := <-reports; err != nil || serial(t, k) != 4 || !k.NotAfter().Equal(soon.UTC().Truncate(time.Second)) {
		t.Errorf("a good pair: serial %d, %v", serial(t, k), err)
	}
	stop()
	<-done
}

func TestPairsThatAreNotTaken(t *testing.T) {
	dir := t.TempDir()
	good := certificatetest.Write(t, dir, "good", 1, time.Now().Add(time.Hour))
	old := certificatetest.Write(t, dir, "old", 2, time.Now().Add(-time.Hour))
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, pair := range map[string]certificatetest.Pair{
		"expired": old, "no such file": {Cert: filepath.Join(dir, "none"), Key: good.Key}, "private key": {Cert: good.Cert, Key: old.Key},
		"larger than": {Cert: large, Key: good.Key}, "failed to find": {Cert: good.Key, Key: good.Cert},
	} {
		if _, err := Load(pair.Cert, pair.Key); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q: %v", says, err)
		}
	}
	for file, want := range map[string]bool{good.Key: false, good.Cert: true} {
		text, err := Read(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Require(&tls.Config{}, text); (err == nil) != want {
			t.Errorf("%s for those that sign: %v", file, err)
		}
	}
}
