//go:build !goexperiment.simd || !amd64

package network

func vectors() bool { return false }

func (*Layer) rectifyByInput([]float32, []float32) { panic("no vectors in this build") }
