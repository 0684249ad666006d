package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"housing/internal/config"
)

// helpColumns is how long the lines of the help are.
const helpColumns = 100

// printHelp prints what a command does and takes.
func (c *command) printHelp(w io.Writer) error {
	var b strings.Builder
	if len(c.below) > 0 {
		c.helpOfGroup(&b)
	} else {
		c.helpOfRunner(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *command) helpOfGroup(b *strings.Builder) {
	fmt.Fprintf(b, "Usage: %s <command>\n\n%s\n\nCommands:\n", c.name, c.help)
	table := tabwriter.NewWriter(b, 0, 0, 4, ' ', 0)
	c.list(table)
	_ = table.Flush() // to memory
	fmt.Fprintf(b, "\nRun \"%s <command> --help\" for more information on a command.\n", c.name)
}

// list lists the commands below, without the first word, the program's name.
func (c *command) list(w io.Writer) {
	for _, b := range c.below {
		if len(b.below) > 0 {
			b.list(w)
			continue
		}
		_, name, _ := strings.Cut(b.name, " ")
		fmt.Fprintf(w, "  %s\t%s\n", name, b.help)
	}
}

func (c *command) helpOfRunner(b *strings.Builder) {
	flags := config.Flags(c.fields.Addr().Interface())
	flags.BoolP("help", "h", false, "Show this help.")
	b.WriteString("Usage: " + c.name)
	arguments := c.arguments()
	for _, a := range arguments {
		b.WriteString(" " + a.String())
	}
	groups := map[string]*pflag.FlagSet{}
	var order []string
	flags.VisitAll(func(shown *pflag.Flag) {
		group := "Flags"
		if f, ok := shown.Value.(*config.Flag); ok {
			if f.Required() {
				fmt.Fprintf(b, " --%s=%s", shown.Name, f.Type())
			}
			if f.Group() != "" {
				group = f.Group()
			}
		}
		if groups[group] == nil {
			groups[group] = pflag.NewFlagSet(group, pflag.ContinueOnError)
			groups[group].SortFlags = false
			order = append(order, group)
		}
		groups[group].AddFlag(shown)
	})
	fmt.Fprintf(b, " [flags]\n\n%s\n\n%s\n", c.help, wrap(c.runner().Help()))
	if len(arguments) > 0 {
		b.WriteString("\nArguments:\n")
		table := tabwriter.NewWriter(b, 0, 0, 4, ' ', 0)
		for _, a := range arguments {
			fmt.Fprintf(table, "  <%s>\t%s\n", a.name, a.help)
		}
		_ = table.Flush() // to memory
	}
	for _, group := range order {
		fmt.Fprintf(b, "\n%s:\n%s", group, groups[group].FlagUsagesWrapped(helpColumns))
	}
}

// wrap breaks the lines of a text between words. Lines that are indented stay
// as they are.
func wrap(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, " ") {
			continue
		}
		var b strings.Builder
		used := 0
		for n, word := range strings.Fields(line) {
			switch {
			case n > 0 && used+1+len(word) > helpColumns:
				b.WriteByte('\n')
				used = 0
			case n > 0:
				b.WriteByte(' ')
				used++
			}
			b.WriteString(word)
			used += len(word)
		}
		lines[i] = b.String()
	}
	return strings.Join(lines, "\n")
}
