package network

import (
	"fmt"
	"math"
)

// Network is a learned network. It never changes once made, but for Prepare,
// so any number of goroutines may predict with it.
type Network struct {
	Inputs int       // numbers of a row
	Waves  []float32 // waves × 2: direction and frequency over the place
	First  Layer     // from row, sines and cosines
	Second Layer
	Last   Layer     // to one number
	Skip   []float32 // from row, sines and cosines to that number
	// Mean and Scale turn that number into a label.
	Mean, Scale float64

	// As vectors read the waves, four at a time: how fast they rise to the
	// north and to the east; nil where they are not used.
	north, east []float32
}

// Layer is a weighted sum of inputs for each output.
type Layer struct {
	Weights []float32 // outputs × inputs, row-major
	Bias    []float32 // by output

	// As vectors read them, with outputs filled up to whole vectors by zeros;
	// nil where they are not used.
	byInput []float32 // inputs × outputs
	padded  []float32 // bias
}

// Bounds of a network, so that a prediction fits on the stack.
const (
	maxInputs = 64
	maxWaves  = 32
	maxHidden = 128
	maxRow    = maxInputs + 2*maxWaves
)

// width is how many numbers the first layer sees.
func (n *Network) width() int { return n.Inputs + len(n.Waves) }

// Check returns an error unless the parts fit each other and are finite, so
// that Predict cannot panic. Networks from outside must pass it.
func (n *Network) Check() error {
	hidden, second := len(n.First.Bias), len(n.Second.Bias)
	switch {
	case n.Inputs < 2 || n.Inputs > maxInputs:
		return fmt.Errorf("network of %d inputs, must be 2 to %d", n.Inputs, maxInputs)
	case len(n.Waves)%2 != 0 || len(n.Waves) > 2*maxWaves:
		return fmt.Errorf("network of %d numbers for waves, must be even and at most %d", len(n.Waves), 2*maxWaves)
	case hidden < 1 || hidden > maxHidden || second < 1 || second > maxHidden || hidden%4 != 0 || second%4 != 0:
		return fmt.Errorf("network of %d and %d units, must be multiples of four up to %d", hidden, second, maxHidden)
	case len(n.First.Weights) != hidden*n.width() || len(n.Second.Weights) != second*hidden ||
		len(n.Last.Weights) != second || len(n.Last.Bias) != 1 || len(n.Skip) != n.width():
		return fmt.Errorf("network's weights do not fit its %d inputs, %d and %d units", n.Inputs, hidden, second)
	}
	for _, values := range [][]float32{n.Waves, n.First.Weights, n.First.Bias, n.Second.Weights, n.Second.Bias, n.Last.Weights, n.Last.Bias, n.Skip, {float32(n.Mean), float32(n.Scale)}} {
		for _, v := range values {
			if v != v || math.IsInf(float64(v), 0) {
				return fmt.Errorf("network has a weight of %g", v)
			}
		}
	}
	return nil
}

// lanes is how many outputs a vector has.
const lanes = 8

// Prepare lays the weights of a network, which has passed Check, out for
// vectors, where the build and the machine have them. It predicts the same
// with them and without, to the bit.
func (n *Network) Prepare() {
	if vectors() {
		n.First.layOut()
		n.Second.layOut()
		n.layOutWaves()
	}
}

func (n *Network) layOutWaves() {
	n.north, n.east = nil, nil
	for i := 0; i < len(n.Waves)/(2*wavesAtOnce)*(2*wavesAtOnce); i += 2 { // the last few have no vector
		n.north, n.east = append(n.north, n.Waves[i]), append(n.east, n.Waves[i+1])
	}
}

// wavesAtOnce is how many waves vectors take.
const wavesAtOnce = 4

func (l *Layer) layOut() {
	outputs := len(l.Bias)
	inputs, stride := len(l.Weights)/outputs, (outputs+lanes-1)/lanes*lanes
	l.byInput, l.padded = make([]float32, inputs*stride), make([]float32, stride)
	copy(l.padded, l.Bias)
	for o := range outputs {
		for i := range inputs {
			l.byInput[i*stride+o] = l.Weights[o*inputs+i]
		}
	}
}

// Predict returns the network's value for a row of Inputs numbers, all of
// which are known. It allocates nothing.
func (n *Network) Predict(row []float32) float64 {
	var in [maxRow]float32
	var first, second [maxHidden]float32
	x := in[:n.width()]
	n.expand(x, row)
	a := n.First.rectified(first[:], x)
	b := n.Second.rectified(second[:], a)
	sum := dot(n.Last.Weights, b) + dot(n.Skip, x) + n.Last.Bias[0]
	return n.Mean + float64(n.Scale*float64(sum))
}

// expand fills dst with a row and the sines and cosines of its place.
func (n *Network) expand(dst, row []float32) {
	copy(dst, row[:n.Inputs])
	waves := dst[n.Inputs:]
	done := 0
	for w := 0; w < len(n.north); w += wavesAtOnce {
		if !fillWaves((*[2 * wavesAtOnce]float32)(waves[2*w:]), (*[wavesAtOnce]float32)(n.north[w:]), (*[wavesAtOnce]float32)(n.east[w:]), row[0], row[1]) {
			break
		}
		done = 2 * (w + wavesAtOnce)
	}
	for i := done; i+1 < len(n.Waves); i += 2 {
		angle := float64(float32(n.Waves[i]*row[0])) + float64(float32(n.Waves[i+1]*row[1]))
		sin, cos := math.Sincos(angle)
		waves[i], waves[i+1] = float32(sin), float32(cos)
	}
}

// rectified fills dst with the outputs of the layer, those under 0 as 0, and
// returns them. Four outputs are summed at a time, as no sum waits for
// another.
func (l *Layer) rectified(dst, x []float32) []float32 {
	outputs, k := len(l.Bias), len(x)
	if l.byInput != nil {
		l.rectifyByInput(dst, x)
		return dst[:outputs]
	}
	dst = dst[:outputs]
	for o := 0; o+4 <= outputs; o += 4 {
		w := l.Weights[o*k : (o+4)*k]
		w0, w1, w2, w3 := w[:k], w[k:][:k], w[2*k:][:k], w[3*k:][:k]
		b := l.Bias[o:][:4]
		s0, s1, s2, s3 := b[0], b[1], b[2], b[3]
		for i, v := range x {
			s0 += float32(w0[i] * v)
			s1 += float32(w1[i] * v)
			s2 += float32(w2[i] * v)
			s3 += float32(w3[i] * v)
		}
		d := dst[o:][:4]
		d[0], d[1], d[2], d[3] = max(s0, 0), max(s1, 0), max(s2, 0), max(s3, 0)
	}
	return dst
}

func dot(a, b []float32) float32 {
	var sum float32
	b = b[:len(a)]
	for i, v := range a {
		sum += float32(v * b[i])
	}
	return sum
}
