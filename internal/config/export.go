package config

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Exported returns the settings among the flags of a set that the environment
// gives, by variable, without secrets: of these, the files that hold them.
func Exported(set *pflag.FlagSet, getenv Getenv) map[string]string {
	settings := map[string]string{}
	set.VisitAll(func(shown *pflag.Flag) {
		f := shown.Value.(*Flag)
		name := EnvName(f.name)
		switch {
		case !f.has("setting"):
			return
		case f.has("secret"):
			name += fileSuffix
		}
		if value, _ := getenv(name); value != "" {
			settings[name] = value
		}
	})
	return settings
}

// Exportable says whether [Exported] may return a variable.
func Exportable(set *pflag.FlagSet, variable string) bool {
	found := false
	set.VisitAll(func(shown *pflag.Flag) {
		f := shown.Value.(*Flag)
		name := EnvName(f.name)
		if f.has("secret") {
			name += fileSuffix
		}
		found = found || f.has("setting") && name == variable
	})
	return found
}

// Environment looks variables up in the text of a file of the environment,
// NAME=VALUE on each line; the last one counts.
func Environment(text []byte) Getenv {
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok && !strings.HasPrefix(name, "#") {
			values[name] = value
		}
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// SetEnvironment returns the text of a file of the environment, NAME=VALUE on
// each line, in which settings have these values; "" takes one out. Other
// lines stay as they are.
func SetEnvironment(text []byte, settings map[string]string) ([]byte, error) {
	left := maps.Clone(settings)
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, _, isSetting := strings.Cut(lines.Text(), "=")
		value, changes := settings[name]
		switch {
		case !isSetting || !changes:
			fmt.Fprintln(&out, lines.Text())
		case value != "":
			fmt.Fprintf(&out, "%s=%s\n", name, value)
		}
		delete(left, name)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if value := left[name]; value != "" {
			fmt.Fprintf(&out, "%s=%s\n", name, value)
		}
	}
	return out.Bytes(), nil
}
