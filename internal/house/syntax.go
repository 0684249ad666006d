package house

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// end checks that nothing stands after what was read.
func (r *reader) end() error {
	unread := r.json.UnreadBuffer()
	rest := bytes.TrimLeft(unread, " \t\r\n")
	if len(rest) == 0 {
		return nil
	}
	offset := r.json.InputOffset() + int64(len(unread)-len(rest)+r.skipped)
	return &SyntaxError{Offset: offset, Message: "there is more after the end of the JSON"}
}

// verdict turns what ended a reading into the error to report.
func (r *reader) verdict(err error, empty string) error {
	if err != nil && err != errTooMany {
		return r.syntaxError(err, empty)
	}
	if r.faults.Total > 0 {
		invalid := r.faults
		return &invalid
	}
	return nil
}

// syntaxError puts an error of the JSON reader in words for people.
func (r *reader) syntaxError(err error, empty string) error {
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
	e := &SyntaxError{Offset: syntactic.ByteOffset + int64(r.skipped)}
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
