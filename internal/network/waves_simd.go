//go:build goexperiment.simd && amd64

package network

import (
	"math"
	"simd/archsimd"
)

// fillWaves fills dst with the sines and cosines of four waves, whose angles
// are north·lat + east·long, as math.Sincos computes them, to the bit: by the
// method of the Cephes library (Moshier 1989, sin.c), an octant and a
// polynomial on the rest of the angle. It returns false, and fills nothing,
// where an angle is too large for that.
func fillWaves(dst *[2 * wavesAtOnce]float32, north, east *[wavesAtOnce]float32, lat, long float32) bool {
	angle := archsimd.LoadFloat32x4(north).Mul(archsimd.BroadcastFloat32x4(lat)).ConvertToFloat64().
		Add(archsimd.LoadFloat32x4(east).Mul(archsimd.BroadcastFloat32x4(long)).ConvertToFloat64())
	const largest = 1 << 28 // its octant is an int32
	signBit := archsimd.BroadcastInt64x4(math.MinInt64)
	sign := angle.AsInt64x4().And(signBit)
	x := angle.AsInt64x4().Xor(sign).AsFloat64x4()
	if x.Less(archsimd.BroadcastFloat64x4(largest)).ToBits() != 0xf {
		archsimd.ClearAVXUpperBits()
		return false
	}

	// The nearest even octant, and what is left of the angle, by a quarter of
	// pi in three parts.
	octant := x.Mul(archsimd.BroadcastFloat64x4(4 / math.Pi)).ConvertToInt32()
	octant = octant.Add(octant.And(archsimd.BroadcastInt32x4(1)))
	y := octant.ConvertToFloat64()
	z := x.Sub(y.Mul(archsimd.BroadcastFloat64x4(7.85398125648498535156e-1))).
		Sub(y.Mul(archsimd.BroadcastFloat64x4(3.77489470793079817668e-8))).
		Sub(y.Mul(archsimd.BroadcastFloat64x4(2.69515142907905952645e-15)))
	square := z.Mul(z)
	cos := archsimd.BroadcastFloat64x4(1).Sub(archsimd.BroadcastFloat64x4(0.5).Mul(square)).
		Add(square.Mul(square).Mul(polynomial(square, &cosine)))
	sin := z.Add(z.Mul(square).Mul(polynomial(square, &sine)))

	// In every other even octant they change places.
	j := octant.ExtendToInt64()
	two := archsimd.BroadcastInt64x4(2)
	quarter := j.And(two)
	swapped := quarter.Equal(two)
	sin, cos = cos.Merge(sin, swapped), sin.Merge(cos, swapped)
	half := j.And(archsimd.BroadcastInt64x4(4)).ShiftAllLeft(61) // in the bit of the sign
	sin = sin.AsInt64x4().Xor(sign).Xor(half).AsFloat64x4()
	cos = cos.AsInt64x4().Xor(quarter.ShiftAllLeft(62)).Xor(half).AsFloat64x4()

	low := sin.ConvertToFloat32().AsUint32x4().ExtendToUint64()
	high := cos.ConvertToFloat32().AsUint32x4().ExtendToUint64().ShiftAllLeft(32)
	low.Or(high).AsFloat32x8().Store(dst)
	archsimd.ClearAVXUpperBits()
	return true
}

// Coefficients of Cephes, the highest power first.
var (
	sine = [6]float64{
		1.58962301576546568060e-10, -2.50507477628578072866e-8, 2.75573136213857245213e-6,
		-1.98412698295895385996e-4, 8.33333333332211858878e-3, -1.66666666666666307295e-1,
	}
	cosine = [6]float64{
		-1.13585365213876817300e-11, 2.08757008419747316778e-9, -2.75573141792967388112e-7,
		2.48015872888517045348e-5, -1.38888888888730564116e-3, 4.16666666666665929218e-2,
	}
)

func polynomial(x archsimd.Float64x4, of *[6]float64) archsimd.Float64x4 {
	p := archsimd.BroadcastFloat64x4(of[0])
	for _, c := range of[1:] {
		p = p.Mul(x).Add(archsimd.BroadcastFloat64x4(c))
	}
	return p
}
