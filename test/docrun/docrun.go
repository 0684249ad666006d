// Package docrun runs the commands of a document from their very text, in
// tests.
//
// A block of shell that follows a line `<!-- run: NAME -->` can be run by its
// name. Where a block of text follows it, each of its lines must be among what
// the commands print; … in it stands for anything.
package docrun

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Document is a document with commands, which run one after the other in a
// folder of their own.
type Document struct {
	*testing.T
	Dir  string
	name string
	text string
	env  map[string]string
}

// Open reads a document. The test is skipped where a program is not installed
// that its commands need, and fails where CI=true.
func Open(t *testing.T, path string, env map[string]string, programs ...string) *Document {
	t.Helper()
	for _, program := range append([]string{"bash"}, programs...) {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &Document{T: t, Dir: t.TempDir(), name: filepath.Base(path), text: string(text), env: env}
}

var marks = regexp.MustCompile("(?m)^<!-- run: (.+) -->\n```sh\n")

// Names returns the names of the blocks, in order.
func (d *Document) Names() []string {
	var names []string
	for _, m := range marks.FindAllStringSubmatch(d.text, -1) {
		names = append(names, m[1])
	}
	return names
}

// block returns the commands of a name, and what they should print.
func (d *Document) block(name string) (commands, prints string) {
	d.Helper()
	_, rest, found := strings.Cut(d.text, "<!-- run: "+name+" -->\n```sh\n")
	if !found {
		d.Fatalf("%s has no commands %q", d.name, name)
	}
	commands, rest, _ = strings.Cut(rest, "```\n")
	if after, ok := strings.CutPrefix(strings.TrimLeft(rest, "\n"), "```text\n"); ok {
		prints, _, _ = strings.Cut(after, "```")
	}
	return commands, prints
}

// Prints returns what the document has the commands of a name print.
func (d *Document) Prints(name string) string {
	d.Helper()
	_, prints := d.block(name)
	return prints
}

// Among returns a text and what stands for it where the commands of a name
// have it, and nothing where they do not.
func (d *Document) Among(name, text, in string) []string {
	d.Helper()
	if commands, _ := d.block(name); strings.Contains(commands, text) {
		return []string{text, in}
	}
	return nil
}

// Run runs the commands of a name, with texts replaced that stand for
// addresses, and holds each line that they should print to be among what they
// print.
func (d *Document) Run(name string, replace ...string) (out string) {
	d.Helper()
	commands, prints := d.block(name)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(commands, replace[i]) {
			d.Fatalf("%s: no %q in\n%s", name, replace[i], commands)
		}
		commands = strings.ReplaceAll(commands, replace[i], replace[i+1])
	}
	start := time.Now()
	c := exec.CommandContext(d.Context(), "bash", "-e", "-o", "pipefail", "-c", commands)
	c.Dir = d.Dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + d.Dir, "HOME=" + d.Dir, "LC_ALL=C"}
	for name, value := range d.env {
		c.Env = append(c.Env, name+"="+value)
	}
	text, err := c.CombinedOutput()
	out = string(text)
	d.Logf("%s, in %v:\n%s", name, time.Since(start).Round(time.Millisecond), out)
	if err != nil {
		d.Fatalf("%s: %v", name, err)
	}
	for line := range strings.Lines(prints) {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(line)), "…", ".*")
		if !regexp.MustCompile(pattern).MatchString(out) {
			d.Errorf("%s does not print %q", name, strings.TrimSpace(line))
		}
	}
	return out
}
