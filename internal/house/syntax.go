package house

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// WithoutMark returns a text without a byte order mark before it, and how many
// bytes that took.
func WithoutMark(text []byte) (rest []byte, skipped int) {
	rest = bytes.TrimPrefix(text, byteOrderMark)
	return rest, len(text) - len(rest)
}

// end checks that nothing stands after what was read.
func (r *reader) end() error { return CheckEnd(&r.json, r.skipped) }

// CheckEnd returns a [*SyntaxError] if more stands in a text after what was
// read of it; skipped bytes before it were not given to the decoder.
func CheckEnd(json *jsontext.Decoder, skipped int) error {
	unread := json.UnreadBuffer()
	rest := bytes.TrimLeft(unread, " \t\r\n")
	if len(rest) == 0 {
		return nil
	}
	offset := json.InputOffset() + int64(len(unread)-len(rest)+skipped)
	return &SyntaxError{Offset: offset, Message: "there is more after the end of the JSON"}
}

// verdict turns what ended a reading into the error to report.
func (r *reader) verdict(err error, empty string) error {
	if err != nil && err != errTooMany {
		return NewSyntaxError(err, r.skipped, empty)
	}
	if r.faults.Total > 0 {
		invalid := r.faults
		return &invalid
	}
	return nil
}

// NewSyntaxError puts an error of a JSON decoder in words for people; skipped
// bytes before the text were not given to it, and empty says that there was
// nothing.
func NewSyntaxError(err error, skipped int, empty string) error {
	var ready *SyntaxError
	if errors.As(err, &ready) {
		return ready
	}
	if err == io.EOF {
		return &SyntaxError{Message: empty}
	}
	var syntactic *jsontext.SyntacticError
	if !errors.As(err, &syntactic) || syntactic.Err == nil {
		return &SyntaxError{Message: "it cannot be read"}
	}
	e := &SyntaxError{Offset: syntactic.ByteOffset + int64(skipped)}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Message = "it ends too early"
	case errors.Is(err, jsontext.ErrDuplicateName):
		e.Message = "the name " + strconv.Quote(clip([]byte(syntactic.JSONPointer.LastToken()))) + " stands twice in one object"
	default:
		e.Message = strings.TrimPrefix(syntactic.Err.Error(), "jsontext: ")
	}
	return e
}
