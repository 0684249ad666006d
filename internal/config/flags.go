package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/spf13/pflag"
)

// Flag is a field of a struct as a flag. Its tags say:
//
//	name         the flag's name; else the field's with hyphens: dry-run of DryRun
//	help         one or two sentences
//	placeholder  what stands for the value in the help
//	default      the value where nobody gives another
//	required     that somebody must give one
//	xor          a group of flags of which one may be given; of a required one, must
//	enum         the values there are, with commas between
//	sep          what stands between the elements of a list, a comma if not said
//	setting      that the environment may give the value, see [EnvName]
//	secret       that a file may, which a variable names
//	group        a heading in the help; of a struct, that of its fields
//
// A field that is embedded, or has the tag embed, is a struct with more flags.
type Flag struct {
	name   string
	tag    reflect.StructTag
	target reflect.Value
	group  string
	given  bool // by somebody, be it on the command line or in the environment
}

// has says whether the field has a tag, be it empty.
func (f *Flag) has(tag string) bool { _, ok := f.tag.Lookup(tag); return ok }

// Group returns the heading under which the flag is shown, or "".
func (f *Flag) Group() string { return f.group }

// Required says whether the flag must be given by itself.
func (f *Flag) Required() bool { return f.has("required") && !f.has("xor") }

// Set gives the field the value that a text says.
func (f *Flag) Set(text string) error {
	if enum := f.tag.Get("enum"); enum != "" && !contains(enum, text) {
		return fmt.Errorf("%q is none of %s", text, strings.ReplaceAll(enum, ",", ", "))
	}
	f.given = true
	return Decode(f.target, text, f.tag.Get("sep"))
}

func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// String returns nothing: the help says what the default is.
func (f *Flag) String() string { return "" }

// Type returns what stands for the value in the help.
func (f *Flag) Type() string {
	if f.isBool() {
		return "bool" // which takes no value
	}
	if placeholder := f.tag.Get("placeholder"); placeholder != "" {
		return placeholder
	}
	return strings.ToUpper(strings.ReplaceAll(f.name, "-", "_"))
}

func (f *Flag) isBool() bool { return f.target.Kind() == reflect.Bool }

// Flags returns the flags of a struct. It panics where a tag makes no sense.
func Flags(target any) *pflag.FlagSet {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() {}
	addFlags(set, reflect.ValueOf(target).Elem(), "")
	return set
}

func addFlags(set *pflag.FlagSet, fields reflect.Value, group string) {
	for i := range fields.NumField() {
		field := fields.Type().Field(i)
		under := group
		if g, ok := field.Tag.Lookup("group"); ok {
			under = g
		}
		if _, ok := field.Tag.Lookup("embed"); field.Anonymous || ok {
			addFlags(set, fields.Field(i), under)
			continue
		}
		if !field.IsExported() || IsArgument(field) {
			continue
		}
		f := &Flag{name: FieldName(field), tag: field.Tag, target: fields.Field(i), group: under}
		if text, ok := field.Tag.Lookup("default"); ok {
			if err := f.Set(text); err != nil {
				panic(fmt.Sprintf("default of %v.%s: %v", fields.Type(), field.Name, err))
			}
			f.given = false
		}
		help := field.Tag.Get("help")
		if f.has("setting") {
			help += " ($" + EnvName(f.name) + ")"
		}
		shown := set.VarPF(f, f.name, "", help)
		if f.isBool() {
			shown.NoOptDefVal = "true"
		}
	}
}

// IsArgument says whether a field is one of the words after the flags.
func IsArgument(field reflect.StructField) bool { _, ok := field.Tag.Lookup("arg"); return ok }

// FieldName returns the name of a field on the command line.
func FieldName(field reflect.StructField) string {
	if name := field.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	letters := []rune(field.Name)
	for i, r := range letters {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Parse reads the flags among args, which win, and the environment for the
// settings that they leave out, and notes in files which files it read. It
// returns the other words. Its error is an [*Error] where the environment is
// at fault, and [pflag.ErrHelp] where help was asked for.
func Parse(set *pflag.FlagSet, args []string, getenv Getenv, files Files) (words []string, err error) {
	if err := parseArgs(set, args); err != nil {
		return nil, err
	}
	set.VisitAll(func(shown *pflag.Flag) {
		if err == nil {
			err = shown.Value.(*Flag).fromEnvironment(getenv, files)
		}
	})
	return set.Args(), err
}

// parseArgs is pflag's, with errors as ours read; none repeats a value
// but as the type of the flag says it, which hides secrets.
func parseArgs(set *pflag.FlagSet, args []string) error {
	err := set.Parse(args)
	var unknown *pflag.NotExistError
	var valueless *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fmt.Errorf("unknown flag -%s", unknown.GetSpecifiedName())
	case errors.As(err, &unknown):
		return fmt.Errorf("unknown flag --%s", unknown.GetSpecifiedName())
	case errors.As(err, &valueless):
		return fmt.Errorf("--%s: needs a value", valueless.GetSpecifiedName())
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, invalid.Unwrap())
	}
	return err
}

// CheckGiven returns an error if a flag is missing, or one too many is given.
func CheckGiven(set *pflag.FlagSet) error {
	var missing []string
	type choice struct {
		required     bool
		flags, given []string
	}
	choices := map[string]*choice{}
	var order []string
	set.VisitAll(func(shown *pflag.Flag) {
		f := shown.Value.(*Flag)
		group, isChoice := f.tag.Lookup("xor")
		switch {
		case isChoice:
			c := choices[group]
			if c == nil {
				c = new(choice)
				choices[group] = c
				order = append(order, group)
			}
			c.required = c.required || f.has("required")
			c.flags = append(c.flags, "--"+f.name)
			if f.given {
				c.given = append(c.given, "--"+f.name)
			}
		case f.has("required") && !f.given:
			missing = append(missing, "--"+f.name+"="+f.Type())
		}
	})
	for _, group := range order {
		switch c := choices[group]; {
		case len(c.given) > 1:
			return fmt.Errorf("%s exclude each other: give one of them", strings.Join(c.given, " and "))
		case len(c.given) == 0 && c.required:
			missing = append(missing, strings.Join(c.flags, " or "))
		}
	}
	if len(missing) > 0 {
		return errors.New("missing flags: " + strings.Join(missing, ", "))
	}
	return nil
}
