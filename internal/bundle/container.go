package bundle

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unsafe"
)

// Bounds on a bundle's size.
const (
	MaxBytes       = 1 << 30
	maxHeaderBytes = 1 << 20
	maxParts       = 64
)

// alignment is where parts begin, so that any number in them can be read
// where it lies.
const alignment = 8

// formatName and formatVersion tell a bundle from other safetensors files.
const formatName = "housing-bundle/1"

// metadata is the header's __metadata__, which safetensors wants to be
// strings.
type metadata struct {
	Format         string `json:"format"`
	Manifest       string `json:"manifest"`
	ManifestSHA256 string `json:"manifest_sha256"`
}

// placed is a part's entry in the header.
type placed struct {
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"` // from the end of the header
}

const metadataKey = "__metadata__"

// writeContainer writes a manifest and parts as one file. The same input
// gives the same bytes.
func writeContainer(w io.Writer, manifest Manifest, tensors map[string]tensor) error {
	names := order(tensors)
	manifest.Parts = map[string]string{}
	header := map[string]any{}
	end := 0
	for _, name := range names {
		t := tensors[name]
		manifest.Parts[name] = sum(t.data)
		header[name] = placed{t.dtype, t.shape, [2]int{end, end + len(t.data)}}
		end += len(t.data)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	header[metadataKey] = metadata{formatName, string(text), sum(text)}
	head, err := encodeHeader(header)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := w.Write(tensors[name].data); err != nil {
			return err
		}
	}
	return nil
}

// order returns the parts' names, those of larger numbers first, so that
// each begins where its numbers can be read.
func order[T interface{ wide() int }](tensors map[string]T) []string {
	return slices.SortedFunc(maps.Keys(tensors), func(a, b string) int {
		return cmp.Or(cmp.Compare(tensors[b].wide(), tensors[a].wide()), cmp.Compare(a, b))
	})
}

func (t tensor) wide() int { return dtypes[t.dtype] }
func (p placed) wide() int { return dtypes[p.DType] }

// encodeHeader returns the length and the JSON of a header, padded with
// spaces.
func encodeHeader(header map[string]any) ([]byte, error) {
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	for len(text)%alignment != 0 {
		text = append(text, ' ')
	}
	if len(text) > maxHeaderBytes {
		return nil, fmt.Errorf("header of %d bytes is over %d", len(text), maxHeaderBytes)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}

// readContainer returns the manifest and the parts of a file, which share
// its memory, after comparing every checksum.
func readContainer(data []byte) (*Manifest, *parts, error) {
	if len(data) > MaxBytes {
		return nil, nil, fmt.Errorf("%d bytes is over the %d that a bundle may have", len(data), MaxBytes)
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, nil, errors.New("bundles are read on little-endian machines only")
	}
	if len(data) < lengthBytes {
		return nil, nil, errors.New("not a bundle: shorter than its length field")
	}
	length, err := headerLength(data)
	if err != nil {
		return nil, nil, err
	}
	if uint64(len(data)) < lengthBytes+length {
		return nil, nil, fmt.Errorf("cut off: the header should end at byte %d, the file has %d", lengthBytes+length, len(data))
	}
	manifest, table, err := readHeader(data[:lengthBytes+length])
	if err != nil {
		return nil, nil, err
	}
	body := data[lengthBytes+length:]
	p, err := place(body, table)
	if err != nil {
		return nil, nil, err
	}
	for name, t := range p.tensors {
		if sum(t.data) != manifest.Parts[name] {
			return nil, nil, fmt.Errorf("damaged: part %s does not fit its checksum", name)
		}
	}
	return manifest, p, nil
}

// lengthBytes is how long the length of the header is, which a file begins
// with.
const lengthBytes = 8

// headerLength returns the length of the header of a file that begins so.
func headerLength(begin []byte) (uint64, error) {
	length := binary.LittleEndian.Uint64(begin)
	if length < 2 || length > maxHeaderBytes || length%alignment != 0 {
		return 0, errors.New("not a bundle: no header where it should be")
	}
	return length, nil
}

// readHeader reads a header, with its length before it.
func readHeader(head []byte) (*Manifest, map[string]placed, error) {
	meta, table, err := decodeHeader(head)
	if err != nil {
		return nil, nil, err
	}
	if sum([]byte(meta.Manifest)) != meta.ManifestSHA256 {
		return nil, nil, errors.New("damaged: the manifest does not fit its checksum")
	}
	var manifest Manifest
	if err := json.Unmarshal([]byte(meta.Manifest), &manifest); err != nil {
		return nil, nil, fmt.Errorf("manifest: %w", err)
	}
	if err := manifest.check(); err != nil {
		return nil, nil, err
	}
	return &manifest, table, nil
}

// ReadManifest reads the manifest of a bundle from its beginning, and no
// further: whether the rest is as the manifest says is not looked at.
func ReadManifest(r io.Reader) (*Manifest, error) {
	head := make([]byte, lengthBytes)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	length, err := headerLength(head)
	if err != nil {
		return nil, err
	}
	head = append(head, make([]byte, length)...)
	if _, err := io.ReadFull(r, head[lengthBytes:]); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	manifest, _, err := readHeader(head)
	return manifest, err
}

// decodeHeader reads a header and refuses one that this package would have
// written otherwise: then not a byte of it can differ unseen.
func decodeHeader(head []byte) (metadata, map[string]placed, error) {
	var meta metadata
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(head[8:], &raw); err != nil {
		return meta, nil, errors.New("not a bundle: its header is not JSON")
	}
	if err := strict(raw[metadataKey], &meta); err != nil || meta.Format != formatName {
		return meta, nil, fmt.Errorf("not a bundle: its header does not say %s", formatName)
	}
	if len(raw) > maxParts {
		return meta, nil, fmt.Errorf("%d parts are over the %d that a bundle may have", len(raw), maxParts)
	}
	header := map[string]any{metadataKey: meta}
	table := map[string]placed{}
	for name, entry := range raw {
		if name == metadataKey {
			continue
		}
		var p placed
		if err := strict(entry, &p); err != nil {
			return meta, nil, fmt.Errorf("part %.40q is not described as a tensor", name)
		}
		table[name], header[name] = p, p
	}
	again, err := encodeHeader(header)
	if err != nil {
		return meta, nil, err
	}
	if !bytes.Equal(again, head) {
		return meta, nil, errors.New("damaged: the header is not as it was written")
	}
	return meta, table, nil
}

func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// place finds the parts in body, which they must fill without a gap.
func place(body []byte, table map[string]placed) (*parts, error) {
	p := &parts{tensors: map[string]tensor{}}
	end := 0
	for _, name := range order(table) {
		at := table[name]
		t := tensor{dtype: at.DType, shape: at.Shape}
		if dtypes[t.dtype] == 0 {
			return nil, fmt.Errorf("part %.40q is of type %.10q, which this program does not read", name, t.dtype)
		}
		size, err := t.size()
		if err != nil {
			return nil, fmt.Errorf("part %.40q: %w", name, err)
		}
		if at.Offsets != [2]int{end, end + size} {
			return nil, fmt.Errorf("part %.40q is not where its shape puts it", name)
		}
		end += size
		if end > len(body) {
			return nil, fmt.Errorf("cut off: part %.40q should end %d bytes after the header, the file ends after %d", name, end, len(body))
		}
		t.data = body[end-size : end : end]
		p.tensors[name] = t
	}
	if end != len(body) {
		return nil, fmt.Errorf("%d bytes too many after the last part", len(body)-end)
	}
	return p, nil
}

// aligned returns data at an address where any number can be read, copied if
// need be.
func aligned(data []byte) []byte {
	if uintptr(unsafe.Pointer(unsafe.SliceData(data)))%alignment == 0 {
		return data
	}
	words := make([]uint64, (len(data)+7)/8)
	buffer := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)
	return buffer[:copy(buffer, data):len(data)]
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
