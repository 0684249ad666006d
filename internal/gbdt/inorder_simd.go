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
