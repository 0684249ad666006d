package registry

import (
	"errors"

	"housing/internal/objects"
)

// ReasonOf returns in a word why a call failed; "" for nil.
func ReasonOf(err error) objects.Reason {
	switch {
	case errors.Is(err, ErrNotFound):
		return objects.Missing
	case errors.Is(err, ErrConflict), errors.Is(err, ErrExists):
		return objects.Conflict
	}
	return objects.ReasonOf(err)
}

// Passing says whether an error of a registry may pass by itself.
func Passing(err error) bool { return ReasonOf(err).Passing() }
