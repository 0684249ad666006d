package config

// Database holds the settings of PostgreSQL.
type Database struct {
	DatabaseURL         Secret `setting:"" secret:"" name:"database-url" placeholder:"URL" help:"PostgreSQL that holds demographics, predictions and what houses sold for: postgres://user:password@host:5432/database. Default: none."`
	DatabaseReplicaURLs Secret `setting:"" secret:"" name:"database-replica-urls" placeholder:"URLS" help:"Replicas of it to read from, with commas between. Default: none."`
}

// Replicas returns the URLs of the replicas.
func (d *Database) Replicas() []string {
	return splitList(string(d.DatabaseReplicaURLs))
}

// Check looks at the settings together. Its error is an [*Error].
func (d *Database) Check() error {
	if d.DatabaseURL == "" && d.DatabaseReplicaURLs != "" {
		return &Error{Source: "DATABASE_REPLICA_URLS", Problem: "is set without DATABASE_URL, the primary: set both"}
	}
	return nil
}
