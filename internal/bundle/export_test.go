package bundle

import (
	"bytes"
	"testing"
)

// Reassemble writes a bundle again with other bytes in its parts and
// checksums that fit them.
func Reassemble(t *testing.T, data []byte, replaced map[string][]byte) []byte {
	t.Helper()
	manifest, p, err := readContainer(aligned(data))
	if err != nil {
		t.Fatal(err)
	}
	for name, part := range replaced {
		changed := p.tensors[name]
		changed.data = part
		p.tensors[name] = changed
	}
	var b bytes.Buffer
	if err := writeContainer(&b, *manifest, p.tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
