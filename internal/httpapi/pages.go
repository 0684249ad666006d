package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"housing/internal/auth"
	"housing/internal/house"
	"housing/internal/journal"
	"housing/internal/model"
	"housing/internal/valuer"
	"housing/internal/web"
)

// maxForm bounds the form of one house, in bytes: twenty short values and a
// token.
const maxForm = 64 << 10

// signInAbove is what a page says where the API speaks of a header.
const signInAbove = "sign in above, as this needs a token"

// pageRoutes are the pages for people. They are no part of the documents, but
// for /docs itself: what they show comes from routes that are.
func (a *API) pageRoutes() []route {
	assets := web.Assets()
	return []route{
		{method: "GET", path: "/", handle: a.housePage, operation: operation{id: "housePage", page: true}},
		{method: "POST", path: "/", handle: a.valuePage, operation: operation{id: "valuePage", page: true, form: true}},
		{method: "GET", path: "/file", handle: a.shell(func(p *web.Page) templ.Component {
			p.Title, p.Script = "Value a file", "file.js"
			return web.FilePage(p, min(a.MaxRecords, fileRecords))
		}), operation: operation{id: "filePage", page: true}},
		{method: "GET", path: "/model", handle: a.shell(func(p *web.Page) templ.Component {
			p.Title, p.Script = "The model", "model.js"
			return web.ModelPage(p)
		}), operation: operation{id: "modelPage", page: true}},
		{method: "GET", path: "/operations", handle: a.shell(func(p *web.Page) templ.Component {
			p.Title, p.Script = "Operations", "operations.js"
			return web.OperationsPage(p)
		}), operation: operation{id: "operationsPage", page: true}},
		{method: "GET", path: "/assets/{name}", handle: func(x *exchange, r *http.Request) error { return asset(x, r, assets) }, operation: operation{id: "asset", page: true}},
	}
}

// fileRecords is how many houses of a file the page sends at once: as many as
// there may be faults in an answer, several times over.
const fileRecords = 500

// setPageHeaders sets what every page has: its policy, and that it is shown in
// no other. Windows that a page of others has opened are cut off from
// that page too, for which a browser takes some 25 ms.
func (x *exchange) setPageHeaders(policy string) {
	header := x.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

// showPage answers with a page, or a part of one.
func showPage(x *exchange, status int, c templ.Component) error {
	var body bytes.Buffer
	if err := c.Render(x.request.Context(), &body); err != nil {
		return err
	}
	x.setPageHeaders(web.Policy)
	x.answer(status, valueHTML, body.Bytes())
	return nil
}

// shell returns the handler of a page that a script fills.
func (a *API) shell(of func(p *web.Page) templ.Component) func(x *exchange, r *http.Request) error {
	return func(x *exchange, r *http.Request) error {
		return showPage(x, http.StatusOK, of(&web.Page{Path: r.URL.Path, Guarded: a.Auth != nil}))
	}
}

// asset answers with a script.
func asset(x *exchange, r *http.Request, assets map[string]web.Asset) error {
	found, ok := assets[r.PathValue("name")]
	if !ok {
		return unmatchedProblem(http.StatusNotFound, r)
	}
	header := x.Header()
	header.Set("Cache-Control", "no-cache") // ask whether it has changed
	header.Set("ETag", found.ETag)
	if r.Header.Get("If-None-Match") == found.ETag {
		x.WriteHeader(http.StatusNotModified)
		return nil
	}
	x.answer(http.StatusOK, valueScript, found.Body)
	return nil
}

func (a *API) newHousePage(values url.Values) *web.House {
	return &web.House{
		Page: web.Page{Title: "What is a house worth?", Path: "/", Script: "house.js", Guarded: a.Auth != nil},
		Form: web.NewForm(values, a.Now().UTC().Year()),
	}
}

// housePage shows the form: empty, with an example, or with what the address
// says.
func (a *API) housePage(x *exchange, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem(http.StatusBadRequest, "the query of the address cannot be read")
	}
	return showPage(x, http.StatusOK, web.HousePage(a.newHousePage(web.ExampleValues(query))))
}

// valuePage answers the form of one house with the page again, or with the
// part of it that the address asks for: the way of POST /v1/valuations, with
// a page written in the end. An error is shown in the page.
func (a *API) valuePage(x *exchange, r *http.Request) error {
	a.processors.predictions.Add(1)
	values, err := readForm(x, r)
	if err != nil {
		return err
	}
	page := a.newHousePage(values)
	whole := r.URL.Query().Get("part") != "answer"
	show := func() templ.Component {
		if whole {
			return web.HousePage(page)
		}
		return web.HouseParts(page)
	}
	if token := values.Get(web.TokenInput); token != "" && len(r.Header["Authorization"]) == 0 {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if err = a.authorize(x, r, auth.Predict); err == nil {
		err = a.valueForm(x, r, values, page, show)
	}
	if err == nil {
		return nil
	}
	p := asProblem(err)
	a.logFailure(x, p, err)
	if page.Form.Fault(p.Errors); len(p.Errors) == 0 {
		page.Problem = p.Detail
	}
	if p.Status == http.StatusUnauthorized && len(r.Header["Authorization"]) == 0 {
		page.Problem = signInAbove
	}
	p.setHeaders(x.Header())
	return showPage(x, p.Status, show())
}

// valueForm values the house of a form.
func (a *API) valueForm(x *exchange, r *http.Request, values url.Values, page *web.House, show func() templ.Component) error {
	body := web.Body(values)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header["Content-Type"] = valueJSON
	var valued []model.Valuation
	var one house.House
	ask := func(ctx context.Context, w *workspace, choice valuer.Choice) (answer valuer.Answer, err error) {
		one = w.houses[0]
		valued, answer, err = a.Valuer.Appraise(ctx, nil, w.houses, choice, model.DefaultLevel)
		return answer, err
	}
	write := func(b []byte, answer *valuer.Answer, _ time.Duration) []byte {
		page.Answer = &web.Answer{
			Valuation: valued[0], House: one, Version: answer.Version, Digest: answer.Digest, Body: body,
			Address: address(r), Guarded: a.Auth != nil,
		}
		if accuracy := answer.Manifest.Accuracy; len(accuracy) > 0 {
			page.Answer.MdAPE = accuracy[0].MdAPE
		}
		if len(answer.UnknownZipcodes) > 0 {
			page.Answer.Warnings = append(page.Answer.Warnings, "Zipcode: "+unknownZipcode+".")
		}
		out := bytes.NewBuffer(b)
		if err := show().Render(r.Context(), out); err != nil {
			a.Log.Error("page", "request_id", x.id, "error", err.Error()) // the caller has gone
		}
		return out.Bytes()
	}
	x.setPageHeaders(web.Policy)
	name := func(written []byte, _ journal.ID) []byte { return written }
	return a.value(x, r, readings{json: a.full.Records}, ask, writer{valueHTML, write, name})
}

// readForm reads the form of one house.
func readForm(x *exchange, r *http.Request) (url.Values, error) {
	if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" && r.Header.Get("Content-Type") != "application/x-www-form-urlencoded;charset=UTF-8" {
		return nil, problem(http.StatusUnsupportedMediaType, "the form must be application/x-www-form-urlencoded")
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return nil, unreadable(x, err)
	}
	if len(text) > maxForm {
		p := problem(http.StatusRequestEntityTooLarge, "the form is larger than "+strconv.Itoa(maxForm)+" bytes")
		p.close = true
		return nil, p
	}
	values, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, problem(http.StatusBadRequest, "the form cannot be read")
	}
	return values, nil
}

// plainHost is a host that can stand in a command to copy.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$|^\[[0-9a-fA-F:]+\](:[0-9]+)?$`)

// address is that of the service, as its caller has it. What a proxy says of
// the scheme is believed, as it is shown to that caller alone.
func address(r *http.Request) string {
	scheme, host := "http://", r.Host
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https://"
	}
	if !plainHost.MatchString(host) {
		host = "localhost:8000"
	}
	return scheme + host
}
