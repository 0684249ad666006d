//go:build goexperiment.simd && amd64

package gbdt

import "simd/archsimd"

// kernels returns those of this machine, the fastest last.
func kernels() []kernel {
	all := []kernel{portable}
	if archsimd.X86.AVX2() {
		all = append(all, avx2)
	}
	if archsimd.X86.AVX512() && archsimd.X86.AVX512VBMI() {
		all = append(all, avx512)
	}
	return all
}

// codes returns the codes of a value, given by its bits, where unknown goes left
// and where it goes right, of the number of thresholds that are at most the
// value, which is 0 for unknown.
func (c *searchColumn) codes(bits, atMost int32) (left, right uint8) {
	unknown := (0x7f800000 - bits&0x7fffffff) >> 31 // all ones, else 0
	return uint8(atMost), uint8(atMost | c.count&unknown)
}
