package network

// Path fills dst, of one more number than there are groups, with the
// network's values on the way from one row to another: first that of from,
// then with each group of inputs in turn as in to, last that of to. The
// groups, between them, must name every input once, and the first two, from
// which the waves are made, together. Differences along such ways, averaged
// over orders of the groups, are Shapley values (Castro, Gómez & Tejada
// 2009); each way adds up. It allocates nothing.
func (n *Network) Path(dst []float64, from, to []float32, groups [][]int) {
	var inFrom, inTo, step [maxRow]float32
	var sums, first, second [maxHidden]float32
	width := n.width()
	n.expand(inFrom[:width], from)
	n.expand(inTo[:width], to)
	var direct float32 // over the linear way
	for i := range width {
		step[i] = inTo[i] - inFrom[i]
		direct += float32(n.Skip[i] * inFrom[i])
	}
	units := len(n.First.Bias)
	for u := range units {
		sums[u] = n.First.Bias[u] + dot(n.First.Weights[u*width:(u+1)*width], inFrom[:width])
	}
	dst[0] = n.Predict(from)
	for g, group := range groups[:len(groups)-1] {
		for _, i := range group {
			n.move(sums[:units], &direct, i, step[i])
			if i == 0 {
				for w := n.Inputs; w < width; w++ {
					n.move(sums[:units], &direct, w, step[w])
				}
			}
		}
		for u, v := range sums[:units] {
			first[u] = max(v, 0)
		}
		b := n.Second.rectified(second[:], first[:units])
		dst[g+1] = n.Mean + float64(n.Scale*float64(dot(n.Last.Weights, b)+direct+n.Last.Bias[0]))
	}
	dst[len(groups)] = n.Predict(to)
}

// move adds a step of one number to the sums of the first layer and of the
// linear way.
func (n *Network) move(sums []float32, direct *float32, at int, step float32) {
	if step == 0 {
		return
	}
	width := n.width()
	for u := range sums {
		sums[u] += float32(n.First.Weights[u*width+at] * step)
	}
	*direct += float32(n.Skip[at] * step)
}
