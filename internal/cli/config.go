package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/google/renameio/v2"

	"housing/internal/backup"
	"housing/internal/config"
	"housing/internal/registry"
)

type configCommand struct {
	Export configExportCommand `cmd:"" help:"Write plan, aliases and settings without secrets as one file."`
	Apply  configApplyCommand  `cmd:"" help:"Make plan, aliases and settings those of a file."`
}

// configuration reads what there is: the registry, if MODEL_DIR names one,
// which is nil else, and settings.
func (f *registryFlags) configuration(p *program, settings map[string]string) (*backup.Configuration, *registry.Registry, error) {
	if f.ModelDir == "" {
		c, err := backup.ReadConfiguration(p.ctx, nil, settings)
		return c, nil, err
	}
	r, err := f.openToChange(p)
	if err != nil {
		return nil, nil, err
	}
	c, err := backup.ReadConfiguration(p.ctx, r, settings)
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	return c, r, nil
}

type configExportCommand struct {
	registryFlags
	Out string `placeholder:"FILE" help:"File to write. Default: stdout."`
}

// Help shows an example.
func (*configExportCommand) Help() string {
	return "Writes the traffic plan and the aliases of the registry, and the settings of the service in this environment, as one file for review and version control. It holds no secret, only the names of files with secrets. The same configuration gives the same bytes.\n\nExample:\n\n    MODEL_DIR=s3://models/kc housing config export --out housing.json"
}

// Run exports the configuration.
func (c *configExportCommand) Run(p *program) error {
	document, r, err := c.configuration(p, p.settings())
	if err != nil {
		return err
	}
	if r != nil {
		defer r.Close()
	}
	text, err := document.Text()
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err := p.stdout.Write(text)
		return err
	}
	return renameio.WriteFile(c.Out, text, 0o644)
}

type configApplyCommand struct {
	registryFlags
	changeFlags
	File    string `arg:"" help:"File to apply, as export wrote it and people changed it."`
	EnvFile string `placeholder:"FILE" help:"File of NAME=VALUE lines that services get their environment from: settings are written there. Default: settings are only compared."`
	JSON    bool   `name:"json" help:"Print the differences as JSON."`
}

// Help shows an example.
func (*configApplyCommand) Help() string {
	return `Makes the traffic plan and the aliases of the registry those of the file, each change with a line in its history, and writes settings to --env-file, where other lines, such as secrets, stay. Running services follow the plan by themselves, and take settings when they start. Versions that the file names must be in the registry.

Example:

    housing config apply housing.json --model-dir s3://models/kc --env-file /etc/housing.env --dry-run`
}

// maxConfigBytes bounds the files that are read.
const maxConfigBytes = 1 << 20

// Run applies a configuration.
func (c *configApplyCommand) Run(p *program) error {
	text, err := readSmallFile(c.File)
	if err != nil {
		return err
	}
	flags := config.Flags(new(config.Serve))
	wanted, err := backup.ParseConfiguration(text, func(name string) bool { return config.Exportable(flags, name) })
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	settings := p.settings()
	var environment []byte
	if c.EnvFile != "" {
		if environment, err = readSmallFile(c.EnvFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("--env-file: %w", err)
		}
		settings = config.Exported(flags, config.Environment(environment))
	}
	now, r, err := c.configuration(p, settings)
	if err != nil {
		return err
	}
	if r == nil {
		if wanted.Plan != nil || len(wanted.Aliases) > 0 {
			return &config.Error{Source: "MODEL_DIR", Problem: "is not set, and the file has a traffic plan or aliases: want the registry"}
		}
	} else {
		defer r.Close()
		if err := wanted.CheckPlan(p.ctx, r); err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
	}
	differences := now.Compare(wanted)
	if c.DryRun || len(differences) == 0 {
		return c.print(p, differences, c.EnvFile != "")
	}
	if r != nil {
		if err := wanted.Apply(p.ctx, r, c.change("config apply")); err != nil {
			return err
		}
	}
	if c.EnvFile != "" {
		err = c.write(environment, settings, wanted.Settings)
	}
	return errors.Join(c.print(p, differences, c.EnvFile != "" && err == nil), err)
}

// write makes the settings of --env-file, which holds environment, those that
// are wanted.
func (c *configApplyCommand) write(environment []byte, now, wanted map[string]string) error {
	changed := maps.Clone(wanted)
	for name := range now {
		if _, stays := changed[name]; !stays {
			changed[name] = ""
		}
	}
	environment, err := config.SetEnvironment(environment, changed)
	if err == nil {
		err = renameio.WriteFile(c.EnvFile, environment, 0o600)
	}
	if err != nil {
		return fmt.Errorf("--env-file: %w", err)
	}
	return nil
}

// appliedDifference is a difference, and whether it is there no more.
type appliedDifference struct {
	backup.Difference
	Applied bool `json:"applied"`
}

// print shows the differences and which of them were applied, or would be in
// a dry run: all but settings, and these too where they are written.
func (c *configApplyCommand) print(p *program, differences []backup.Difference, written bool) error {
	all, count := make([]appliedDifference, len(differences)), 0
	for i, d := range differences {
		all[i] = appliedDifference{d, written || !d.Setting()}
		if all[i].Applied {
			count++
		}
	}
	if c.JSON {
		if c.DryRun {
			for i := range all {
				all[i].Applied = false
			}
		}
		return printJSON(p.stdout, map[string]any{"differences": all, "applied": !c.DryRun && count == len(all)})
	}
	left := "  (compared only)"
	if c.EnvFile != "" {
		left = "  (not written)"
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, d := range all {
		mark := left
		if d.Applied {
			mark = ""
		}
		fmt.Fprintf(w, "%s\t%s\t-> %s%s\n", d.What, orDash(d.From), orDash(d.To), mark)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	word, number, rest := "Applied", strconv.Itoa(len(all)), ""
	if c.DryRun {
		word = "Would apply"
	}
	if count < len(all) {
		number = fmt.Sprintf("%d of %d", count, len(all))
		if c.EnvFile == "" {
			rest = "; settings are written with --env-file"
		}
	}
	_, err := fmt.Fprintf(p.stdout, "%s %s: %s differences%s.\n", word, c.File, number, rest)
	return err
}

func readSmallFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxConfigBytes {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), maxConfigBytes)
	}
	return os.ReadFile(path)
}
