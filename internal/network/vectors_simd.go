//go:build goexperiment.simd && amd64

package network

import (
	"simd/archsimd"
	"unsafe"
)

// vectors says whether this machine has them.
func vectors() bool { return archsimd.X86.AVX2() }

// rectifyByInput fills dst with the outputs of a layer, those under 0 as 0.
// Each output is summed input by input, as without vectors, so that it is the
// same to the bit.
func (l *Layer) rectifyByInput(dst, x []float32) {
	none := archsimd.BroadcastFloat32x8(0)
	stride := len(l.padded)
	_, _ = dst[:stride], l.byInput[:len(x)*stride]
	weights, bias, out := unsafe.Pointer(unsafe.SliceData(l.byInput)), unsafe.Pointer(unsafe.SliceData(l.padded)), unsafe.Pointer(unsafe.SliceData(dst))
	at := func(p unsafe.Pointer, i int) archsimd.Float32x8 {
		return archsimd.LoadFloat32x8((*[lanes]float32)(unsafe.Add(p, 4*lanes*i)))
	}
	o := 0
	for ; o+8*lanes <= stride; o += 8 * lanes {
		b, w := unsafe.Add(bias, 4*o), unsafe.Add(weights, 4*o)
		s0, s1, s2, s3, s4, s5, s6, s7 := at(b, 0), at(b, 1), at(b, 2), at(b, 3), at(b, 4), at(b, 5), at(b, 6), at(b, 7)
		for i, v := range x {
			w, in := unsafe.Add(w, 4*stride*i), archsimd.BroadcastFloat32x8(v)
			s0 = s0.Add(at(w, 0).Mul(in))
			s1 = s1.Add(at(w, 1).Mul(in))
			s2 = s2.Add(at(w, 2).Mul(in))
			s3 = s3.Add(at(w, 3).Mul(in))
			s4 = s4.Add(at(w, 4).Mul(in))
			s5 = s5.Add(at(w, 5).Mul(in))
			s6 = s6.Add(at(w, 6).Mul(in))
			s7 = s7.Add(at(w, 7).Mul(in))
		}
		for i, s := range [8]archsimd.Float32x8{s0, s1, s2, s3, s4, s5, s6, s7} {
			s.Max(none).Add(none).Store((*[lanes]float32)(unsafe.Add(out, 4*(o+lanes*i)))) // zero is not negative
		}
	}
	for ; o < stride; o += lanes {
		s, w := at(unsafe.Add(bias, 4*o), 0), unsafe.Add(weights, 4*o)
		for i, v := range x {
			s = s.Add(at(unsafe.Add(w, 4*stride*i), 0).Mul(archsimd.BroadcastFloat32x8(v)))
		}
		s.Max(none).Add(none).Store((*[lanes]float32)(unsafe.Add(out, 4*o)))
	}
	archsimd.ClearAVXUpperBits()
}
