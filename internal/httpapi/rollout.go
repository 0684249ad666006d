package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/registry"
	"housing/internal/rollout"
	"housing/internal/valuer"
)

// RolloutPlan is a traffic plan.
type RolloutPlan struct {
	Primary   string  `json:"primary" doc:"Version that answers whoever is sent nowhere else."`
	Candidate string  `json:"candidate,omitempty" doc:"Version that may become the primary; absent without one, and then the next three are too."`
	Mode      string  `json:"mode,omitempty" enum:"blue-green,canary,ab,shadow" doc:"How the candidate stands beside the primary."`
	Percent   float64 `json:"percent,omitzero" minimum:"0" maximum:"100" doc:"Share of the callers, in shadow of the requests, for the candidate; to 0.01."`
	Salt      string  `json:"salt,omitempty" doc:"Deals the callers anew for each candidate."`
	Previous  string  `json:"previous,omitempty" doc:"Primary before this one, to which a rollback goes."`
}

// Rollout is the answer of GET /v1/rollout.
type Rollout struct {
	Plan    RolloutPlan     `json:"plan" doc:"The plan that this replica follows."`
	History []RolloutRecord `json:"history" nullable:"false" doc:"Changes of the plan, newest first; at most 50."`
	Replica Replica         `json:"replica" doc:"How the replica that answers is."`
	// A pointer, as it is absent without a journal.
	Accuracy *VersionAccuracy `json:"accuracy,omitempty" doc:"How close the versions came to what houses then sold for; absent without DATABASE_URL, and while the database is away."`
}

// RolloutRecord is one change of the plan.
type RolloutRecord struct {
	When time.Time    `json:"when" doc:"When it was changed."`
	Who  string       `json:"who" doc:"Who changed it."`
	What string       `json:"what" doc:"What was done."`
	Why  string       `json:"why,omitempty" doc:"The reason that was given."`
	From *RolloutPlan `json:"from,omitempty" doc:"The plan before; absent for the first."`
	To   *RolloutPlan `json:"to,omitempty" doc:"The plan after."`
}

// Replica says what one replica makes of the plan.
type Replica struct {
	Name     string                   `json:"name" doc:"Host and port that it listens on, to tell it from others behind one address."`
	Answers  string                   `json:"answers" doc:"Version that answers as the primary; not the plan's while that is not ready, or was sent back."`
	Pinned   bool                     `json:"pinned" doc:"The settings name the version, whatever the plan says."`
	Running  []RunningModel           `json:"running" nullable:"false" doc:"The models that run."`
	Problems []rollout.VersionProblem `json:"problems" nullable:"false" doc:"Versions that do not run or were sent back; without a version, what is wrong with the plan itself."`
}

// RunningModel is a model that runs on a replica.
type RunningModel struct {
	Version  string    `json:"version" doc:"Its version."`
	SHA256   string    `json:"sha256" doc:"SHA-256 of the model's bundle, hexadecimal."`
	Since    time.Time `json:"since" doc:"When it began to run."`
	Faults   int64     `json:"faults" doc:"Requests in which it failed."`
	SentBack bool      `json:"sent_back" doc:"It failed so often that another answers in its place."`
}

// RolloutChange is the body of PUT /v1/rollout.
type RolloutChange struct {
	Plan RolloutPlan `json:"plan" doc:"The plan to follow from now on. previous is filled in."`
	Why  string      `json:"why,omitempty" maxLength:"500" doc:"The reason, for the history."`
}

func wirePlan(p rollout.Plan) RolloutPlan {
	return RolloutPlan{Primary: p.Primary, Candidate: p.Candidate, Mode: string(p.Mode), Percent: float64(p.Percent) / 100, Salt: p.Salt, Previous: p.Previous}
}

func (a *API) rollout(x *exchange, r *http.Request) error {
	m := a.Valuer.Model()
	if m == nil {
		return valuer.ErrNoModel
	}
	s := rollout.Status{Plan: rollout.Plan{Primary: m.Manifest.Version}, Answers: m.Manifest.Version, Running: a.Valuer.Models()}
	s.Tag = s.Plan.Tag()
	if a.Traffic != nil {
		s = a.Traffic.Status()
	}
	answer := Rollout{
		Plan: wirePlan(s.Plan), History: []RolloutRecord{},
		Replica: Replica{Name: a.Name, Answers: s.Answers, Pinned: s.Pinned, Running: []RunningModel{}, Problems: append([]rollout.VersionProblem{}, s.Problems...)},
	}
	for _, c := range s.History {
		answer.History = append(answer.History, RolloutRecord{When: c.When, Who: c.Who, What: c.What, Why: c.Why, From: recordedPlan(c.From), To: recordedPlan(c.To)})
	}
	for _, m := range s.Running {
		answer.Replica.Running = append(answer.Replica.Running, RunningModel{
			Version: m.Manifest.Version, SHA256: m.Digest, Since: m.Since, Faults: m.Faults, SentBack: m.SentBack,
		})
	}
	answer.Accuracy = a.accuracy(r.Context(), s.Plan.Began(s.History))
	x.Header()["Etag"] = []string{strconv.Quote(s.Tag)}
	return x.answerJSON(http.StatusOK, answer)
}

// recordedPlan returns a plan of the history, nil for none.
func recordedPlan(text jsontext.Value) *RolloutPlan {
	p, err := rollout.Parse(text)
	if err != nil {
		return nil
	}
	plan := wirePlan(p)
	return &plan
}

// changeLimit bounds how long a change of the plan may take, so that its
// answer does not come too late to be written.
const changeLimit = 15 * time.Second

// maxWhy bounds the reason of a change, in bytes.
const maxWhy = 500

func (a *API) setRollout(x *exchange, r *http.Request) error {
	if a.Auth == nil && !fromHere(r) {
		return problem(http.StatusForbidden, "without authentication the plan can be changed from this machine alone, not through a proxy, and by the address 127.0.0.1, [::1] or localhost; set JWT_SECRET or JWT_JWKS_URL")
	}
	body, err := a.readJSON(nil, x, r)
	if err != nil {
		return err
	}
	change, next, err := readChange(body)
	if err != nil {
		return err
	}
	if a.Traffic == nil {
		return problem(http.StatusConflict, "the service runs its built-in model and has no registry whose plan could be changed; set MODEL_DIR")
	}
	tag, err := wantedTag(r.Header["If-Match"])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeLimit)
	defer cancel()
	made, err := rollout.Change(ctx, a.Traffic.Registry, func(now rollout.Plan, resolve func(string) string) (rollout.Plan, string, error) {
		if tag != "" && tag != now.Tag() {
			return now, "", rollout.ErrChanged
		}
		next.Primary = resolve(next.Primary)
		if next.Candidate != "" {
			next.Candidate = resolve(next.Candidate)
		}
		p, err := now.Replace(next, rand.Text())
		if err != nil {
			return p, "", invalidPlan(err)
		}
		return p, "put plan", nil
	}, registry.Change{When: a.Now(), Who: a.changer(x, r), Why: change.Why})
	if err != nil {
		return a.registryProblem(err)
	}
	x.Header()["Etag"] = []string{strconv.Quote(made.Tag())}
	return x.answerJSON(http.StatusOK, wirePlan(made))
}

// changer names who changes something, for the history: the user of the
// token, else that it came by HTTP from an address.
func (a *API) changer(x *exchange, r *http.Request) string {
	name := a.caller(x, r)
	return strings.ToValidUTF8(name[:min(len(name), 200)], "")
}

// readChange reads the body of PUT /v1/rollout.
func readChange(body []byte) (RolloutChange, rollout.Plan, error) {
	var change RolloutChange
	if !jsontext.Value(body).IsValid() {
		return change, rollout.Plan{}, problem(http.StatusBadRequest, "the body is not JSON")
	}
	if err := json.Unmarshal(body, &change, json.RejectUnknownMembers(true)); err != nil {
		var semantic *json.SemanticError
		location, message := "body", "must be an object with the member plan, and no others than the documents name"
		if errors.As(err, &semantic) && semantic.JSONPointer != "" {
			location += strings.ReplaceAll(string(semantic.JSONPointer), "/", ".")
			message = "is not known here, or not of the kind it must be"
		}
		return change, rollout.Plan{}, invalidBody(location, message)
	}
	if len(change.Why) > maxWhy {
		return change, rollout.Plan{}, invalidBody("body.why", fmt.Sprintf("must have at most %d bytes", maxWhy))
	}
	percent, err := rollout.ParsePercent(strconv.FormatFloat(change.Plan.Percent, 'f', -1, 64))
	if err != nil {
		return change, rollout.Plan{}, invalidBody("body.plan.percent", err.Error())
	}
	next := rollout.Plan{Primary: change.Plan.Primary, Candidate: change.Plan.Candidate, Mode: rollout.Mode(change.Plan.Mode), Percent: percent, Salt: change.Plan.Salt}
	if err := next.Check(); err != nil {
		return change, rollout.Plan{}, invalidPlan(err)
	}
	return change, next, nil
}

func invalidBody(location, message string) *Problem {
	p := problem(http.StatusUnprocessableEntity, "the body has 1 fault")
	p.Errors = []house.Fault{{Location: location, Message: message}}
	return p
}

// invalidPlan names every fault of a plan.
func invalidPlan(err error) *Problem {
	var faults []house.Fault
	for line := range strings.SplitSeq(err.Error(), "\n") {
		faults = append(faults, house.Fault{Location: "body.plan", Message: line})
	}
	p := problem(http.StatusUnprocessableEntity, "the plan cannot be right")
	p.Errors = faults
	return p
}

// wantedTag reads If-Match; "" is any plan.
func wantedTag(header []string) (string, error) {
	switch {
	case len(header) == 0, len(header) == 1 && header[0] == "*":
		return "", nil
	case len(header) == 1 && len(header[0]) < 100:
		if tag, err := strconv.Unquote(header[0]); err == nil && tag != "" {
			return tag, nil
		}
	}
	return "", problem(http.StatusPreconditionFailed, `If-Match must be one ETag as GET /v1/rollout gives it, such as "0123456789abcdef"`)
}

// registryProblem is what a client is told of an error of the registry, whose
// text may name where it lies.
func (a *API) registryProblem(err error) error {
	var known *Problem
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, registry.ErrConflict):
		return problem(http.StatusConflict, rollout.ErrChanged.Error())
	case errors.Is(err, rollout.ErrChanged):
		return problem(http.StatusPreconditionFailed, rollout.ErrChanged.Error())
	case errors.Is(err, registry.ErrNotFound):
		return invalidBody("body.plan", "names a version that the registry does not have")
	}
	a.Log.Warn("registry_request", "error", err.Error())
	return unavailable("the registry cannot be used now: " + string(registry.ReasonOf(err)))
}

// Models is the answer of GET /v1/models.
type Models struct {
	Models []ModelName `json:"models" nullable:"false" doc:"Every version, sorted by name."`
}

// ModelName is a version in a list.
type ModelName struct {
	Version string `json:"version" doc:"Its name."`
	Running bool   `json:"running" doc:"It runs on the replica that answers."`
	Role    string `json:"role,omitempty" enum:"primary,candidate" doc:"Its part in the traffic plan; absent for none."`
}

// ModelVersion is the answer of GET /v1/models/{version}.
type ModelVersion struct {
	Version string   `json:"version" doc:"Its name."`
	SHA256  string   `json:"sha256,omitempty" doc:"SHA-256 of its bundle, hexadecimal; absent where none was written beside it and it does not run here."`
	Bytes   int64    `json:"bytes" doc:"Size of its bundle; 0 for the built-in model."`
	Signed  bool     `json:"signed" doc:"There is a signature; whose is checked when it is loaded."`
	Running bool     `json:"running" doc:"It runs on the replica that answers."`
	Role    string   `json:"role,omitempty" enum:"primary,candidate" doc:"Its part in the traffic plan; absent for none."`
	Aliases []string `json:"aliases" nullable:"false" doc:"Other names of it."`
	// A pointer, as it is absent where the bundle cannot be read.
	Measured *MeasuredModel `json:"measured,omitempty" doc:"What its bundle says of it; absent where that cannot be read."`
}

// MeasuredModel is what the bundle of a version says of it.
type MeasuredModel struct {
	ModelType  string           `json:"model_type" doc:"Kind of model."`
	Created    time.Time        `json:"created" doc:"When it was trained."`
	Program    string           `json:"program" doc:"Program that trained it."`
	Sales      int              `json:"sales" doc:"How many sales it was trained on."`
	NewestSale string           `json:"newest_sale" doc:"Day of the newest of them."`
	Accuracy   []model.Accuracy `json:"accuracy" nullable:"false" doc:"Measured accuracy on sales that it had not seen, by the way of splitting."`
	Coverage   []model.Coverage `json:"coverage,omitempty" nullable:"false" doc:"How often sale prices lay within its intervals; absent where that was not measured."`
	Segments   []model.Segment  `json:"segments,omitempty" nullable:"false" doc:"Accuracy by tier of the sale price and by zipcode; absent where the bundle has none."`
}

// measuredModel returns what a manifest says, nil of none.
func measuredModel(m *bundle.Manifest) *MeasuredModel {
	if m == nil {
		return nil
	}
	return &MeasuredModel{
		ModelType: m.ModelType, Created: m.Created.UTC(), Program: m.Program, Sales: m.Sales, NewestSale: m.NewestSale,
		Accuracy: append([]model.Accuracy{}, m.Accuracy...), Coverage: m.Coverage, Segments: m.Segments,
	}
}

func (a *API) models(x *exchange, r *http.Request) error {
	answer := Models{Models: []ModelName{}}
	if a.Traffic == nil {
		if m := a.Valuer.Model(); m != nil {
			answer.Models = append(answer.Models, ModelName{Version: m.Manifest.Version, Running: true, Role: string(valuer.Primary)})
		}
		return x.answerJSON(http.StatusOK, answer)
	}
	versions, err := a.Traffic.Versions(r.Context())
	if err != nil {
		return a.registryProblem(err)
	}
	plan := a.Traffic.Plan()
	for _, version := range versions {
		answer.Models = append(answer.Models, ModelName{Version: version, Running: a.Valuer.Find(version) != nil, Role: string(plan.Role(version))})
	}
	return x.answerJSON(http.StatusOK, answer)
}

func (a *API) model(x *exchange, r *http.Request) error {
	name := r.PathValue("version")
	if a.Traffic == nil {
		m := a.Valuer.Find(name)
		if m == nil {
			return valuer.ErrUnknownVersion
		}
		return x.answerJSON(http.StatusOK, ModelVersion{Version: name, SHA256: m.Digest, Running: true, Role: string(valuer.Primary), Aliases: []string{}, Measured: measuredModel(&m.Manifest)})
	}
	m, err := a.Traffic.Model(r.Context(), name)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return valuer.ErrUnknownVersion
	case err != nil:
		return a.registryProblem(err)
	}
	return x.answerJSON(http.StatusOK, ModelVersion{
		Version: m.Version, SHA256: m.Digest, Bytes: m.Size, Signed: m.Signed, Running: m.Running, Role: string(m.Role), Aliases: append([]string{}, slices.Clip(m.Aliases)...),
		Measured: measuredModel(m.Manifest),
	})
}
