package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

type embedded struct {
	DryRun bool `help:"."`
}

// sample has a field of each kind.
type sample struct {
	embedded
	In      string        `required:"" placeholder:"FILE" help:"."`
	Mode    string        `default:"fast" enum:"fast,slow" help:"."`
	Percent *Count        `xor:"what" required:"" placeholder:"P" help:"."`
	Primary string        `xor:"what" required:"" help:"."`
	Steps   []Count       `sep:"," help:"."`
	Every   time.Duration `default:"5m" help:"."`
	MaxPSI  float64       `name:"max-psi" help:"."`
	Seed    uint8         `help:"."`
	Offset  int           `help:"."`
	Token   Secret        `setting:"" secret:"" help:"."`
	File    string        `arg:"" help:"."`
	Nested  struct {
		Deep bool `help:"."`
	} `embed:"" group:"More"`
}

func parse(args ...string) (*sample, []string, error) {
	var s sample
	flags := Flags(&s)
	words, err := Parse(flags, args, environment(), Files{})
	if err == nil {
		err = CheckGiven(flags)
	}
	return &s, words, err
}

func TestFlagsOfEachKind(t *testing.T) {
	got, words, err := parse("one", "--in", "-", "--dry-run", "--mode=slow", "--percent", "7", "--steps", "1, 5", "two", "--steps=9",
		"--every", "90s", "--max-psi=-0.5", "--seed", "255", "--offset", "-3", "--deep", "--token", "x", "--", "--three")
	if err != nil {
		t.Fatal(err)
	}
	seven := Count(7)
	want := &sample{embedded: embedded{true}, In: "-", Mode: "slow", Percent: &seven, Steps: []Count{1, 5, 9}, Every: 90 * time.Second, MaxPSI: -0.5, Seed: 255, Offset: -3, Token: "x"}
	want.Nested.Deep = true
	if !reflect.DeepEqual(got, want) || !cmp.Equal(words, []string{"one", "two", "--three"}) {
		t.Errorf("got %+v and %q, want %+v", got, words, want)
	}
	if got, _, err := parse("--in", "x", "--primary", "p"); err != nil || got.Mode != "fast" || got.Every != 5*time.Minute || got.Percent != nil || got.Steps != nil {
		t.Errorf("defaults: %+v, %v", got, err)
	}
}

func TestFlagsThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "missing flags: --in=FILE, --percent or --primary"},
		{"--in x", "missing flags: --percent or --primary"},
		{"--in x --percent 1 --primary p", "--percent and --primary exclude each other: give one of them"},
		{"--in", "--in: needs a value"},
		{"--bogus", "unknown flag --bogus"},
		{"--file x", "unknown flag --file"},
		{"--note x", "unknown flag --note"},
		{"-x", "unknown flag -x"},
		{"--mode best", `--mode: "best" is none of fast, slow`},
		{"--mode fast,slow", `--mode: "fast,slow" is none of fast, slow`},
		{"--percent 0", `--percent: "0" is not a usable count: want a whole number from 1 to 100000`},
		{"--steps 1,,2", `--steps: "" is not a usable count: want a whole number from 1 to 100000`},
		{"--every 5", `--every: "5" is not a time: want 500ms, 30s, 5m or 1h30m`},
		{"--max-psi NaN", `--max-psi: "NaN" is not a usable number`},
		{"--max-psi 1e999", `--max-psi: "1e999" is not a usable number`},
		{"--seed 256", `--seed: "256" is not a usable whole number from 0`},
		{"--seed -1", `--seed: "-1" is not a usable whole number from 0`},
		{"--offset 1.5", `--offset: "1.5" is not a usable whole number`},
		{"--dry-run=maybe", `--dry-run: "maybe" is neither true nor false`},
	} {
		if _, _, err := parse(strings.Fields(c.args)...); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
	for _, help := range []string{"--help", "-h"} {
		if _, _, err := parse("--dry-run", help, "--bogus"); !errors.Is(err, pflag.ErrHelp) {
			t.Errorf("%s: %v", help, err)
		}
	}
}

func TestADefaultThatCannotBeUsedIsFoundAtOnce(t *testing.T) {
	defer func() {
		if fault := recover(); fault == nil || !strings.Contains(fault.(string), "Often") {
			t.Errorf("panicked with %v", fault)
		}
	}()
	Flags(&struct {
		Often Count `default:"0" help:"."`
	}{})
}

func TestNamesOfFields(t *testing.T) {
	for field, want := range map[string]string{"In": "in", "DryRun": "dry-run", "ColsampleByTree": "colsample-by-tree", "TTL": "ttl", "HTTPAddress": "http-address", "L2": "l2"} {
		if got := FieldName(reflect.StructField{Name: field}); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
}
