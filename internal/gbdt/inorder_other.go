//go:build !(goexperiment.simd && amd64)

package gbdt

// kernels returns those of this machine, the fastest last: without vectors
// there is one.
func kernels() []kernel { return []kernel{portable} }

func (*inOrder) addRows512(*codeBlock, int, *[blockRows]float32) { panic("no vectors in this build") }

func (*inOrder) addRows256(*codeBlock, *[blockRows]float32) { panic("no vectors in this build") }

func (*inOrder) sumRow512(*[maxPlaces + 1]uint8) float32 { panic("no vectors in this build") }

func (*search) encode512([]uint8, int, []float32) { panic("no vectors in this build") }

func (*search) encode256([]uint8, int, []float32) { panic("no vectors in this build") }
