package bundle_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/house"
	"housing/internal/model/modeltest"
)

func TestReferenceStatisticsAreWrittenAndRead(t *testing.T) {
	c := bundletest.Contents(t, "t-1", 1)
	if c.Model.Reference == nil {
		t.Fatal("training made none")
	}
	data := bundletest.Bytes(t, "t-1", 1)
	b, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range c.Model.Reference.All() {
		if got := b.Model.Reference.All()[i]; !slices.Equal(got.Edges, want.Edges) || !slices.Equal(got.Counts, want.Counts) ||
			got.Unknown != want.Unknown || got.Min != want.Min || got.Max != want.Max {
			t.Errorf("distribution %d was %+v, and is read as %+v", i, want, got)
		}
	}
	c.Model = b.Model
	var again bytes.Buffer
	if err := bundle.Write(&again, c); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), data) {
		t.Error("what was read is written as other bytes")
	}
}

// TestABundleWithoutReferenceStatisticsLoads, as those do from before there
// were any.
func TestABundleWithoutReferenceStatisticsLoads(t *testing.T) {
	c := bundletest.Contents(t, "t-1", 1)
	c.Model.Reference = nil
	var data bytes.Buffer
	if err := bundle.Write(&data, c); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(data.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	houses := modeltest.Houses(50)
	if b.Model.Reference != nil || !slices.Equal(b.Model.Prices(nil, houses, b.Demographics), c.Model.Prices(nil, houses, c.Demographics)) {
		t.Error("it is not the bundle that was written")
	}
}

func TestReferenceStatisticsThatDoNotFitAreRefused(t *testing.T) {
	data := bundletest.Bytes(t, "t-1", 1)
	good, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	all := good.Model.Reference.All()
	var edges []byte
	for _, d := range all {
		for _, e := range d.Edges {
			edges = binary.LittleEndian.AppendUint64(edges, math.Float64bits(e))
		}
	}
	bins := func(change func(bins []int32)) []byte {
		var numbers []int32
		for _, d := range all {
			numbers = append(numbers, int32(len(d.Counts)))
		}
		change(numbers)
		text, _ := binary.Append(nil, binary.LittleEndian, numbers)
		return text
	}
	swapped := slices.Clone(edges)
	copy(swapped[:8], edges[8:16])
	copy(swapped[8:16], edges[:8])
	for want, parts := range map[string]map[string][]byte{
		"of bedrooms: edge 1 is 1, which is out of order":                     {"reference.edges": swapped},
		"distribution 0 has 0 bins":                                           {"reference.bins": bins(func(b []int32) { b[0] = 0 })},
		"distribution 2 has -1 bins":                                          {"reference.bins": bins(func(b []int32) { b[2] = -1 })},
		"distribution 18 has 2147483647 bins":                                 {"reference.bins": bins(func(b []int32) { b[18] = math.MaxInt32 })},
		"reference statistics have 1 edges and 1 bins of no distribution":     {"reference.bins": bins(func(b []int32) { b[18]-- })},
		"reference statistics of bathrooms: of 501 houses, others are of 500": {"reference.unknown": slices.Concat(make([]byte, 4), []byte{1, 0, 0, 0}, make([]byte, 4*(house.NumFields-1)))},
		"reference statistics of bedrooms: edge 0 is ":                        {"reference.range": make([]byte, 16*(house.NumFields+1))},
	} {
		_, err := bundle.Parse(bundle.Reassemble(t, data, parts))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
