package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"housing/internal/auth"
)

// authorize lets a request through to a route that needs a scope, and notes
// who asks. It runs before anything of the body is read.
func (a *API) authorize(x *exchange, r *http.Request, wanted auth.Scopes) error {
	if wanted == 0 || a.Auth == nil {
		return nil
	}
	token, err := auth.Bearer(r.Header["Authorization"])
	if err != nil {
		return a.refused(r, err)
	}
	caller, err := a.Auth.Verify(r.Context(), token)
	if err != nil {
		return a.refused(r, err)
	}
	x.user = caller.User
	if !caller.Scopes.Has(wanted) {
		a.authFailed(auth.NoScope)
		p := problem(http.StatusForbidden, "the token lacks the scope "+wanted.String())
		p.challenge = fmt.Sprintf(`Bearer realm="housing", error="insufficient_scope", scope=%q`, wanted)
		return p
	}
	return nil
}

// unreadBody is the largest body that is read to its end, so that the
// connection can go on, after its request was refused.
const unreadBody = 4 << 10

// refused turns an error of package auth into an answer, RFC 6750. Who sends
// bad tokens again and again is told to wait; a good token passes all the
// same, as others may share the address.
func (a *API) refused(r *http.Request, err error) error {
	var refusal *auth.Error
	if !errors.As(err, &refusal) {
		return err
	}
	a.authFailed(refusal.Reason)
	if refusal.Reason != auth.Missing && a.FailureLimiter != nil {
		if d := a.FailureLimiter.Allow(r.Context(), a.address(r), 1); !d.Allowed {
			p := tooMany(d, "too many bad tokens came from this address")
			p.close = r.ContentLength < 0 || r.ContentLength > unreadBody
			return p
		}
	}
	p := problem(http.StatusUnauthorized, refusal.Error())
	p.challenge = `Bearer realm="housing"`
	if refusal.Reason != auth.Missing {
		p.challenge = fmt.Sprintf(`Bearer realm="housing", error="invalid_token", error_description=%q`, refusal.Error())
	}
	p.close = r.ContentLength < 0 || r.ContentLength > unreadBody
	return p
}

// authFailed counts a failed authentication.
func (a *API) authFailed(reason auth.Reason) {
	a.Metrics.AuthFailures(string(reason)).Inc()
}

// userID returns what stands for the caller in logs; nothing for anyone.
func (a *API) userID(x *exchange) slog.Attr {
	if x.user == "" {
		return slog.Attr{}
	}
	return slog.String("user_id", auth.UserHash(a.UserKey, x.user))
}

// guarded says whether a route asks for a token.
func (a *API) guarded(r *route) bool { return a.Auth != nil && r.scope != 0 }

// problems returns the statuses with which a route can fail.
func (a *API) problems(r *route) []int {
	if !a.guarded(r) {
		return r.errors
	}
	all := append([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests}, r.errors...)
	slices.Sort(all)
	return slices.Compact(all)
}

// securityScheme is the name of the scheme in the documents.
const securityScheme = "bearer"

func securitySchemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{securityScheme: {
		Type: "http", Scheme: "bearer", BearerFormat: "JWT",
		Description: "A JSON Web Token whose claim scope names what it allows.",
	}}
}

// problemHeaders describes the headers of a problem.
func problemHeaders(status int) map[string]*huma.Param {
	headers := answerHeaders(nil)
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		headers["WWW-Authenticate"] = &huma.Param{Description: "What is wrong with the token, RFC 6750.", Schema: &huma.Schema{Type: "string"}}
	}
	return headers
}
