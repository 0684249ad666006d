package bundle

import (
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/network"
)

// The market and the smooth part of a model are in a bundle or not: those
// written before there were any, or trained without, have neither.

// addMarket adds the parts of the market.
func addMarket(to map[string]tensor, m *model.Market) {
	if m == nil {
		return
	}
	to["market.first"] = tensorOf([]int32{int32(m.First)}, 1)
	to["market.levels"] = tensorOf(m.Levels, len(m.Levels))
	to["market.slope"] = tensorOf([]float64{m.Slope}, 1)
}

func readMarket(p *parts) *model.Market {
	if !p.has("market.levels") {
		return nil
	}
	m := &model.Market{First: house.Date(oneOf[int32](p, "market.first")), Slope: oneOf[float64](p, "market.slope")}
	m.Levels, _ = valuesOf[float64](p, "market.levels")
	return m
}

// addSmooth adds the parts of the smooth part.
func addSmooth(to map[string]tensor, s *model.Smooth) {
	if s == nil {
		return
	}
	n := s.Network
	to["smooth.share"] = tensorOf([]float64{s.Share}, 1)
	to["smooth.input_mean"] = tensorOf(s.Scale.Mean, len(s.Scale.Mean))
	to["smooth.input_deviation"] = tensorOf(s.Scale.Deviation, len(s.Scale.Deviation))
	to["network.waves"] = tensorOf(n.Waves, len(n.Waves))
	to["network.skip"] = tensorOf(n.Skip, len(n.Skip))
	to["network.mean"] = tensorOf([]float64{n.Mean}, 1)
	to["network.scale"] = tensorOf([]float64{n.Scale}, 1)
	for _, l := range layersOf(n) {
		to["network."+l.name+".weights"] = tensorOf(l.Weights, len(l.Weights))
		to["network."+l.name+".bias"] = tensorOf(l.Bias, len(l.Bias))
	}
}

func readSmooth(p *parts) *model.Smooth {
	if !p.has("smooth.share") {
		return nil
	}
	s := &model.Smooth{Share: oneOf[float64](p, "smooth.share")}
	s.Scale.Mean, _ = valuesOf[float64](p, "smooth.input_mean")
	s.Scale.Deviation, _ = valuesOf[float64](p, "smooth.input_deviation")
	n := &network.Network{Inputs: len(s.Scale.Mean), Mean: oneOf[float64](p, "network.mean"), Scale: oneOf[float64](p, "network.scale")}
	n.Waves, _ = valuesOf[float32](p, "network.waves")
	n.Skip, _ = valuesOf[float32](p, "network.skip")
	for _, l := range layersOf(n) {
		l.Weights, _ = valuesOf[float32](p, "network."+l.name+".weights")
		l.Bias, _ = valuesOf[float32](p, "network."+l.name+".bias")
	}
	s.Network = n
	return s
}

// namedLayer is a layer of a network and what it is called in a bundle.
type namedLayer struct {
	name string
	*network.Layer
}

func layersOf(n *network.Network) []namedLayer {
	return []namedLayer{{"first", &n.First}, {"second", &n.Second}, {"last", &n.Last}}
}
