package deploy_test

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maxImageBytes is how large our own layers may be, unpacked.
const maxImageBytes = 30_000_000

// baseImage is what the Dockerfile builds upon.
const baseImage = "gcr.io/distroless/static-debian12:nonroot"

// TestImage builds the image and holds what it promises.
func TestImage(t *testing.T) {
	needsEngine(t)
	command(t, "../..", "make", "images")
	name := "housing-api:" + setting(t, "VERSION")
	var images []struct {
		Size   int64
		Config struct {
			User        string
			Entrypoint  []string
			Env         []string
			Labels      map[string]string
			Healthcheck struct{ Test []string }
		}
		RootFS struct{ Layers []string }
	}
	if err := json.Unmarshal([]byte(docker(t, "image", "inspect", name, baseImage)), &images); err != nil || len(images) != 2 {
		t.Fatalf("%v: %d images", err, len(images))
	}
	image, base := images[0], images[1]
	own := image.Size - base.Size
	t.Logf("our own layers have %d bytes in %d, the base %d", own, len(image.RootFS.Layers)-len(base.RootFS.Layers), base.Size)
	if own > maxImageBytes {
		t.Errorf("our own layers have %d bytes, more than %d", own, maxImageBytes)
	}
	c := &image.Config
	if c.User != "65532:65532" || strings.Join(c.Healthcheck.Test, " ") != "CMD /housing healthcheck" {
		t.Errorf("user %q, health check %q", c.User, c.Healthcheck.Test)
	}
	for label, want := range map[string]string{"title": "housing", "version": setting(t, "VERSION"), "licenses": "Apache-2.0"} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	if got := c.Labels["org.opencontainers.image.revision"]; got != command(t, "../..", "git", "rev-parse", "--short=12", "HEAD") {
		t.Errorf("the revision is %q", got)
	}
	if out, err := try("", "docker", "run", "--rm", "--entrypoint", "/bin/sh", name, "-c", "true"); err == nil {
		t.Errorf("there is a shell: %s", out)
	}
	if out, err := try("", "docker", "run", "--rm", name); err == nil || !strings.Contains(out, "ALLOW_ANONYMOUS=true") {
		t.Errorf("it lets anyone in without being told to: %s", out)
	}
	restrained := []string{"--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "256m"}
	if out := docker(t, append(append([]string{"run", "--rm"}, restrained...), name, "version")...); !strings.Contains(out, "housing "+setting(t, "VERSION")) {
		t.Errorf("version says %s", out)
	}
	id := docker(t, append(append([]string{"run", "-d", "-e", "ALLOW_ANONYMOUS=true"}, restrained...), name)...)
	t.Cleanup(func() { docker(t, "rm", "-f", id) })
	untilHealthy(t, id)

	// The program is the release's, to the byte.
	dir := t.TempDir()
	docker(t, "cp", id+":/housing", filepath.Join(dir, "housing"))
	command(t, "../..", "make", "program")
	if sum(t, filepath.Join(dir, "housing")) != sum(t, "../../dist/housing-linux-amd64") {
		t.Error("the program in the image is not that of `make release`")
	}
	docker(t, "stop", id)
	if code := docker(t, "inspect", "-f", "{{.State.ExitCode}}", id); code != "0" {
		t.Errorf("told to stop it ended with %s", code)
	}
}

func sum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}
