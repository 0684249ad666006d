package httpapi

import (
	"context"
	"net/http"
	"time"

	"housing/internal/auth"
	"housing/internal/journal"
	"housing/internal/valuer"
)

// Journal keeps what was predicted, and what it then sold for.
type Journal interface {
	// Record notes a prediction, which it does not keep, and waits for nothing.
	Record(p *journal.Prediction)
	Outcomes(ctx context.Context, outcomes []journal.Outcome) (journal.Result, error)
	Arms(ctx context.Context, since time.Time) ([]journal.Arm, journal.Difference, error)
}

// note notes an answer in the journal under w.noted.ID, if there is one.
func (a *API) note(w *workspace, x *exchange, r *http.Request, answer *valuer.Answer) (noted bool) {
	p := &w.noted
	*p = journal.Prediction{}
	if a.Journal == nil {
		return false
	}
	*p = journal.Prediction{Time: x.started, Version: answer.Version, Role: string(answer.Role), UserID: auth.UserHash(a.UserKey, x.user), Prices: answer.Prices}
	if ids := r.Header["X-Request-Id"]; len(ids) == 1 && ids[0] == x.id {
		p.ID = journal.NamedID(a.caller(x, r), x.id, r.URL.RequestURI(), w.body)
	} else {
		p.ID = journal.NewID(x.started)
	}
	a.Journal.Record(p)
	p.Prices = nil
	return true
}

// appendPredictionID adds the ID of a prediction to the JSON of an answer.
func appendPredictionID(answer []byte, id journal.ID) []byte {
	answer = append(answer[:len(answer)-len("}\n")], `,"prediction_id":"`...)
	return append(id.Append(answer), "\"}\n"...)
}
