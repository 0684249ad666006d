package deploy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/house"
)

// cluster is a namespace of the cluster of KUBECONFIG that the tests made.
type cluster struct {
	namespace string
	tree      string // a copy of deploy/, for this namespace
	models    string // folder of the registry, on the node
	node      string // address where NodePorts answer
	secret    string // that signs tokens
}

// patience is how long a change of the cluster may take on a busy machine.
const patience = 6 * time.Minute

// run runs a program and returns what it printed.
func run(ctx context.Context, input, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.WaitDelay = 10 * time.Second
	if input != "" {
		command.Stdin = strings.NewReader(input)
	}
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

func (c *cluster) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience+time.Minute)
	defer cancel()
	return run(ctx, "", "kubectl", append([]string{"--namespace", c.namespace}, args...)...)
}

// kubectl runs kubectl in the namespace.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// pipe runs kubectl with input.
func (c *cluster) pipe(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := run(ctx, input, "kubectl", append([]string{"--namespace", c.namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits until what is asked for is so.
func eventually(t *testing.T, what string, ask func() (string, bool)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		seen, ok := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v; last seen: %s", what, patience, seen)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// newCluster makes a namespace with all that the overlays need: a registry on
// a volume of the node, secrets, and a copy of the manifests for it.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	id := make([]byte, 3)
	_, _ = rand.Read(id) // never fails
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	c := &cluster{namespace: "housing-e2e-" + hex.EncodeToString(id), tree: t.TempDir(), node: os.Getenv("E2E_NODE"), secret: hex.EncodeToString(key)}
	if c.node == "" {
		c.node = "127.0.0.1"
	}
	c.models = filepath.Join("/var/tmp", c.namespace)
	if err := os.MkdirAll(c.models, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if os.Getenv("E2E_KEEP") == "" {
			_, _ = c.try("delete", "namespace", c.namespace, "--wait=false")
			_, _ = c.try("delete", "persistentvolume", c.namespace+"-models", "--wait=false")
			_ = os.RemoveAll(c.models)
		}
	})
	c.copyDeploy(t)
	ours := regexp.MustCompile(`(?m)^namespace: housing$`)
	err := filepath.WalkDir(filepath.Join(c.tree, "kubernetes"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "kustomization.yaml" && path != filepath.Join(c.tree, "kubernetes/base/namespace/namespace.yaml") && !strings.Contains(path, "multi-region") || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		changed := ours.ReplaceAllString(string(text), "namespace: "+c.namespace)
		if entry.Name() == "namespace.yaml" {
			changed = strings.Replace(changed, "name: housing\n", "name: "+c.namespace+"\n", 1)
		}
		if strings.Contains(path, "multi-region") {
			changed = strings.ReplaceAll(changed, "namespace: housing\n", "namespace: "+c.namespace+"\n")
		}
		return os.WriteFile(path, []byte(changed), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// copyDeploy copies deploy/ into the tree, with secrets of a site.
func (c *cluster) copyDeploy(t *testing.T) {
	t.Helper()
	if err := os.CopyFS(c.tree, os.DirFS("../../deploy")); err != nil {
		t.Fatal(err)
	}
	c.write(t, "kubernetes/components/site/secrets/jwt_secret", c.secret)
	c.write(t, "kubernetes/components/site/secrets/database_url", "postgres://housing@database.invalid/housing")
	c.write(t, "kubernetes/components/site/secrets/redis_url", "redis://redis.invalid:6379/0")
}

// write writes a file of the tree.
func (c *cluster) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(c.tree, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// local makes an overlay of the tree fit for the cluster of the test: a
// registry on a volume, no systems outside, a NodePort, no limit on one client.
func (c *cluster) local(t *testing.T, overlay string) (dir string) {
	t.Helper()
	c.write(t, "kubernetes/components/site/config.env", "JWT_SECRET_FILE=/etc/housing/secrets/jwt_secret\nRATE_LIMIT=off\n")
	c.write(t, "kubernetes/e2e/kustomization.yaml", `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: `+c.namespace+`
resources: [`+overlay+`, models.yaml]
components: [../components/models-volume]
patches:
  - target: {kind: Service, name: housing-api}
    patch: |-
      - {op: add, path: /spec/type, value: NodePort}
  - target: {kind: HorizontalPodAutoscaler}
    patch: |-
      - {op: replace, path: /spec/behavior/scaleDown/stabilizationWindowSeconds, value: 20}
      - {op: replace, path: /spec/behavior/scaleDown/policies/0, value: {type: Pods, value: 2, periodSeconds: 15}}
`)
	c.write(t, "kubernetes/e2e/models.yaml", `apiVersion: v1
kind: PersistentVolume
metadata: {name: `+c.namespace+`-models}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteMany]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  hostPath: {path: `+c.models+`}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: housing-models, namespace: `+c.namespace+`}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ""
  volumeName: `+c.namespace+`-models
  resources: {requests: {storage: 10Gi}}
`)
	return filepath.Join(c.tree, "kubernetes/e2e")
}

// url returns the address of the service by its NodePort.
func (c *cluster) url(t *testing.T) string {
	t.Helper()
	port := c.kubectl(t, "get", "service", "housing-api", "-o", `jsonpath={.spec.ports[?(@.name=="http")].nodePort}`)
	url := "http://" + c.node + ":" + port
	load := Load{URL: url, Token: c.token(t), Body: oneHouse}
	eventually(t, "prices from "+url, func() (string, bool) {
		_, err := load.ask(http.DefaultClient)
		return fmt.Sprint(err), err == nil
	})
	return url
}

// token signs a token with every scope.
func (c *cluster) token(t *testing.T) string {
	t.Helper()
	command := exec.Command(program(t), "token", "--sub", "e2e", "--scope", "predict", "--ttl", "6h")
	command.Env = append(os.Environ(), "JWT_SECRET="+c.secret)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("token: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// built is the program, once it has been built.
var built = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(builds, "housing")
	_, err = run(context.Background(), "", "go", "build", "-trimpath", "-o", path, "../../cmd/housing")
	return path, err
})

// builds is a folder that is removed when all tests are done.
var builds string

func TestMain(m *testing.M) {
	var err error
	if builds, err = os.MkdirTemp("", "housing-e2e-*"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(builds)
	os.Exit(code)
}

// program returns the path of the program.
func program(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// publish puts the built-in model into the registry under versions of other
// names, and under wrong a model of made-up sales.
func (c *cluster) publish(t *testing.T, wrong string, versions ...string) {
	t.Helper()
	b, err := bundle.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	contents := map[string]bundle.Contents{wrong: bundletest.Contents(t, wrong, 1)}
	for _, version := range versions {
		manifest := b.Manifest
		manifest.Version, manifest.Parts = version, nil
		contents[version] = bundle.Contents{Manifest: manifest, Model: b.Model, Demographics: b.Demographics, Golden: []house.House{house.Example()}}
	}
	for version, content := range contents {
		if err := os.MkdirAll(filepath.Join(c.models, version), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := bundle.WriteFile(filepath.Join(c.models, version, "bundle"), content); err != nil {
			t.Fatal(err)
		}
	}
}
