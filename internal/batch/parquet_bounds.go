package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Bounds of a Parquet file, all of which are looked up before any of its data
// is read: what a page says of its size is what is allocated for it.
const (
	maxFooterBytes = 64 << 20
	maxColumns     = 1000
	maxPageBytes   = 64 << 20  // decompressed
	maxPagesBytes  = 512 << 20 // the largest page of each column together
	maxPageValues  = 16 << 20
	minHeaderBytes = 1 << 10 // that are read for the header of a page at first
	maxHeaderBytes = 1 << 20
)

const notParquet = "is not a Parquet file, or damaged"

// openParquet opens a Parquet file that keeps to the bounds.
func openParquet(r io.ReaderAt, size int64) (file *parquet.File, err error) {
	defer recovered(&err)
	var tail [8]byte
	if size < int64(len(tail)) {
		return nil, errors.New(notParquet + ": it is too short")
	}
	if _, err := r.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return nil, err
	}
	if footer := binary.LittleEndian.Uint32(tail[:]); footer > maxFooterBytes || int64(footer) > size {
		return nil, fmt.Errorf("%s: it says that its footer has %d bytes, where the file has %d and %d are allowed", notParquet, footer, size, maxFooterBytes)
	}
	file, err = parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", notParquet, err)
	}
	for _, leaf := range file.Root().Columns() {
		switch {
		case !leaf.Leaf() || leaf.Repeated():
			return nil, fmt.Errorf("column %s is a list or a group, and only plain columns are read: leave it out", clip(leaf.Name()))
		case leaf.Encoding() == nil && file.NumRows() > 0 && len(file.RowGroups()) > 0:
			return nil, fmt.Errorf("column %s: %s", clip(leaf.Name()), notParquet)
		}
	}
	if n := len(file.Root().Columns()); n > maxColumns {
		return nil, fmt.Errorf("must have at most %d columns, has %d", maxColumns, n)
	}
	return file, checkPages(r, size, file)
}

// recovered makes an error of a panic: the reader of Parquet panics on some
// files that are damaged.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: %v", notParquet, p)
	}
}

// checkPages walks through the headers of all pages of the file.
func checkPages(r io.ReaderAt, size int64, file *parquet.File) error {
	largest := make([]int64, len(file.Root().Columns()))
	for _, group := range file.Metadata().RowGroups {
		for i := range group.Columns {
			chunk := &group.Columns[i].MetaData
			from := chunk.DataPageOffset
			if d := chunk.DictionaryPageOffset; d > 0 && d < from {
				from = d
			}
			if from < 0 || chunk.TotalCompressedSize < 0 || from > size-chunk.TotalCompressedSize {
				return fmt.Errorf("%s: column %s lies outside of it", notParquet, clip(file.Root().Columns()[i].Name()))
			}
			page, err := largestPage(io.NewSectionReader(r, from, chunk.TotalCompressedSize))
			if err != nil {
				return fmt.Errorf("column %s: %w", clip(file.Root().Columns()[i].Name()), err)
			}
			largest[i] = max(largest[i], page)
		}
	}
	sum := int64(0)
	for _, bytes := range largest {
		sum += bytes
	}
	if sum > maxPagesBytes {
		return fmt.Errorf("its pages are too large: one of each column has %d MiB together, more than %d: write it with smaller pages", sum>>20, maxPagesBytes>>20)
	}
	return nil
}

// largestPage returns the size of the largest page of a column chunk.
func largestPage(chunk *io.SectionReader) (largest int64, err error) {
	var protocol thrift.CompactProtocol
	buffer := make([]byte, minHeaderBytes)
	for at := int64(0); at < chunk.Size(); {
		n, err := chunk.ReadAt(buffer, at)
		if err != nil && err != io.EOF {
			return 0, err
		}
		reader := protocol.NewReaderFromBytes(buffer[:n])
		var header format.PageHeader
		if err := thrift.NewDecoder(reader).Decode(&header); err != nil {
			if n == len(buffer) && n < maxHeaderBytes { // statistics may be long
				buffer = make([]byte, 8*n)
				continue
			}
			return 0, fmt.Errorf("%s: header of a page: %w", notParquet, err)
		}
		values := max(header.DataPageHeader.V.NumValues, header.DataPageHeaderV2.V.NumValues, header.DictionaryPageHeader.V.NumValues)
		switch {
		case header.CompressedPageSize < 0 || header.UncompressedPageSize < 0 || reader.BytesRead() == 0:
			return 0, errors.New(notParquet + ": header of a page")
		case header.UncompressedPageSize > maxPageBytes || header.CompressedPageSize > maxPageBytes:
			return 0, fmt.Errorf("a page has %d MiB, more than %d: write it with smaller pages", max(header.UncompressedPageSize, header.CompressedPageSize)>>20, maxPageBytes>>20)
		case values > maxPageValues:
			return 0, fmt.Errorf("a page has %d values, more than %d: write it with smaller pages", values, maxPageValues)
		}
		largest = max(largest, int64(header.UncompressedPageSize))
		at += int64(reader.BytesRead()) + int64(header.CompressedPageSize)
	}
	return largest, nil
}
