package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Reason is why an outside system is down, in one word that anyone may see.
type Reason string

// The reasons. There are no others, so that they may label a metric.
const (
	Unreachable      Reason = "unreachable" // refused, no such host, broken off
	Timeout          Reason = "timeout"
	Restarting       Reason = "restarting" // it is starting or stopping
	Authentication   Reason = "authentication"
	OutOfConnections Reason = "out_of_connections"
	ReadOnly         Reason = "read_only" // it answers, and takes no change
	Full             Reason = "full"      // it answers, and has no room
	Permission       Reason = "permission"
	Other            Reason = "error"
)

// ErrFull is what a system is reported with that has no room for what is to be
// kept.
var ErrFull = errors.New("there is no room")

// errReadOnly is what a primary that takes no change is reported with.
var errReadOnly = errors.New("it takes no change")

// reasons are the codes of PostgreSQL that have a reason of their own; of two
// digits, a whole class. https://www.postgresql.org/docs/15/errcodes-appendix.html
var reasons = map[string]Reason{
	"08":    Unreachable,
	"25006": ReadOnly,
	"28":    Authentication,
	"3D000": Authentication, // no such database
	"42501": Permission,
	"53300": OutOfConnections,
	"57P01": Restarting,
	"57P02": Restarting,
	"57P03": Restarting,
}

// ReasonOf returns why a call failed; "" for nil.
func ReasonOf(err error) Reason {
	var server *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	if reason, refused := redisReason(err); refused {
		return reason
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrFull):
		return Full
	case errors.Is(err, errReadOnly):
		return ReadOnly
	case errors.As(err, &server):
		if r, known := reasons[server.Code]; known {
			return r
		}
		if r, known := reasons[server.Code[:min(2, len(server.Code))]]; known {
			return r
		}
		return Other
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), pgconn.Timeout(err):
		return Timeout
	case errors.As(err, &connect), errors.As(err, &network), pgconn.SafeToRetry(err),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Unreachable
	}
	return Other
}

// phrases say a reason to the person who runs a command.
var phrases = map[Reason]string{
	Unreachable:      "cannot be reached: is it running, and is the address right?",
	Timeout:          "did not answer in time",
	Restarting:       "is starting or stopping: try again",
	Authentication:   "does not let this user in: check user, password and database",
	OutOfConnections: "has no connection left: try again, or raise its max_connections",
	ReadOnly:         "takes no change: it is a replica, or default_transaction_read_only is on",
	Permission:       "does not allow this user to do it",
}

// Explain returns an error of one line that says what is wrong with the
// server and what to do, without the password. Errors that are not the
// server's stay as they are.
func Explain(pool *pgxpool.Pool, err error) error {
	return explain(pool.Config().ConnConfig, err)
}

func explain(server *pgx.ConnConfig, err error) error {
	reason := ReasonOf(err)
	phrase, known := phrases[reason]
	var answered *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case known && errors.As(err, &answered):
		phrase += fmt.Sprintf(" (SQLSTATE %s)", answered.Code)
	case known:
	case errors.As(err, &answered):
		phrase = "answered: " + answered.Message
	default:
		return err
	}
	address := fmt.Sprintf("%s:%d", server.Host, server.Port)
	return &fault{text: hide(fmt.Sprintf("PostgreSQL at %s %s", address, phrase), server.Password), cause: err}
}

// hide takes a password and line breaks out of a text.
func hide(text, password string) string {
	if password != "" {
		text = strings.ReplaceAll(text, password, "***")
	}
	return strings.Join(strings.Fields(text), " ")
}

// fault is an error of a server in words of ours; the cause is for
// errors.Is and errors.As alone.
type fault struct {
	text  string
	cause error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.cause }
