package deploy_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// houseRow is a house of the batch.
type houseRow struct {
	ID         int64   `parquet:"id"`
	Bedrooms   int32   `parquet:"bedrooms"`
	Bathrooms  float64 `parquet:"bathrooms"`
	SqftLiving int32   `parquet:"sqft_living"`
	SqftLot    int32   `parquet:"sqft_lot"`
	Floors     float64 `parquet:"floors"`
	SqftAbove  int32   `parquet:"sqft_above"`
	SqftBase   int32   `parquet:"sqft_basement"`
	Zipcode    string  `parquet:"zipcode,dict"`
	Grade      int32   `parquet:"grade"`
	YrBuilt    int32   `parquet:"yr_built"`
	Lat        float64 `parquet:"lat"`
	Long       float64 `parquet:"long"`
}

var zipcodes = []string{"98001", "98004", "98023", "98034", "98042", "98052", "98075", "98103", "98115", "98118", "98136", "98199"}

// writeHouses writes parts of made-up houses.
func writeHouses(t *testing.T, dir string, parts, each int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	for p := range parts {
		file, err := os.Create(filepath.Join(dir, fmt.Sprintf("part-%05d.parquet", p)))
		if err != nil {
			t.Fatal(err)
		}
		w := parquet.NewGenericWriter[houseRow](file, parquet.Compression(&parquet.Snappy))
		rows := make([]houseRow, 0, 10_000)
		for i := range each {
			living := 600 + random.Int32N(4000)
			basement := random.Int32N(living / 3)
			rows = append(rows, houseRow{ID: int64(p)*int64(each) + int64(i), Bedrooms: 1 + random.Int32N(6), Bathrooms: float64(4+random.IntN(12)) / 4,
				SqftLiving: living, SqftLot: 1000 + random.Int32N(40_000), Floors: float64(2+random.IntN(4)) / 2, SqftAbove: living - basement, SqftBase: basement,
				Zipcode: zipcodes[random.IntN(len(zipcodes))], Grade: 5 + random.Int32N(7), YrBuilt: 1905 + random.Int32N(110),
				Lat: 47.2 + random.Float64()*0.5, Long: -122.4 + random.Float64()*0.4})
			if len(rows) == cap(rows) || i == each-1 {
				if _, err := w.Write(rows); err != nil {
					t.Fatal(err)
				}
				rows = rows[:0]
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testBatch values houses in eight shards on the cluster, kills one of them,
// and compares the bytes with those of one process.
func (c *cluster) testBatch(t *testing.T) {
	const shards = 8
	houses, err := strconv.Atoi(os.Getenv("E2E_HOUSES"))
	if err != nil {
		houses = 5_000_000
	}
	start := time.Now()
	writeHouses(t, filepath.Join(c.models, "houses"), 2*shards, houses/(2*shards))
	prices := filepath.Join(c.models, "prices")
	if err := os.MkdirAll(prices, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(prices, 0o777); err != nil { // for user 65532 of the pods
		t.Fatal(err)
	}
	t.Logf("wrote %d houses in %.0f s", houses, time.Since(start).Seconds())

	c.local(t, "../overlays/production") // models.yaml
	c.write(t, "kubernetes/e2e-batch/kustomization.yaml", `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: `+c.namespace+`
resources: [../base/namespace, serviceaccount.yaml, models.yaml, ../jobs/valuation]
configMapGenerator:
  - name: housing-valuation
    behavior: merge
    literals: [MODEL=v1, MODEL_DIR=/models, HOUSES=/models/houses, PRICES=/models/prices]
patches:
  - target: {kind: Job}
    patch: |-
      - {op: replace, path: /spec/parallelism, value: 2}
      - {op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 500m}
      - {op: add, path: /spec/template/spec/volumes/-, value: {name: models, persistentVolumeClaim: {claimName: housing-models}}}
      - {op: add, path: /spec/template/spec/containers/0/volumeMounts/-, value: {name: models, mountPath: /models}}
`)
	for from, to := range map[string]string{"e2e/models.yaml": "e2e-batch/models.yaml", "base/serviceaccount.yaml": "e2e-batch/serviceaccount.yaml"} {
		text, err := os.ReadFile(filepath.Join(c.tree, "kubernetes", from))
		if err != nil {
			t.Fatal(err)
		}
		c.write(t, "kubernetes/"+to, string(text))
	}
	start = time.Now()
	dir := filepath.Join(c.tree, "kubernetes/e2e-batch")
	c.kubectl(t, "apply", "-k", dir)
	// Kill the first shard that runs, at once.
	var killed string
	eventually(t, "a shard runs", func() (string, bool) {
		seen, _ := c.try("get", "pods", "-l", "app.kubernetes.io/name=housing-valuation,batch.kubernetes.io/job-completion-index=1", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].metadata.name}")
		killed = strings.TrimSpace(seen)
		return seen, killed != ""
	})
	c.kubectl(t, "delete", "pod", killed, "--grace-period=0", "--force")
	t.Logf("killed %s", killed)
	deadline := time.Now().Add(25 * time.Minute)
	for {
		status := c.kubectl(t, "get", "job", "housing-valuation", "-o", `jsonpath={.status.succeeded}|{.status.failedIndexes}|{.status.conditions[*].type}`)
		if strings.HasPrefix(status, strconv.Itoa(shards)+"|") && strings.Contains(status, "Complete") {
			break
		}
		if strings.Contains(status, "Failed") || time.Now().After(deadline) {
			logs, _ := c.try("logs", "-l", "app.kubernetes.io/name=housing-valuation", "--tail=5", "--prefix")
			t.Fatalf("the job is %s: %s", status, logs)
		}
		time.Sleep(2 * time.Second)
	}
	seconds := time.Since(start).Seconds()
	t.Logf("%d shards done after %.0f s: %.0f houses a second on two pods at once", shards, seconds, float64(houses)/seconds)
	indexes := strings.Fields(c.kubectl(t, "get", "pods", "-l", "app.kubernetes.io/name=housing-valuation", "-o", `jsonpath={.items[*].metadata.annotations.batch\.kubernetes\.io/job-completion-index}`))
	again := map[string]int{}
	for _, i := range indexes {
		again[i]++
	}
	if len(again) != shards || len(indexes) != shards {
		t.Errorf("pods that were not killed, by shard: %v; want one each", again)
	}

	start = time.Now()
	whole := filepath.Join(c.models, "whole")
	command := exec.Command(program(t), "predict", "--in", filepath.Join(c.models, "houses"), "--out", whole, "--model", filepath.Join(c.models, "v1/bundle"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	seconds = time.Since(start).Seconds()
	t.Logf("one process: %.0f s, %.0f houses a second, at most %d MiB", seconds, float64(houses)/seconds, maxResident(command))
	files, err := os.ReadDir(whole)
	if err != nil || len(files) != 2*shards {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if a, b := digest(t, filepath.Join(whole, f.Name())), digest(t, filepath.Join(prices, f.Name())); !bytes.Equal(a, b) {
			t.Errorf("%s has other bytes", f.Name())
		}
	}
	c.kubectl(t, "delete", "-k", dir, "--ignore-not-found", "--wait=true", "--timeout=5m")
	c.clear(t)
}

func digest(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return sum[:]
}
