package deploy_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// overlays are those of deploy/kubernetes.
var overlays = []string{"development", "production", "blue-green", "canary-istio", "canary-gateway-api", "multi-region/us-west-2", "multi-region/us-east-1"}

// object is what the tests read of an object of Kubernetes.
type object struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Annotations     map[string]string
	}
	Data map[string]string // of a ConfigMap
	Spec struct {
		Type     string // of a Service
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		JobLabel  string                  `yaml:"jobLabel"`
		Endpoints []struct{ Port string } `yaml:"podMetricsEndpoints"`
		Template  struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Containers []struct{ Ports []struct{ Name string } }
			}
		}
	}
}

// render returns the objects of an overlay with components, as kustomize makes
// them.
func render(t *testing.T, overlay string, components ...string) (objects []object) {
	t.Helper()
	command := []string{"kubectl", "kustomize"}
	if _, err := exec.LookPath("kubectl"); err != nil {
		command = []string{"kustomize", "build"}
		if _, err := exec.LookPath("kustomize"); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal("there is neither kubectl nor kustomize on PATH")
			}
			t.Skip("there is neither kubectl nor kustomize on PATH")
		}
	}
	c := &cluster{namespace: "housing", tree: t.TempDir(), secret: "of nobody"}
	c.copyDeploy(t)
	c.write(t, "kubernetes/check/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: housing\nresources: [../overlays/"+
		overlay+"]\ncomponents: [../components/"+strings.Join(components, ", ../components/")+"]\n")
	out, err := run(t.Context(), "", command[0], command[1], filepath.Join(c.tree, "kubernetes/check"))
	if err != nil {
		t.Fatal(err)
	}
	from := yaml.NewDecoder(strings.NewReader(out))
	for {
		var o object
		if err := from.Decode(&o); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
}

// ofKind returns the objects whose kind ends with a word.
func ofKind(objects []object, kind string) (found []object) {
	for _, o := range objects {
		if strings.HasSuffix(o.Kind, kind) {
			found = append(found, o)
		}
	}
	return found
}

// TestPrometheusFindsThePods holds that the Prometheus of the Operator scrapes
// the pods of every overlay, once, as the job of the rules and dashboards.
func TestPrometheusFindsThePods(t *testing.T) {
	job := jobOfTheRules(t)
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			objects := render(t, overlay, "monitoring")
			monitors, deployments := ofKind(objects, "Monitor"), ofKind(objects, "Deployment")
			if len(monitors) != 1 || len(monitors[0].Spec.Endpoints) != 1 || len(deployments) == 0 {
				t.Fatalf("%d Deployments, and not one PodMonitor of one port: %+v", len(deployments), monitors)
			}
			m := monitors[0]
			for _, d := range deployments {
				labels := d.Spec.Template.Metadata.Labels
				for name, value := range m.Spec.Selector.MatchLabels {
					if labels[name] != value || d.Metadata.Namespace != m.Metadata.Namespace {
						t.Errorf("the pods of %s with %v in %s are not selected by %s=%s in %s", d.Metadata.Name, labels, d.Metadata.Namespace, name, value, m.Metadata.Namespace)
					}
				}
				if got := labels[m.Spec.JobLabel]; got != job {
					t.Errorf("the pods of %s are the job %q, the rules ask for %q", d.Metadata.Name, got, job)
				}
				ports := 0
				for _, container := range d.Spec.Template.Spec.Containers {
					for _, p := range container.Ports {
						if p.Name == m.Spec.Endpoints[0].Port {
							ports++
						}
					}
				}
				if ports != 1 {
					t.Errorf("the pods of %s have %d ports %s, want one", d.Metadata.Name, ports, m.Spec.Endpoints[0].Port)
				}
			}
		})
	}
}

// TestNoOverlayBelievesWhatCallersWrite holds that X-Forwarded-For is believed
// of nobody before a site says of whom, and that a load balancer, which speaks
// TCP, keeps the addresses by which callers are limited.
func TestNoOverlayBelievesWhatCallersWrite(t *testing.T) {
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			for _, o := range render(t, overlay, "monitoring") {
				if proxies, set := o.Data["TRUSTED_PROXIES"]; set {
					t.Errorf("%s %s has TRUSTED_PROXIES=%s", o.Kind, o.Metadata.Name, proxies)
				}
				const attributes = "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes"
				if o.Spec.Type == "LoadBalancer" && o.Metadata.Annotations[attributes] != "preserve_client_ip.enabled=true" {
					t.Errorf("the pods see the address of the load balancer %s for that of the caller", o.Metadata.Name)
				}
			}
		})
	}
}

// jobOfTheRules returns the one job that rules and dashboards ask for.
func jobOfTheRules(t *testing.T) string {
	t.Helper()
	var jobs []string
	for _, pattern := range []string{"../../deploy/prometheus/rules/*.yml", "../../deploy/grafana/dashboards/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`\bjob=\\?"([^"\\]*)`).FindAllStringSubmatch(string(text), -1) {
				jobs = append(jobs, m[1])
			}
		}
	}
	slices.Sort(jobs)
	if jobs = slices.Compact(jobs); len(jobs) != 1 {
		t.Fatalf("the rules and dashboards ask for the jobs %q, want one", jobs)
	}
	return jobs[0]
}
