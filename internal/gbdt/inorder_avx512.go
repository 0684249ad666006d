//go:build goexperiment.simd && amd64

package gbdt

import (
	"math/bits"
	"simd/archsimd"
	"unsafe"
)

// encode512 writes the codes of a row: that of place p to dst[p*stride].
func (s *search) encode512(dst []uint8, stride int, row []float32) {
	keys, out := unsafe.Pointer(unsafe.SliceData(s.keys)), unsafe.Pointer(unsafe.SliceData(dst))
	for i := range s.columns {
		c := &s.columns[i]
		value := unsafe.Pointer(&row[c.source])
		x := archsimd.BroadcastFloat32x16(*(*float32)(value))
		at := unsafe.Add(keys, 4*uintptr(c.keys))
		var atMost int
		if c.large {
			atMost = searchWidth * countAtMost512(at, x)
			at = unsafe.Add(at, 4*(searchWidth+atMost))
		}
		atMost += countAtMost512(at, x)
		left, right := c.codes(*(*int32)(value), int32(atMost))
		*(*uint8)(unsafe.Add(out, int(c.left)*stride)) = left
		*(*uint8)(unsafe.Add(out, int(c.right)*stride)) = right
	}
	archsimd.ClearAVXUpperBits()
}

// countAtMost512 returns how many of 16 keys are at most x.
func countAtMost512(keys unsafe.Pointer, x archsimd.Float32x16) int {
	// They are the first ones, and padding is none of them.
	return bits.TrailingZeros32(^uint32(archsimd.LoadFloat32x16((*[16]float32)(keys)).LessEqual(x).ToBits()))
}

// exclude returns the leftmost possible leaves after a node, between leaves
// next-1 and next, of which a row with a code over the node's goes right.
func exclude(leaf, next, row, code, first archsimd.Uint8x64) archsimd.Uint8x64 {
	moved := next.Merge(leaf, row.Greater(code))
	return moved.Merge(leaf, leaf.GreaterEqual(first))
}

func load512(p unsafe.Pointer) archsimd.Uint8x64 { return archsimd.LoadUint8x64((*[64]uint8)(p)) }

// addRows512 adds to sums the leaves of the first rows of a block, tree after
// tree; those of others may be added too. Two vectors are under way at once, as
// each waits for itself: of 64 rows each, or of as many rows in two trees.
func (l *inOrder) addRows512(block *codeBlock, rows int, sums *[blockRows]float32) {
	for gi := range l.groups {
		if g := &l.groups[gi]; rows <= blockRows/2 {
			l.addPairs512(g, block, rows, sums)
		} else {
			l.addSingles512(g, block, rows, sums)
		}
	}
}

// addSingles512 is addRows512 of a group of trees, for a whole block.
func (l *inOrder) addSingles512(g *treesInOrder, block *codeBlock, rows int, sums *[blockRows]float32) {
	one := archsimd.BroadcastUint8x64(1)
	for t := range g.trees {
		var a, b, next archsimd.Uint8x64 // leaves of 64 rows and 64 more
		for from := 0; from < g.nodes; from += chunkNodes {
			at := g.node + t*g.stride + from
			codes, firsts := load512(unsafe.Pointer(&l.codes[at])), load512(unsafe.Pointer(&l.firsts[at]))
			for _, place := range l.places[at : at+min(chunkNodes, g.nodes-from)] {
				// Node i compares with codes[i]: i, the low bits of which
				// choose from the 64, is next before it is counted up.
				code, first := codes.Permute(next), firsts.Permute(next)
				next = next.Add(one)
				of := unsafe.Pointer(&block[place])
				a = exclude(a, next, load512(of), code, first)
				b = exclude(b, next, load512(unsafe.Add(of, 64)), code, first)
			}
		}
		var reached [blockRows]uint8
		a.Store((*[64]uint8)(reached[:]))
		b.Store((*[64]uint8)(reached[64:]))
		l.addLeaves512(g, t, reached[:(rows+15)/16*16], sums)
	}
	archsimd.ClearAVXUpperBits()
}

// addPairs512 is addRows512 of a group of trees, for up to 64 rows.
func (l *inOrder) addPairs512(g *treesInOrder, block *codeBlock, rows int, sums *[blockRows]float32) {
	one := archsimd.BroadcastUint8x64(1)
	for t := 0; t < g.trees; t += 2 {
		u := min(t+1, g.trees-1) // the last of an odd number is its own pair
		var a, b, next archsimd.Uint8x64
		for from := 0; from < g.nodes; from += chunkNodes {
			atA, atB, n := g.node+t*g.stride+from, g.node+u*g.stride+from, min(chunkNodes, g.nodes-from)
			codesA, firstsA := load512(unsafe.Pointer(&l.codes[atA])), load512(unsafe.Pointer(&l.firsts[atA]))
			codesB, firstsB := load512(unsafe.Pointer(&l.codes[atB])), load512(unsafe.Pointer(&l.firsts[atB]))
			placesB := l.places[atB : atB+n]
			for i, place := range l.places[atA : atA+n] {
				codeA, firstA := codesA.Permute(next), firstsA.Permute(next)
				codeB, firstB := codesB.Permute(next), firstsB.Permute(next)
				next = next.Add(one)
				a = exclude(a, next, load512(unsafe.Pointer(&block[place])), codeA, firstA)
				b = exclude(b, next, load512(unsafe.Pointer(&block[placesB[i]])), codeB, firstB)
			}
		}
		var reached [blockRows]uint8
		a.Store((*[64]uint8)(reached[:]))
		b.Store((*[64]uint8)(reached[64:]))
		l.addLeaves512(g, t, reached[:(rows+15)/16*16], sums)
		if u > t {
			l.addLeaves512(g, u, reached[64:][:(rows+15)/16*16], sums)
		}
	}
	archsimd.ClearAVXUpperBits()
}

// addLeaves512 adds a tree's values of the leaves that rows reached.
func (l *inOrder) addLeaves512(g *treesInOrder, tree int, reached []uint8, sums *[blockRows]float32) {
	leaves := l.leaves[g.leaf+tree*g.leaves:][:g.leaves]
	low, high := load32(leaves)
	for r := 0; r < len(reached); r += 16 {
		rows := archsimd.LoadUint8x16((*[16]uint8)(reached[r:])).ExtendToUint32()
		v := low.ConcatPermute(high, rows) // of the low five bits of rows
		for from := chunkLeaves; from < len(leaves); from += chunkLeaves {
			low, high := load32(leaves[from:])
			v = low.ConcatPermute(high, rows).Merge(v, rows.GreaterEqual(archsimd.BroadcastUint32x16(uint32(from))))
		}
		sum := (*[16]float32)(sums[r:])
		archsimd.LoadFloat32x16(sum).Add(v).Store(sum)
	}
	archsimd.ClearAVXUpperBits()
}

func load32(values []float32) (low, high archsimd.Float32x16) {
	both := (*[chunkLeaves]float32)(values)
	return archsimd.LoadFloat32x16((*[16]float32)(both[:])), archsimd.LoadFloat32x16((*[16]float32)(both[16:]))
}

// sumRow512 returns the sum of the trees' leaves for one row.
func (l *inOrder) sumRow512(codes *[maxPlaces + 1]uint8) float32 {
	one := archsimd.BroadcastUint8x64(1)
	p := unsafe.Pointer(codes)
	low, high := load512(p), load512(unsafe.Add(p, 64))
	var sum archsimd.Float32x8 // the same in each place
	for gi := range l.groups {
		g := &l.groups[gi]
		var a, b, next archsimd.Uint8x64 // leaves of 64 trees and 64 more
		p := unsafe.Pointer(unsafe.SliceData(l.across[g.across*groupTrees:]))
		if l.wide {
			third, fourth := load512(unsafe.Pointer(&codes[128])), load512(unsafe.Pointer(&codes[192]))
			half := archsimd.BroadcastUint8x64(128)
			for range g.nodes {
				next = next.Add(one)
				of := load512(p)
				row := third.ConcatPermute(fourth, of).Merge(low.ConcatPermute(high, of), of.GreaterEqual(half))
				a = exclude(a, next, row, load512(unsafe.Add(p, 128)), load512(unsafe.Add(p, 256)))
				of = load512(unsafe.Add(p, 64))
				row = third.ConcatPermute(fourth, of).Merge(low.ConcatPermute(high, of), of.GreaterEqual(half))
				b = exclude(b, next, row, load512(unsafe.Add(p, 192)), load512(unsafe.Add(p, 320)))
				p = unsafe.Add(p, 3*groupTrees)
			}
		} else {
			for range g.nodes {
				next = next.Add(one)
				a = exclude(a, next, low.ConcatPermute(high, load512(p)), load512(unsafe.Add(p, 128)), load512(unsafe.Add(p, 256)))
				b = exclude(b, next, low.ConcatPermute(high, load512(unsafe.Add(p, 64))), load512(unsafe.Add(p, 192)), load512(unsafe.Add(p, 320)))
				p = unsafe.Add(p, 3*groupTrees)
			}
		}
		var reached [groupTrees]uint8
		a.Store((*[64]uint8)(reached[:]))
		b.Store((*[64]uint8)(reached[64:]))
		// reached is at most g.nodes, which is less than g.leaves.
		leaves, step := unsafe.Pointer(unsafe.SliceData(l.leaves[g.leaf:][:g.trees*g.leaves])), 4*g.leaves
		for t := range g.trees {
			sum = sum.Add(archsimd.BroadcastFloat32x8(*(*float32)(unsafe.Add(leaves, 4*uintptr(reached[t&(groupTrees-1)])))))
			leaves = unsafe.Add(leaves, step)
		}
	}
	var sums [8]float32
	sum.Store(&sums)
	archsimd.ClearAVXUpperBits()
	return sums[0]
}
