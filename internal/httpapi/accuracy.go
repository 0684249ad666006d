package httpapi

import (
	"context"
	"time"

	"housing/internal/journal"
)

// VersionAccuracy says how close versions came to what houses then sold for.
type VersionAccuracy struct {
	Since      *time.Time                 `json:"since,omitempty" doc:"When the versions of the plan began to be compared; absent where the history does not go back as far."`
	Arms       []VersionAccuracyArm       `json:"arms" nullable:"false" doc:"Each version in each role, the latest first."`
	Difference *VersionAccuracyDifference `json:"difference,omitempty" doc:"Primary and candidate compared; absent where there are not two."`
}

// VersionAccuracyArm is how one version did in one role.
type VersionAccuracyArm struct {
	Version     string   `json:"version" doc:"Its name."`
	Role        string   `json:"role" doc:"primary, candidate, or asked: a client named it."`
	Predictions int      `json:"predictions" doc:"Houses that it valued."`
	Outcomes    int      `json:"outcomes" doc:"Of how many the sale is known."`
	MdAPE       Estimate `json:"mdape" doc:"Median absolute error in percent of the sale price."`
	PPE10       Estimate `json:"ppe10" doc:"Percent of the predictions within 10 % of the sale price."`
	MedianRatio Estimate `json:"median_ratio" doc:"Median of prediction over sale price."`
}

// Estimate is a figure with its interval of 95 %, for one look.
type Estimate struct {
	Value *float64 `json:"value,omitempty" doc:"Absent without an outcome."`
	Low   *float64 `json:"low,omitempty" doc:"Absent with few outcomes."`
	High  *float64 `json:"high,omitempty" doc:"Absent with few outcomes."`
}

// VersionAccuracyDifference compares the mean of |ln(predicted / sold)| of primary and
// candidate, with 95 % at all looks together.
type VersionAccuracyDifference struct {
	Primary   string   `json:"primary" doc:"Version."`
	Candidate string   `json:"candidate" doc:"Version."`
	LogError  Estimate `json:"log_error" doc:"Mean of |ln(predicted / sold)|, candidate less primary; the interval holds at any number of looks."`
	Better    string   `json:"better,omitempty" enum:"primary,candidate" doc:"Which is closer to the sales; absent while that may be chance."`
}

// VersionAccuracyOf returns what the journal has measured as answers show it.
func VersionAccuracyOf(since time.Time, arms []journal.Arm, d journal.Difference) VersionAccuracy {
	a := VersionAccuracy{Arms: []VersionAccuracyArm{}}
	if !since.IsZero() {
		a.Since = &since
	}
	for _, arm := range arms {
		role := arm.Role
		if arm.Shadow {
			role = "shadow"
		}
		a.Arms = append(a.Arms, VersionAccuracyArm{
			Version: arm.Version, Role: role, Predictions: arm.Predictions, Outcomes: arm.Outcomes,
			MdAPE: estimate(arm.MdAPE), PPE10: estimate(arm.PPE10), MedianRatio: estimate(arm.MedianRatio),
		})
	}
	if d.Candidate != "" {
		a.Difference = &VersionAccuracyDifference{
			Primary: d.Primary, Candidate: d.Candidate, Better: d.Better,
			LogError: estimate(journal.Estimate{Value: d.LogError.Estimate, Low: d.LogError.Low, High: d.LogError.High}),
		}
	}
	return a
}

func estimate(e journal.Estimate) Estimate {
	return Estimate{finite(e.Value), finite(e.Low), finite(e.High)}
}

// accuracyLimit bounds how long GET /v1/rollout waits for PostgreSQL.
const accuracyLimit = 3 * time.Second

// accuracy returns what is known of the versions' accuracy, nil without a
// journal or while it cannot be asked.
func (a *API) accuracy(ctx context.Context, since time.Time) *VersionAccuracy {
	if a.Journal == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, accuracyLimit)
	defer cancel()
	arms, difference, err := a.Journal.Arms(ctx, since)
	if err != nil {
		a.Log.Warn("rollout_accuracy", "error", err.Error())
		return nil
	}
	found := VersionAccuracyOf(since, arms, difference)
	return &found
}
