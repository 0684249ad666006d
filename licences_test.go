package housing

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/licences.md and docs/rooms.svg anew")

// licences are those that the program may be built with, by a phrase that
// their text alone has; the first that matches counts.
var licences = []struct{ phrase, name string }{
	{"Apache License Version 2.0", "Apache-2.0"},
	{"Mozilla Public License Version 2.0", "MPL-2.0"},
	{"Permission is hereby granted, free of charge", "MIT"},
	{"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee", "ISC"},
	{"Neither the name of", "BSD-3-Clause"},
	{"Redistributions in binary form must reproduce", "BSD-2-Clause"},
}

// TestTheLicencesOfWhatWeShip compares docs/licences.md with the modules that
// are linked into the program, each of which must have a licence of the list.
func TestTheLicencesOfWhatWeShip(t *testing.T) {
	command := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}", "./cmd/housing")
	// The list is that of the release for Linux, wherever the test runs.
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	modules := strings.Fields(string(out))
	var rows []string
	for module := range slices.Chunk(modules, 3) {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", module[0], module[1], licence(t, module[0], module[2])))
	}
	slices.Sort(rows)
	rows = slices.Compact(rows)
	if len(rows) < 10 {
		t.Fatalf("go list names only %d modules", len(rows))
	}
	want := "# Licences\n\nThe modules that are linked into `housing` (linux/amd64), and their licences as read from their own files.\n" +
		"`go test -run Licences -update .` writes this page.\n\n| module | version | licence |\n|---|---|---|\n" + strings.Join(rows, "")
	const page = "docs/licences.md"
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != want {
		t.Errorf("%s is not what is linked (%v): go test -run Licences -update .", page, err)
	}
}

// licence returns the licence of a module by its text.
func licence(t *testing.T, module, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.ToUpper(filepath.Base(file))
		if !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") && !strings.HasPrefix(name, "UNLICENSE") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.ReplaceAll(strings.Join(strings.Fields(string(text)), " "), "License, Version", "License Version")
		for _, l := range licences {
			if strings.Contains(plain, l.phrase) {
				return l.name
			}
		}
	}
	t.Errorf("module %s in %s has no licence of those that we may use", module, dir)
	return ""
}
