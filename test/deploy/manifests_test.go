package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// definitions are where the definitions of others' resources lie: a module,
// and files in it.
var definitions = []struct{ module, files string }{
	{"sigs.k8s.io/gateway-api@v1.6.0", "config/crd/standard/gateway.networking.k8s.io_*.yaml"},
	{"istio.io/api@v1.31.4", "kubernetes/customresourcedefinitions.gen.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_[ps]*[res].yaml"},
	{"github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases/keda.sh_scaledobjects.yaml"},
}

// testManifests has the cluster check every overlay and component, strictly.
func (c *cluster) testManifests(t *testing.T) {
	c.pipe(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, c.namespace), "apply", "-f", "-")
	for _, d := range definitions {
		dir := moduleDir(t, d.module)
		files, err := filepath.Glob(filepath.Join(dir, d.files))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s holds no %s", d.module, d.files)
		}
		for _, f := range files {
			if strings.Contains(filepath.Base(f), "kustomization") {
				continue
			}
			c.kubectl(t, "apply", "--server-side", "--force-conflicts", "-f", f)
		}
		t.Logf("definitions of %s", d.module)
	}
	folders := map[string]string{}
	for _, o := range overlays {
		folders[o] = filepath.Join(c.tree, "kubernetes/overlays", o)
	}
	folders["valuation"] = filepath.Join(c.tree, "kubernetes/jobs/valuation")
	for name, components := range map[string]string{
		"with monitoring": "../components/monitoring", "with prometheus-adapter": "../components/autoscaling-prometheus-adapter",
		"with a volume": "../components/models-volume",
	} {
		dir := "kubernetes/check-" + strings.ReplaceAll(name, " ", "-")
		c.write(t, dir+"/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: "+c.namespace+
			"\nresources: [../overlays/production]\ncomponents: ["+components+"]\n")
		folders[name] = filepath.Join(c.tree, dir)
	}
	c.write(t, "kubernetes/check-keda/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: "+c.namespace+
		"\nresources: [../base/namespace, ../base, ../base/server]\ncomponents: [../components/autoscaling-keda, ../components/site]\n")
	folders["with KEDA"] = filepath.Join(c.tree, "kubernetes/check-keda")
	for name, dir := range folders {
		t.Run(name, func(t *testing.T) {
			list := c.kubectl(t, "kustomize", dir)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			out, err := run(ctx, list, "kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", "-")
			if err != nil {
				t.Fatal(err)
			}
			found := kinds(t, list)
			sum := 0
			for _, n := range found {
				sum += n
			}
			if accepted := strings.Count(out, "(server dry run)"); accepted != sum {
				t.Errorf("%d of %d objects were accepted:\n%s", accepted, sum, out)
			}
			t.Logf("%d objects: %s", sum, asJSON(found))
		})
	}
	t.Run("a wrong field is refused", func(t *testing.T) {
		wrong := strings.Replace(c.kubectl(t, "kustomize", folders["canary-istio"]), "  - destination:\n", "  - destinatoin:\n", 1)
		wrong = strings.Replace(wrong, "failureThreshold: 150", "failureTreshold: 150", 1)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := run(ctx, wrong, "kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", "-"); err == nil || !strings.Contains(err.Error(), "failureTreshold") {
			t.Errorf("got %v", err)
		}
	})
	c.kubectl(t, "delete", "namespace", c.namespace, "--wait=true", "--timeout=3m")
}

// moduleDir returns the folder of a module, fetched if need be.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := run(ctx, "", "go", "mod", "download", "-json", module)
	var answer struct{ Dir, Error string }
	if jerr := json.Unmarshal([]byte(out), &answer); err != nil || jerr != nil || answer.Dir == "" {
		t.Fatalf("%s: %v %v %s", module, err, jerr, answer.Error)
	}
	return answer.Dir
}
