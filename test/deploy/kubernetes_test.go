// Package deploy_test brings what deploy/ holds up for real, loads it, and
// breaks it. See the targets e2e-* of the Makefile.
package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKubernetes needs KUBECONFIG, of a cluster of 1.30 or later on this
// machine that has the image housing-api:0.1.0 and asks nobody for it.
func TestKubernetes(t *testing.T) {
	if os.Getenv("E2E") != "kubernetes" {
		t.Skip("E2E=kubernetes is not set: make e2e-kubernetes")
	}
	c := newCluster(t)
	c.publish(t, "wrong", "v1", "v2", "v3", "v4")
	t.Run("every manifest is valid", c.testManifests)
	t.Run("production", c.testProduction)
	t.Run("drain", c.testDrain)
	t.Run("batch", c.testBatch)
	t.Run("blue-green", c.testBlueGreen)
}

// apply applies an overlay for the test and waits for its pods.
func (c *cluster) apply(t *testing.T, overlay string, deployments ...string) (url string) {
	t.Helper()
	dir := c.local(t, overlay)
	c.kubectl(t, "apply", "-k", dir)
	for _, d := range deployments {
		c.kubectl(t, "rollout", "status", "deployment/"+d, "--timeout=6m")
	}
	return c.url(t)
}

func (c *cluster) testProduction(t *testing.T) {
	start := time.Now()
	url := c.apply(t, "../overlays/production", "housing-api")
	c.waitReady(t, "housing-api", 3)
	t.Logf("applied and 3 pods ready after %.0f s", time.Since(start).Seconds())

	t.Run("restricted", func(t *testing.T) {
		_, err := c.try("run", "privileged", "--image=housing-api:0.1.0", "--restart=Never")
		if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
			t.Errorf("a pod that is not restricted: %v", err)
		}
	})
	t.Run("limits are followed", func(t *testing.T) {
		pod := c.podsOf(t, "app.kubernetes.io/name=housing-api")[0]
		metrics := c.kubectl(t, "get", "--raw", "/api/v1/namespaces/"+c.namespace+"/pods/"+pod+":9090/proxy/metrics")
		value := func(name string) float64 {
			m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(metrics)
			if m == nil {
				t.Fatalf("no metric %s", name)
			}
			v, _ := strconv.ParseFloat(m[1], 64)
			return v
		}
		t.Logf("pod: GOMEMLIMIT %.0f MiB, GOMAXPROCS %.0f, resident %.0f MiB", value("go_gc_gomemlimit_bytes")/(1<<20), value("go_sched_gomaxprocs_threads"), value("process_resident_memory_bytes")/(1<<20))
		if got := value("go_gc_gomemlimit_bytes"); got != 256<<20 {
			t.Errorf("GOMEMLIMIT is %.0f, want the request of 256 MiB", got)
		}
		if got := value("go_sched_gomaxprocs_threads"); got != 2 {
			t.Errorf("GOMAXPROCS is %.0f, want the limit of 2", got)
		}
	})
	t.Run("rolling update and undo", func(t *testing.T) {
		stop := Load{URL: url, Token: c.token(t), Rate: 60, Fresh: 20}.Start(t)
		time.Sleep(5 * time.Second)
		c.kubectl(t, "set", "env", "deployment/housing-api", "LOG_LEVEL=warn")
		c.kubectl(t, "rollout", "status", "deployment/housing-api", "--timeout=6m")
		time.Sleep(5 * time.Second)
		c.kubectl(t, "rollout", "undo", "deployment/housing-api")
		c.kubectl(t, "rollout", "status", "deployment/housing-api", "--timeout=6m")
		time.Sleep(8 * time.Second) // until the last pod has stopped
		mustBeWhole(t, stop(), 600)
	})
	t.Run("autoscaling", func(t *testing.T) { c.testAutoscaling(t, url) })
	c.kubectl(t, "delete", "-k", c.local(t, "../overlays/production"), "--ignore-not-found", "--wait=true", "--timeout=5m")
	c.clear(t)
}

// clear waits until the namespace is gone, and its volume, to make it anew.
func (c *cluster) clear(t *testing.T) {
	t.Helper()
	eventually(t, "the namespace is gone", func() (string, bool) {
		_, err := c.try("get", "namespace", c.namespace)
		return fmt.Sprint(err), err != nil && strings.Contains(err.Error(), "NotFound")
	})
}

func (c *cluster) podsOf(t *testing.T, selector string) []string {
	t.Helper()
	return strings.Fields(c.kubectl(t, "get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}"))
}

// waitReady waits until a Deployment has exactly so many pods, all ready.
func (c *cluster) waitReady(t *testing.T, deployment string, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s has %d ready pods", deployment, want), func() (string, bool) {
		seen, _ := c.try("get", "deployment", deployment, "-o", "jsonpath={.spec.replicas} {.status.replicas} {.status.readyReplicas}")
		return seen, seen == fmt.Sprintf("%d %d %d", want, want, want)
	})
}

// testAutoscaling loads the pods until there are more of them, and lets go.
func (c *cluster) testAutoscaling(t *testing.T, url string) {
	many := `{"records": [` + strings.TrimSuffix(strings.Repeat(strings.TrimSuffix(strings.TrimPrefix(oneHouse, `{"records": [`), "]}")+",", 900), ",") + "]}"
	stop := Load{URL: url, Token: c.token(t), Rate: 200, Fresh: 20, Body: many}.Start(t)
	replicas := func() int {
		n, _ := strconv.Atoi(c.kubectl(t, "get", "deployment", "housing-api", "-o", "jsonpath={.spec.replicas}"))
		return n
	}
	start, most := time.Now(), 0
	eventually(t, "more than 3 replicas", func() (string, bool) {
		most = max(most, replicas())
		seen, _ := c.try("get", "hpa", "housing-api", "--no-headers")
		return seen, most > 3
	})
	t.Logf("%d replicas after %.0f s of load", most, time.Since(start).Seconds())
	t.Logf("load, which is meant to be too much: %s", stop())
	start = time.Now()
	eventually(t, "3 replicas again", func() (string, bool) {
		n := replicas()
		return strconv.Itoa(n), n == 3
	})
	t.Logf("3 replicas again %.0f s after the load", time.Since(start).Seconds())
}

// waitSimulated is waitReady on simulated nodes. A node whose lease was late, on
// a busy machine, has its pods marked as not ready, and the simulation never
// marks them again: such pods are put in order by replacing them.
func (c *cluster) waitSimulated(t *testing.T, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d simulated pods are ready", want), func() (string, bool) {
		lost, _ := c.try("get", "pods", "-l", "app.kubernetes.io/name=housing-api", "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="ContainersReady")].status}{"\n"}{end}`)
		for line := range strings.Lines(lost) {
			if name, state, _ := strings.Cut(strings.TrimSpace(line), " "); state == "False True" {
				_, _ = c.try("delete", "pod", name, "--wait=false")
			}
		}
		seen, _ := c.try("get", "deployment", "housing-api", "-o", "jsonpath={.status.replicas} {.status.availableReplicas}")
		return seen, seen == fmt.Sprintf("%d %d", want, want)
	})
}

// testDrain puts the pods on one of the nodes that are simulated and drains it.
func (c *cluster) testDrain(t *testing.T) {
	nodes := strings.Fields(c.kubectl(t, "get", "nodes", "-l", "type=kwok", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(nodes) < 2 {
		t.Fatalf("the cluster has %d nodes with the label type=kwok, want 2: bring it up with simulated nodes", len(nodes))
	}
	dir := c.local(t, "../overlays/production")
	c.write(t, "kubernetes/e2e-drain/kustomization.yaml", `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../e2e]
patches:
  - target: {kind: Deployment}
    patch: |-
      - {op: add, path: /spec/template/spec/nodeSelector, value: {type: kwok}}
      - {op: add, path: /spec/template/spec/tolerations, value: [{key: kwok.x-k8s.io/node, operator: Exists, effect: NoSchedule}]}
`)
	for _, n := range nodes[1:] {
		c.kubectl(t, "cordon", n)
	}
	defer func() {
		for _, n := range nodes {
			_, _ = c.try("uncordon", n)
		}
	}()
	c.kubectl(t, "apply", "-k", dir+"-drain")
	c.waitSimulated(t, 3)
	for _, n := range nodes[1:] {
		c.kubectl(t, "uncordon", n)
	}
	least, stop, done := 3, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			// What a budget counts: pods that are ready and stay.
			if seen, err := c.try("get", "pods", "-l", "app.kubernetes.io/name=housing-api", "-o",
				`jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{.metadata.deletionTimestamp}{"\n"}{end}`); err == nil {
				least = min(least, len(regexp.MustCompile(`(?m)^True$`).FindAllString(seen, -1)))
			}
		}
	}()
	_, err := c.try("drain", nodes[0], "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=5m")
	close(stop)
	<-done
	if err != nil {
		t.Fatal(err)
	}
	left := c.kubectl(t, "get", "pods", "-l", "app.kubernetes.io/name=housing-api", "--field-selector", "spec.nodeName="+nodes[0], "-o", "jsonpath={.items[*].metadata.name}")
	t.Logf("drained: at least %d of 3 pods were ready", least)
	if least < 2 {
		t.Errorf("only %d pods were ready during the drain, want 2", least)
	}
	if left != "" {
		t.Errorf("pods %s are still on the node", left)
	}
	// The budget itself: of two evictions at once one is refused.
	c.waitSimulated(t, 3)
	pods, taken := c.podsOf(t, "app.kubernetes.io/name=housing-api"), 0
	for _, pod := range pods[:2] {
		eviction := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`, pod, c.namespace)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := run(ctx, eviction, "kubectl", "create", "--raw", "/api/v1/namespaces/"+c.namespace+"/pods/"+pod+"/eviction", "-f", "-")
		cancel()
		switch {
		case err == nil:
			taken++
		case !strings.Contains(err.Error(), "disruption budget"):
			t.Errorf("eviction of %s: %v", pod, err)
		}
	}
	if taken != 1 {
		t.Errorf("%d of two evictions at once were let through, want 1", taken)
	}
	c.kubectl(t, "delete", "-k", dir+"-drain", "--ignore-not-found", "--wait=true", "--timeout=5m", "--grace-period=1")
	c.clear(t)
}

// kinds counts the objects of a list by kind.
func kinds(t *testing.T, list string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^kind: (\S+)$`).FindAllStringSubmatch(list, -1) {
		found[m[1]]++
	}
	if len(found) == 0 {
		t.Fatal("no objects")
	}
	return found
}

func asJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}
