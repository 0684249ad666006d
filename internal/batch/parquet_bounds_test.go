package batch

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// TestPagesAreBoundedBeforeTheyAreRead has pages of a few bytes that say that
// they are large.
func TestPagesAreBoundedBeforeTheyAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		header format.PageHeader
		want   string
	}{
		"small":       {format.PageHeader{UncompressedPageSize: 1000, CompressedPageSize: 3}, ""},
		"large":       {format.PageHeader{UncompressedPageSize: 1 << 30, CompressedPageSize: 3}, "a page has 1024 MiB, more than 64"},
		"negative":    {format.PageHeader{UncompressedPageSize: -1, CompressedPageSize: 3}, "is not a Parquet file"},
		"many values": {format.PageHeader{DataPageHeader: thrift.New(format.DataPageHeader{NumValues: 1 << 30})}, "a page has 1073741824 values"},
		"statistics": {format.PageHeader{UncompressedPageSize: 1 << 30, DataPageHeader: thrift.New(format.DataPageHeader{
			Statistics: format.Statistics{MaxValue: bytes.Repeat([]byte("x"), 100_000)}})}, "a page has 1024 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			var protocol thrift.CompactProtocol
			data, err := thrift.Marshal(&protocol, c.header)
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, make([]byte, max(0, c.header.CompressedPageSize))...)
			largest, err := largestPage(io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))))
			switch {
			case c.want == "" && (err != nil || largest != 1000):
				t.Errorf("got %d, %v", largest, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
