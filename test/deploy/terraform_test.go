package deploy_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// configuration is a folder of Terraform.
type configuration struct {
	dir       string
	declared  map[string]*hclsyntax.Block // var.x, local.x, module.x, output.x, data.t.x and t.x
	modules   map[string]string           // where the source of each lies
	mentioned map[string]bool             // what of declared is used
	bodies    []*hclsyntax.Body
}

// TestTerraform reads deploy/terraform without Terraform, which no package of
// Debian brings: it is formatted, whatever is named is declared, whatever is
// declared is used and described, and modules get what they ask for. `make
// terraform` asks the real one.
func TestTerraform(t *testing.T) {
	root := "../../deploy/terraform"
	dirs := map[string]*configuration{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".tf":
			dir := filepath.Dir(path)
			if dirs[dir] == nil {
				dirs[dir] = &configuration{dir: dir, declared: map[string]*hclsyntax.Block{}, modules: map[string]string{}, mentioned: map[string]bool{}}
			}
			dirs[dir].read(t, path)
		case ".hcl":
			parse(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) < 8 {
		t.Fatalf("only %d folders have configurations", len(dirs))
	}
	for _, c := range dirs {
		c.checkNames(t)
	}
	used := map[string]bool{filepath.Clean(root): true}
	for _, c := range dirs {
		c.checkModules(t, dirs)
		for _, at := range c.modules {
			used[at] = true
		}
	}
	for dir, c := range dirs {
		if !used[dir] {
			t.Errorf("nothing uses the module %s", dir)
		}
		c.checkUse(t)
	}
}

// parse reads a file, which must be formatted.
func parse(t *testing.T, path string) *hclsyntax.Body {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(hclwrite.Format(text), text) {
		t.Errorf("%s is not formatted: terraform fmt", path)
	}
	file, faults := hclsyntax.ParseConfig(text, path, hcl.InitialPos)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	return file.Body.(*hclsyntax.Body)
}

// read takes in a file.
func (c *configuration) read(t *testing.T, path string) {
	body := parse(t, path)
	c.bodies = append(c.bodies, body)
	declare := func(name string, b *hclsyntax.Block) {
		if c.declared[name] != nil {
			t.Errorf("%s declares %s again", path, name)
		}
		c.declared[name] = b
	}
	for _, b := range body.Blocks {
		switch b.Type {
		case "locals":
			for name := range b.Body.Attributes {
				declare("local."+name, b)
			}
		case "resource":
			declare(strings.Join(b.Labels, "."), b)
		case "data":
			declare("data."+strings.Join(b.Labels, "."), b)
		case "variable":
			declare("var."+b.Labels[0], b)
		case "module", "output":
			declare(b.Type+"."+b.Labels[0], b)
			if b.Type == "module" {
				c.modules[b.Labels[0]] = filepath.Join(c.dir, text(b.Body, "source"))
			}
		case "terraform", "provider":
		default:
			t.Errorf("%s has a block %s, which this test does not know", path, b.Type)
		}
	}
}

// text returns an attribute that is a constant text, or "".
func text(b *hclsyntax.Body, name string) string {
	attribute := b.Attributes[name]
	if attribute == nil {
		return ""
	}
	value, faults := attribute.Expr.Value(nil)
	if faults.HasErrors() {
		return ""
	}
	return value.AsString()
}

// path returns the names of a traversal up to the first index: var.a.b.
func path(traversal hcl.Traversal) (names []string) {
	for _, step := range traversal {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			names = append(names, s.Name)
		case hcl.TraverseAttr:
			names = append(names, s.Name)
		default:
			return names
		}
	}
	return names
}

// free are names that Terraform itself gives, and providers.
var free = []string{"aws", "each", "count", "path", "self", "terraform", "string", "number", "bool"}

// checkNames holds that whatever is named is declared.
func (c *configuration) checkNames(t *testing.T) {
	for _, traversal := range c.traversals() {
		names := path(traversal)
		at := traversal.SourceRange()
		length := 2
		if names[0] == "data" {
			length = 3
		}
		if slices.Contains(free, names[0]) {
			continue
		}
		if len(names) < length {
			t.Errorf("%s: %s is nothing that this test knows", at, strings.Join(names, "."))
			continue
		}
		name := strings.Join(names[:length], ".")
		if c.declared[name] == nil {
			t.Errorf("%s: %s is not declared", at, name)
		}
		c.mentioned[name] = true
	}
}

// traversals returns every reference, but for those to types of variables.
func (c *configuration) traversals() (all []hcl.Traversal) {
	var walk func(b *hclsyntax.Body, kind string)
	walk = func(b *hclsyntax.Body, kind string) {
		for name, attribute := range b.Attributes {
			if kind != "variable" || name != "type" {
				all = append(all, attribute.Expr.Variables()...)
			}
		}
		for _, inner := range b.Blocks {
			if inner.Type != "lifecycle" { // names the resource's own attributes
				walk(inner.Body, inner.Type)
			}
		}
	}
	for _, b := range c.bodies {
		walk(b, "")
	}
	return all
}

// meta are arguments of a module block that are no variables of the module.
var meta = []string{"source", "providers", "count", "for_each", "depends_on"}

// checkModules holds that modules get every variable that has no default and
// no other, and that only outputs are asked of them.
func (c *configuration) checkModules(t *testing.T, dirs map[string]*configuration) {
	for name, at := range c.modules {
		module, block := dirs[at], c.declared["module."+name]
		if module == nil {
			t.Errorf("%s: module %s has its source in %s, where nothing is", c.dir, name, at)
			continue
		}
		for argument := range block.Body.Attributes {
			if module.declared["var."+argument] == nil && !slices.Contains(meta, argument) {
				t.Errorf("%s: module %s has no variable %s", c.dir, name, argument)
			}
		}
		for declared, v := range module.declared {
			variable, is := strings.CutPrefix(declared, "var.")
			if is && v.Body.Attributes["default"] == nil && block.Body.Attributes[variable] == nil {
				t.Errorf("%s: module %s wants the variable %s", c.dir, name, variable)
			}
		}
	}
	for _, traversal := range c.traversals() {
		names := path(traversal)
		if names[0] == "module" && len(names) > 2 && dirs[c.modules[names[1]]] != nil && dirs[c.modules[names[1]]].declared["output."+names[2]] == nil {
			t.Errorf("%s: module %s has no output %s", traversal.SourceRange(), names[1], names[2])
		}
	}
}

// checkUse holds that variables and locals are used and, as outputs, described.
func (c *configuration) checkUse(t *testing.T) {
	for name, b := range c.declared {
		kind, _, _ := strings.Cut(name, ".")
		if kind == "var" || kind == "local" || kind == "data" {
			if !c.mentioned[name] {
				t.Errorf("%s: nothing uses %s", c.dir, name)
			}
		}
		if (kind == "var" || kind == "output") && len(text(b.Body, "description")) < 10 {
			t.Errorf("%s: %s has no description", c.dir, name)
		}
		if kind == "var" && b.Body.Attributes["type"] == nil {
			t.Errorf("%s: %s has no type", c.dir, name)
		}
		if kind == "var" && c.dir == filepath.Clean("../../deploy/terraform") && !slices.ContainsFunc(b.Body.Blocks, func(b *hclsyntax.Block) bool { return b.Type == "validation" }) {
			t.Errorf("%s: %s is not validated", c.dir, name)
		}
	}
}
