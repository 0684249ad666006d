package cli

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/pflag"

	"housing/internal/config"
)

// runner is a command that can be run; the flags and arguments of the command
// line are its fields.
type runner interface {
	Help() string // what it does, with an example
	Run(p *program) error
}

// command is a command with those below it, as the tags of a struct say: cmd
// of a field makes a command of it, arg an argument, else it is a flag as
// [config.Flag] describes.
type command struct {
	name, help string
	fields     reflect.Value // a struct that can be set
	below      []*command    // those below it; without any it is a runner
}

// newCommand returns the command of a struct.
func newCommand(name, help string, fields reflect.Value) *command {
	c := &command{name: name, help: help, fields: fields}
	for i := range fields.NumField() {
		field := fields.Type().Field(i)
		if _, ok := field.Tag.Lookup("cmd"); ok {
			below := name + " " + config.FieldName(field)
			c.below = append(c.below, newCommand(below, field.Tag.Get("help"), fields.Field(i)))
		}
	}
	return c
}

// runner returns what runs; it panics where a command has no way to.
func (c *command) runner() runner { return c.fields.Addr().Interface().(runner) }

// find returns the command that args name, and the other words. Its error
// with [pflag.ErrHelp] means the help of the command that it returns.
func (c *command) find(args []string) (*command, []string, error) {
	for len(c.below) > 0 {
		if len(args) == 0 {
			return c, nil, fmt.Errorf("%s needs a command: %s", c.name, strings.Join(c.words(), ", "))
		}
		word := args[0]
		if word == "--help" || word == "-h" {
			return c, nil, pflag.ErrHelp
		}
		if strings.HasPrefix(word, "-") {
			return c, nil, fmt.Errorf("unknown flag %s: name a command first", word)
		}
		next := c.child(word)
		if next == nil {
			return c, nil, fmt.Errorf("unexpected argument %s: want one of %s", word, strings.Join(c.words(), ", "))
		}
		c, args = next, args[1:]
	}
	return c, args, nil
}

func (c *command) child(word string) *command {
	for _, b := range c.below {
		if b.name == c.name+" "+word {
			return b
		}
	}
	return nil
}

// words returns the last words of the commands below.
func (c *command) words() []string {
	words := make([]string, len(c.below))
	for i, b := range c.below {
		words[i] = strings.TrimPrefix(b.name, c.name+" ")
	}
	return words
}

// read fills the fields from the command line and the environment.
func (c *command) read(args []string, getenv config.Getenv, files config.Files) error {
	flags := config.Flags(c.fields.Addr().Interface())
	words, err := config.Parse(flags, args, getenv, files)
	if err != nil {
		return err
	}
	if words, err = c.takeArguments(words); err != nil {
		return err
	}
	if len(words) > 0 {
		return fmt.Errorf("unexpected argument %s", words[0])
	}
	return config.CheckGiven(flags)
}

// takeArguments fills the arguments and returns the words that are left.
func (c *command) takeArguments(words []string) ([]string, error) {
	for _, a := range c.arguments() {
		took := min(1, len(words))
		if a.list() {
			took = len(words)
		}
		if took == 0 && !a.optional {
			return nil, fmt.Errorf("missing argument %s", a)
		}
		for _, word := range words[:took] {
			if err := config.Decode(a.field, word, ""); err != nil {
				return nil, fmt.Errorf("%s: %w", a, err)
			}
		}
		words = words[took:]
	}
	return words, nil
}

// argument is a word after the flags.
type argument struct {
	name, help string
	field      reflect.Value
	optional   bool
}

// list says whether the argument may be several words.
func (a *argument) list() bool { return a.field.Kind() == reflect.Slice }

// String returns the argument as the usage shows it.
func (a *argument) String() string {
	name := "<" + a.name + ">"
	if a.list() {
		name += " ..."
	}
	if a.optional {
		name = "[" + name + "]"
	}
	return name
}

func (c *command) arguments() (arguments []*argument) {
	for i := range c.fields.NumField() {
		field := c.fields.Type().Field(i)
		if config.IsArgument(field) {
			_, optional := field.Tag.Lookup("optional")
			arguments = append(arguments, &argument{config.FieldName(field), field.Tag.Get("help"), c.fields.Field(i), optional})
		}
	}
	return arguments
}
