package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTheScriptsAreClean has shellcheck look at the scripts for operators.
func TestTheScriptsAreClean(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("there is no shellcheck on PATH")
	}
	scripts, err := filepath.Glob("../../deploy/bin/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	if out, err := exec.Command("shellcheck", scripts...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDeployModelHelps holds that wrong use is told from failure, without a
// cluster.
func TestDeployModelHelps(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"--help"}, 0},
		{nil, 2},
		{[]string{"--bogus"}, 2},
		{[]string{"v1", "production", "more"}, 2},
		{[]string{"../v1"}, 2},
		{[]string{"v1", "Production!"}, 2},
	} {
		command := exec.Command("../../deploy/bin/deploy-model.sh", c.args...)
		out, _ := command.CombinedOutput()
		if code := command.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%q: code %d, want %d: %s", c.args, code, c.code, out)
		}
	}
}
