//go:build !goexperiment.simd || !amd64

package network

func vectors() bool { return false }

func (*Layer) rectifyByInput([]float32, []float32) { panic("no vectors in this build") }

func fillWaves(*[2 * wavesAtOnce]float32, *[wavesAtOnce]float32, *[wavesAtOnce]float32, float32, float32) bool {
	panic("no vectors in this build")
}
