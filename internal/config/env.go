package config

import (
	"strings"
)

// Getenv looks a variable of the environment up, as os.LookupEnv does.
type Getenv func(name string) (value string, ok bool)

// Error is a setting that cannot be used.
type Error struct {
	Source  string // the variable or flag
	Problem string // the value, and what is wanted
}

// Error returns one line for the person who starts the service.
func (e *Error) Error() string { return e.Source + ": " + e.Problem }

// EnvName returns the environment variable of a flag.
func EnvName(flag string) string { return strings.ToUpper(strings.ReplaceAll(flag, "-", "_")) }

// Files names, by variable such as DATABASE_URL, the files that secrets were
// read from, and may be read from again.
type Files map[string]string

// Read returns what the file of a variable holds now.
func (f Files) Read(variable string) (string, error) {
	return ReadSecret(variable+fileSuffix, f[variable])
}

// fromEnvironment gives a setting that no flag gave its value from the
// environment, and notes the file that it reads.
func (f *Flag) fromEnvironment(getenv Getenv, files Files) error {
	if f.given || !f.has("setting") {
		return nil
	}
	name := EnvName(f.name)
	value, _ := getenv(name)
	if path, _ := getenv(name + fileSuffix); path != "" && f.has("secret") {
		if value != "" {
			return &Error{Source: name, Problem: "is set, and so is " + name + fileSuffix + ": set one of them"}
		}
		var err error
		if value, err = ReadSecret(name+fileSuffix, path); err != nil {
			return err
		}
		files[name] = path
	}
	if value == "" {
		return nil
	}
	if err := f.Set(value); err != nil {
		return &Error{Source: name, Problem: err.Error()}
	}
	return nil
}
