package bundle

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"housing/internal/model"
)

// Manifest says what a bundle is and where it is from.
type Manifest struct {
	Version    string            `json:"version"` // name among versions, as ValidVersion has it
	Created    time.Time         `json:"created"`
	Program    string            `json:"program"` // that wrote it, with its version
	ModelType  string            `json:"model_type"`
	Sources    []Source          `json:"sources"` // files that it was trained from
	NewestSale string            `json:"newest_sale"`
	Sales      int               `json:"sales"` // that it was trained from
	Options    model.Options     `json:"options"`
	Trees      int               `json:"trees"`
	Features   []string          `json:"features"`           // columns of a row, in order
	Importance []float64         `json:"importance"`         // of Features: share of the forest's gain
	Accuracy   []model.Accuracy  `json:"accuracy"`           // measured at training, on sales not learned from
	Coverage   []model.Coverage  `json:"coverage,omitempty"` // of intervals, measured likewise
	Segments   []model.Segment   `json:"segments,omitempty"` // of the sales, measured likewise
	Parts      map[string]string `json:"parts"`              // SHA-256 by name; Write fills it
}

// Source is a file that a model was trained from.
type Source struct {
	Name   string `json:"name"` // without its folder
	SHA256 string `json:"sha256"`
	Rows   int    `json:"rows"`
}

var version = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CheckVersion returns an error unless name can name a version: up to 64
// letters, digits, dots, dashes and underscores, the first a letter or digit.
func CheckVersion(name string) error {
	if !version.MatchString(name) {
		return fmt.Errorf("version %.80q must be 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit", name)
	}
	return nil
}

func (m *Manifest) check() error {
	if err := CheckVersion(m.Version); err != nil {
		return err
	}
	if m.Created.IsZero() {
		return errors.New("manifest has no time of making")
	}
	if len(m.Importance) != len(m.Features) {
		return errors.New("manifest's importance does not fit its features")
	}
	return nil
}
