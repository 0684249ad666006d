package bundle

import (
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// number is a type of number that parts are made of. Parts are little-endian.
type number interface {
	~float32 | ~float64 | ~int32 | ~uint32 | ~uint8
}

// tensor is a part of a bundle: numbers of one type in a shape.
type tensor struct {
	dtype string // as safetensors calls it
	shape []int
	data  []byte
}

// dtypes are the types of numbers by their safetensors name, and their size.
var dtypes = map[string]int{"F64": 8, "F32": 4, "I32": 4, "U32": 4, "U8": 1}

func dtypeOf[T number]() string {
	var zero T
	switch {
	case unsafe.Sizeof(zero) == 8:
		return "F64"
	case unsafe.Sizeof(zero) == 1:
		return "U8"
	case T(3)/2 != 1: // not whole
		return "F32"
	case zero-1 < 0:
		return "I32"
	default:
		return "U32"
	}
}

// size returns how many bytes the shape takes, or an error where it is
// negative or too large to count.
func (t *tensor) size() (int, error) {
	size := dtypes[t.dtype]
	for _, n := range t.shape {
		if n < 0 || n > 0 && size > math.MaxInt32/n {
			return 0, fmt.Errorf("shape %v is out of range", t.shape)
		}
		size *= n
	}
	return size, nil
}

// tensorOf returns values as a part, sharing their memory.
func tensorOf[T number](values []T, shape ...int) tensor {
	var zero T
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(zero)))
	return tensor{dtypeOf[T](), shape, data}
}

// parts are the tensors of a bundle that is being read, by name. The first
// thing that does not fit is kept as the error, so that a reader may ask for
// all and check once.
type parts struct {
	tensors map[string]tensor
	err     error
}

// has says whether there is a part of that name.
func (p *parts) has(name string) bool {
	_, ok := p.tensors[name]
	return ok
}

// valuesOf returns part name as numbers, sharing its memory. Its shape must
// be n × each of columns, with any n; n is returned.
func valuesOf[T number](p *parts, name string, columns ...int) (values []T, n int) {
	t, ok := p.tensors[name]
	switch {
	case p.err != nil:
		return nil, 0
	case !ok:
		p.err = fmt.Errorf("part %s is missing", name)
		return nil, 0
	case t.dtype != dtypeOf[T]() || len(t.shape) != 1+len(columns) || !slices.Equal(t.shape[1:], columns):
		p.err = fmt.Errorf("part %s is %s of shape %v, which this program does not read", name, t.dtype, t.shape)
		return nil, 0
	}
	if len(t.data) == 0 {
		return nil, 0
	}
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.data))), len(t.data)/int(unsafe.Sizeof(zero))), t.shape[0]
}

// oneOf returns the only number of part name.
func oneOf[T number](p *parts, name string) T {
	values, n := valuesOf[T](p, name)
	if p.err != nil {
		return 0
	}
	if n != 1 {
		p.err = fmt.Errorf("part %s holds %d numbers, not one", name, n)
		return 0
	}
	return values[0]
}

// structs returns numbers as structs that consist of fields of such numbers
// alone; each takes size/4 or size/8 of them.
func structs[S any, T number](values []T) []S {
	if len(values) == 0 {
		return nil
	}
	var number T
	var one S
	return unsafe.Slice((*S)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(number))/int(unsafe.Sizeof(one)))
}

// numbers is the way back of structs.
func numbers[T number, S any](values []S) []T {
	var number T
	var one S
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(one))/int(unsafe.Sizeof(number)))
}
