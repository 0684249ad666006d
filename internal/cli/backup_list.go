package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"housing/internal/backup"
)

type backupListCommand struct {
	backupFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (*backupListCommand) Help() string {
	return "Lists the backups, oldest first: of when they are, what they hold, what they take, and what came of the last verification.\n\nExample:\n\n    housing backup list --backup-dir s3://backups/kc"
}

// listedBackup is a backup as the list shows it.
type listedBackup struct {
	ID           string               `json:"id"`
	Moment       time.Time            `json:"moment,omitzero"`
	Seconds      float64              `json:"seconds,omitempty"` // that it took
	Rows         map[string]int64     `json:"rows,omitempty"`    // by table
	Objects      int                  `json:"registry_objects"`
	Primary      string               `json:"primary,omitempty"`
	Encrypted    bool                 `json:"encrypted"`
	Stored       backup.StoredBytes   `json:"stored"`
	Problem      string               `json:"problem,omitempty"`
	Verification *backup.Verification `json:"verification,omitempty"`
}

func shownBackup(s *backup.Summary) listedBackup {
	out := listedBackup{ID: s.ID, Problem: s.Problem, Verification: s.Verification}
	m := s.Manifest
	if m == nil {
		return out
	}
	out.Moment, out.Seconds, out.Objects, out.Encrypted, out.Stored = m.Moment, m.Finished.Sub(m.Moment).Seconds(), objectsIn(m), len(m.Recipients) > 0, m.Stored
	if m.Database != nil {
		out.Rows = map[string]int64{}
		for i := range m.Database.Tables {
			out.Rows[m.Database.Tables[i].Name] = m.Database.Tables[i].Rows()
		}
	}
	if m.Registry != nil {
		out.Primary = m.Registry.Primary
	}
	return out
}

// Run prints the list.
func (c *backupListCommand) Run(p *program) error {
	r, err := c.repository(p.ctx, false)
	if err != nil {
		return err
	}
	defer r.Close()
	summaries, err := r.List(p.ctx)
	if err != nil {
		return err
	}
	list := make([]listedBackup, len(summaries))
	for i := range summaries {
		list[i] = shownBackup(&summaries[i])
	}
	if c.JSON {
		return printJSON(p.stdout, map[string]any{"backups": list})
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tOF\tPREDICTIONS\tOUTCOMES\tAREAS\tPRIMARY\tSIZE\tNEW\tVERIFIED")
	for _, b := range list {
		if b.Problem != "" {
			fmt.Fprintf(w, "%s\t%s\n", b.ID, b.Problem)
			continue
		}
		verified := "never"
		if v := b.Verification; v != nil {
			verified = v.When.Format(historyTime) + " bad"
			if v.Good {
				verified = v.When.Format(historyTime) + " good"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", b.ID, b.Moment.Format(historyTime), b.Rows["predictions"], b.Rows["outcomes"],
			b.Rows["zipcode_demographics"], orDash(b.Primary), size(b.Stored.All), size(b.Stored.New), verified)
	}
	return w.Flush()
}
