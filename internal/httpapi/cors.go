package httpapi

import (
	"net/http"
	"slices"
)

// What pages of other origins may send and see, and how long a browser
// remembers it. Credentials, which are cookies and the like, are never
// allowed: a page sends its token itself.
var (
	valueCORSMethods = []string{"GET, HEAD, POST"}
	valueCORSHeaders = []string{"Authorization, Content-Type, X-Request-ID, Canary, Traceparent, Tracestate"}
	valueCORSExposed = []string{"X-Request-ID, X-Model-Version, Retry-After, WWW-Authenticate, Traceresponse"}
	valueCORSAge     = []string{"600"}
	valueVaryOrigin  = []string{"Origin"}
)

// crossOrigin lets pages of the listed origins read answers, and answers
// their preflights. Without a list it is not there.
func (a *API) crossOrigin(next http.Handler) http.Handler {
	if len(a.CORSOrigins) == 0 {
		return next
	}
	anyone := slices.Contains(a.CORSOrigins, "*")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header["Vary"] = valueVaryOrigin
		origins := r.Header["Origin"]
		if len(origins) != 1 || !anyone && !slices.Contains(a.CORSOrigins, origins[0]) {
			next.ServeHTTP(w, r)
			return
		}
		header["Access-Control-Allow-Origin"] = origins
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			header["Access-Control-Allow-Methods"] = valueCORSMethods
			header["Access-Control-Allow-Headers"] = valueCORSHeaders
			header["Access-Control-Max-Age"] = valueCORSAge
			x := w.(*exchange)
			x.route = "preflight"
			x.WriteHeader(http.StatusNoContent)
			return
		}
		header["Access-Control-Expose-Headers"] = valueCORSExposed
		next.ServeHTTP(w, r)
	})
}
