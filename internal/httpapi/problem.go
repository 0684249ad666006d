package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/auth"
	"housing/internal/house"
	"housing/internal/rollout"
	"housing/internal/valuer"
)

// Problem is an error as the client sees it, RFC 9457.
type Problem struct {
	Type   string        `json:"type"`
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Detail string        `json:"detail"`
	Errors []house.Fault `json:"errors,omitempty"`
	// Line is for clients of the Open Inference Protocol, which know no problems.
	Line string `json:"error,omitempty" doc:"Detail and the first faults in one line, as the Open Inference Protocol has errors; only under /v2."`

	total      int    // faults, of which Errors are the first
	retryAfter string // seconds
	challenge  string // of WWW-Authenticate
	close      bool   // the rest of the request is not read
	body       []byte // if it was made before
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// statusClientGone is the status in metrics of a request whose client went
// away before the answer; nobody reads it.
const statusClientGone = 499

func problem(status int, detail string) *Problem {
	title := http.StatusText(status)
	if status == statusClientGone {
		title = "Client Closed Request"
	}
	return &Problem{Type: "about:blank", Title: title, Status: status, Detail: detail}
}

func internalProblem() *Problem {
	return problem(http.StatusInternalServerError, "something went wrong here; the request ID finds it in the log")
}

func unavailable(detail string) *Problem {
	p := problem(http.StatusServiceUnavailable, detail)
	p.retryAfter = "1"
	return p
}

// overloadedNow refuses a request while too much work waits. It is made
// once, as refusing has to cost less than answering.
var overloadedNow = unavailable("too many predictions are waiting; try again").whole()

// whole keeps the body of a problem that never changes.
func (p *Problem) whole() *Problem {
	p.body = p.marshal()
	return p
}

// unmatchedProblem says that no route has this path, or not this method.
func unmatchedProblem(status int, r *http.Request) *Problem {
	switch {
	case status == http.StatusNotFound && strings.HasPrefix(r.URL.Path, modelsPath):
		return problem(status, "the only model is "+inferenceModel+", at "+modelPath)
	case status == http.StatusNotFound:
		return problem(status, "there is nothing at this path; /docs lists what there is")
	case status == http.StatusMethodNotAllowed:
		return problem(status, "this path does not take this method; the Allow header lists those it takes")
	}
	return problem(status, "this request cannot be routed")
}

// fail answers with the problem that err is, and tells the log. It is the one
// place where errors become answers.
func (a *API) fail(x *exchange, err error) {
	p := asProblem(err)
	a.logFailure(x, p, err)
	if x.status != 0 { // the answer has begun and cannot be taken back
		panic(http.ErrAbortHandler)
	}
	x.write(p)
}

// logFailure remembers our own failures and logs them always, with their cause, and of those of a
// prediction every other one too; only who is told to wait, or has gone, is
// remembered and logged at most eventsPerSecond, as nothing else bounds how
// often they ask.
func (a *API) logFailure(x *exchange, p *Problem, err error) {
	if p.retryAfter != "" && !a.refusals.Allow(x.started) {
		return
	}
	if p.Status >= http.StatusInternalServerError {
		a.errors.add(RecentError{Time: a.Now().UTC(), Route: x.route, Status: p.Status, Detail: p.Detail, RequestID: x.id})
	}
	event, level, cause := "http_error", slog.LevelError, err.Error()
	switch {
	case p.Status == http.StatusInternalServerError:
	case !x.predict:
		return
	case p.Status == statusClientGone && !a.refusals.Allow(x.started):
		return
	case p.Status > http.StatusInternalServerError:
		level, cause = slog.LevelWarn, p.Detail
	default:
		level, cause = slog.LevelInfo, p.Detail
	}
	if x.predict {
		event = "prediction_error"
		if x.records > 0 {
			a.logRequest(x)
		}
	}
	a.Log.LogAttrs(x.request.Context(), level, event, x.requestAttr(), x.traceAttr(), slog.String("route", x.route),
		slog.String("error_type", errorType(p)), slog.String("error", cause), a.userID(x))
}

// asProblem returns what the client is told of err.
func asProblem(err error) *Problem {
	var known *Problem
	var syntax *house.SyntaxError
	var invalid *house.InvalidError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &syntax):
		return problem(http.StatusBadRequest, syntax.Error())
	case errors.As(err, &invalid):
		p := problem(http.StatusUnprocessableEntity, invalidDetail(invalid))
		p.Errors, p.total = readable(invalid.Faults), invalid.Total
		return p
	case errors.Is(err, valuer.ErrUnknownVersion):
		return problem(http.StatusNotFound, "there is no such model version; /v1/models lists those there are")
	case errors.Is(err, rollout.ErrRefused):
		return problem(http.StatusNotFound, "this model version cannot be used: its bundle was refused; /v1/rollout says why")
	case errors.Is(err, rollout.ErrLoading):
		return unavailable("this model version is being loaded; try again")
	case errors.Is(err, valuer.ErrOverloaded):
		return unavailable("too many predictions are waiting; try again")
	case errors.Is(err, auth.ErrNoKeys):
		return unavailable(auth.ErrNoKeys.Error())
	case errors.Is(err, valuer.ErrNoModel):
		return unavailable("no model is running")
	case errors.Is(err, context.Canceled):
		return problem(statusClientGone, "the client went away")
	}
	return internalProblem()
}

// readable leaves out the values that most readers of JSON cannot hold, such
// as 1e999.
func readable(faults []house.Fault) []house.Fault {
	faults = slices.Clone(faults)
	for i := range faults {
		v := faults[i].Value
		if v.Kind() != jsontext.KindNumber {
			continue
		}
		if _, err := strconv.ParseFloat(string(v), 64); err != nil {
			faults[i].Value = nil
		}
	}
	return faults
}

func invalidDetail(e *house.InvalidError) string {
	switch {
	case e.Total == 1:
		return "the body has 1 fault"
	case e.Total > len(e.Faults):
		return fmt.Sprintf("the body has %d faults, of which the first %d are listed", e.Total, len(e.Faults))
	}
	return fmt.Sprintf("the body has %d faults", e.Total)
}

// write answers with the problem.
func (x *exchange) write(p *Problem) {
	body := p.body
	if underInference(x.request.URL.Path) {
		inLine := *p
		inLine.Line = p.line()
		body = inLine.marshal()
	}
	if body == nil {
		body = p.marshal()
	}
	p.setHeaders(x.Header())
	x.answer(p.Status, valueProblemJSON, body)
}

// line returns the detail, with the first faults where there are some.
func (p *Problem) line() string {
	if p.total == 0 {
		return p.Detail
	}
	detail, _, _ := strings.Cut(p.Detail, ",") // which counts those that are listed
	return detail + ": " + (&house.InvalidError{Faults: p.Errors, Total: p.total}).Error()
}

// marshal returns the problem as JSON.
func (p *Problem) marshal() []byte {
	body, err := json.Marshal(p)
	if err != nil { // only a mistake in the program
		body = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500,"detail":""}`)
	}
	return body
}

// setHeaders sets the headers that go with the problem.
func (p *Problem) setHeaders(header http.Header) {
	if p.retryAfter != "" {
		header.Set("Retry-After", p.retryAfter)
	}
	if p.challenge != "" {
		header.Set("WWW-Authenticate", p.challenge)
	}
	if p.close {
		header["Connection"] = valueClose
	}
	// What net/http's own error answers set is not ours.
	header.Del("Content-Length")
}

// errorType is the word for err in logs.
func errorType(p *Problem) string {
	return strings.ToLower(strings.ReplaceAll(p.Title, " ", "_"))
}
