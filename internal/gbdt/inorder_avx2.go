//go:build goexperiment.simd && amd64

package gbdt

import (
	"math/bits"
	"simd/archsimd"
	"unsafe"
)

// signed turns a byte into one that compares as a signed number as it did as
// an unsigned one: AVX2 has no other comparison.
const signed = 0x80

// encode256 writes the codes of a row, made signed: that of place p to
// dst[p*stride].
func (s *search) encode256(dst []uint8, stride int, row []float32) {
	keys, out := unsafe.Pointer(unsafe.SliceData(s.keys)), unsafe.Pointer(unsafe.SliceData(dst))
	for i := range s.columns {
		c := &s.columns[i]
		value := unsafe.Pointer(&row[c.source])
		x := archsimd.BroadcastFloat32x8(*(*float32)(value))
		at := unsafe.Add(keys, 4*uintptr(c.keys))
		var atMost int
		if c.large {
			atMost = searchWidth * countAtMost256(at, x)
			at = unsafe.Add(at, 4*(searchWidth+atMost))
		}
		atMost += countAtMost256(at, x)
		left, right := c.codes(*(*int32)(value), int32(atMost))
		*(*uint8)(unsafe.Add(out, int(c.left)*stride)) = left ^ signed
		*(*uint8)(unsafe.Add(out, int(c.right)*stride)) = right ^ signed
	}
	archsimd.ClearAVXUpperBits()
}

// countAtMost256 returns how many of 16 keys are at most x.
func countAtMost256(keys unsafe.Pointer, x archsimd.Float32x8) int {
	low := archsimd.LoadFloat32x8((*[8]float32)(keys)).LessEqual(x).ToBits()
	high := archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(keys, 32))).LessEqual(x).ToBits()
	// They are the first ones, and padding is none of them.
	return bits.TrailingZeros32(^(uint32(low) | uint32(high)<<8))
}

// exclude256 returns the leftmost possible leaves of 32 rows after a node,
// between leaves next-1 and next, of which a row with a code over the node's
// goes right.
func exclude256(leaf, next archsimd.Int8x32, rows unsafe.Pointer, code, first archsimd.Int8x32) archsimd.Int8x32 {
	moved := next.Merge(leaf, archsimd.LoadInt8x32((*[32]int8)(rows)).Greater(code))
	return leaf.Merge(moved, first.Greater(leaf))
}

// addRows256 adds to sums the leaves of a block of rows with signed codes,
// tree after tree.
func (l *inOrder) addRows256(block *codeBlock, sums *[blockRows]float32) {
	var reached [blockRows]uint8
	one, none := archsimd.BroadcastInt8x32(1), archsimd.BroadcastInt8x32(-128)
	for gi := range l.groups {
		g := &l.groups[gi]
		for t := range g.trees {
			a, b, c, d, next := none, none, none, none, none
			at := g.node + t*g.stride
			codes, firsts := l.codes[at:at+g.nodes], l.firsts[at:at+g.nodes]
			for i, place := range l.places[at : at+g.nodes] {
				code, first := archsimd.BroadcastInt8x32(int8(codes[i]^signed)), archsimd.BroadcastInt8x32(int8(firsts[i]^signed))
				next = next.Add(one)
				rows := unsafe.Pointer(&block[place])
				a = exclude256(a, next, rows, code, first)
				b = exclude256(b, next, unsafe.Add(rows, 32), code, first)
				c = exclude256(c, next, unsafe.Add(rows, 64), code, first)
				d = exclude256(d, next, unsafe.Add(rows, 96), code, first)
			}
			for i, v := range [4]archsimd.Int8x32{a, b, c, d} {
				v.Xor(none).AsUint8x32().Store((*[32]uint8)(reached[32*i:]))
			}
			archsimd.ClearAVXUpperBits()
			leaves := (*[maxLeaves]float32)(l.leaves[g.leaf+t*g.leaves:])
			for r := range sums {
				sums[r] += leaves[reached[r]]
			}
		}
	}
	archsimd.ClearAVXUpperBits()
}
