package backup

import (
	"context"
	"fmt"
	"time"
)

// Retention says which backups are kept: so many of the last, and the newest
// of each of so many days, weeks and months that have one. The newest of all is always kept, and so is
// the newest that was verified, and well. The zero value keeps all.
type Retention struct {
	Last, Days, Weeks, Months int
}

// keeps returns the IDs of those that are kept; backups are oldest first.
func (k Retention) keeps(backups []Summary) map[string]bool {
	kept := map[string]bool{}
	if k == (Retention{}) {
		for _, b := range backups {
			kept[b.ID] = true
		}
		return kept
	}
	periods := []struct {
		most int
		of   func(t time.Time) string
		seen map[string]bool
	}{
		{k.Days, func(t time.Time) string { return t.Format(time.DateOnly) }, map[string]bool{}},
		{k.Weeks, func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprint(year, week) }, map[string]bool{}},
		{k.Months, func(t time.Time) string { return t.Format("2006-01") }, map[string]bool{}},
	}
	good := false
	for i := len(backups) - 1; i >= 0; i-- {
		b := &backups[i]
		// The newest of all; the newest that is good; and what cannot be
		// read, which is for a person to look at.
		if i >= len(backups)-max(k.Last, 1) || b.good() && !good || b.Manifest == nil {
			kept[b.ID] = true
		}
		good = good || b.good()
		if b.Manifest == nil {
			continue
		}
		for _, p := range periods {
			if period := p.of(b.Manifest.Moment.UTC()); len(p.seen) < p.most && !p.seen[period] {
				p.seen[period] = true
				kept[b.ID] = true
			}
		}
	}
	return kept
}

// prune deletes the backups that are not kept, and the parts that none names
// any more. A manifest goes before its parts, so that none is seen that lacks
// some. The lease must be held.
func (r *Repository) prune(ctx context.Context, k Retention) (deleted []string, err error) {
	backups, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	kept, named := k.keeps(backups), map[string]bool{}
	for _, b := range backups {
		if b.Problem != "" {
			// What parts it names is not known: none is deleted.
			return nil, fmt.Errorf("nothing was pruned: %s", b.Problem)
		}
	}
	for _, b := range backups {
		if !kept[b.ID] {
			for _, name := range []string{manifestName, verifiedName} {
				if err := r.store.Delete(ctx, b.ID+"/"+name); err != nil {
					return deleted, r.fault("delete backup "+b.ID, err)
				}
			}
			deleted = append(deleted, b.ID)
			continue
		}
		if err := b.Manifest.streams(func(_ string, s *Stream) error {
			for _, p := range s.Parts {
				named[b.Manifest.keyOf(p.SHA256)] = true
			}
			return nil
		}); err != nil {
			return deleted, err
		}
	}
	keys, err := r.store.List(ctx, partsPrefix)
	if err != nil {
		return deleted, r.fault("list parts", err)
	}
	for _, key := range keys {
		if named[key] {
			continue
		}
		if err := r.store.Delete(ctx, key); err != nil {
			return deleted, r.fault("delete part "+key, err)
		}
	}
	return deleted, nil
}
