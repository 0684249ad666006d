package model

import (
	"testing"

	"housing/internal/house"
	"housing/internal/model/modeltest"
)

// TestSegmentsAreMeasuredOnTheirOwn gives the dear half of the sales prices that
// are a tenth too high, and those of one zipcode a fifth too low.
func TestSegmentsAreMeasuredOnTheirOwn(t *testing.T) {
	sales := modeltest.Sales(400)
	for i := range sales {
		sales[i].Price = 100_000 + 1000*float64(i)
		sales[i].House.Values[house.ZipcodeField] = float64(98001 + i%4)
	}
	few := sales[7].House.Zipcode() // that of i%4 == 3
	for i := range sales[:380] {
		if sales[i].House.Zipcode() == few {
			sales[i].House.Values[house.ZipcodeField] = 98001
		}
	}
	predicted := pricesOf(sales)
	for i := range predicted {
		switch {
		case sales[i].House.Zipcode() == 98002:
			predicted[i] *= 0.8
		case i >= 200:
			predicted[i] *= 1.1
		}
	}
	segments, err := SegmentsOf(sales, predicted)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Segment{}
	for _, g := range segments {
		found[g.By+" "+g.Name] = g
		if g.Sales < minSegmentSales {
			t.Errorf("%s has %d sales", g.Name, g.Sales)
		}
	}
	if len(segments) != segmentTiers+3 || len(found) != len(segments) || segments[0].By != ByPrice || segments[segmentTiers].Name != "98001" {
		t.Fatalf("%+v", segments)
	}
	low, high := found["price $100K to $179K"], found["price $420K to $499K"]
	if low.Sales != 80 || low.MedianRatio != 1 || high.MedianRatio != 1.1 || low.MdAPE != 0 || high.MdAPE != 10 {
		t.Errorf("tiers %+v and %+v", low, high)
	}
	if g := found["zipcode 98002"]; g.MedianRatio != 0.8 || g.MdAPE != 20 || g.PPE10 != 0 || g.COD != 0 {
		t.Errorf("%+v", g)
	}
	if _, has := found["zipcode "+few.String()]; has {
		t.Errorf("five sales of %s make a segment", few)
	}
	if segments, err := SegmentsOf(nil, nil); err != nil || segments != nil {
		t.Errorf("of nothing: %v, %v", segments, err)
	}
	if _, err := SegmentsOf(sales, make([]float64, len(sales))); err == nil {
		t.Error("prices of nothing are measured")
	}
}
