package valuer

// Role is the part in which a version answers. There are no others, so that
// it may label a metric.
type Role string

// The roles.
const (
	Primary   Role = "primary"   // answers whoever the plan sends nowhere else
	Candidate Role = "candidate" // may become the primary
	Asked     Role = "asked"     // the client named it; nothing else may answer
)

// Choice is which of the running models is to answer, and as what. The zero
// Choice is the primary. A version without a role is that of the primary, or
// one that was asked for.
type Choice struct {
	Version string
	Role    Role
}
