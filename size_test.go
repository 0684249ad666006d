package housing

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxProgramBytes is how large the stripped program for linux/amd64 may be,
// and with it the image, which has nothing else.
const maxProgramBytes = 30_000_000

// TestTheProgramIsSmall builds the program as a release is. A function that looks methods up by names that are not known when
// it is linked, as text/template does, makes the linker keep every method of
// every type: 17 MB of the clients of Redis and S3 alone.
func TestTheProgramIsSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "housing")
	if out, err := exec.Command("make", "-s", "program", "ARCH=amd64", "PROGRAM="+path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() <= maxProgramBytes {
		return
	}
	t.Errorf("the program has %d bytes, more than %d: see docs/decisions/036-a-program-without-unknown-methods.md", info.Size(), maxProgramBytes)
	out, err := exec.Command("go", "build", "-ldflags", "-s -w -dumpdep", "-o", path, "./cmd/housing").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	calls := regexp.MustCompile(`(?m)^(\S+) -> (\S+) <ReflectMethod>$`).FindAllString(string(out), -1)
	slices.Sort(calls)
	t.Logf("who calls what looks methods up by names that are not known:\n%s", strings.Join(slices.Compact(calls), "\n"))
}
