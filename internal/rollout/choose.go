package rollout

import (
	"crypto/sha256"
	"encoding/binary"

	"housing/internal/valuer"
)

// Choose returns which version answers the caller with the key: the user, or
// where none is known the address. A caller stays where it is while the
// share of the candidate grows. Where asked, the candidate answers whatever
// the share; without one the primary does.
func (p *Plan) Choose(caller string, askedForCandidate bool) valuer.Choice {
	if p.Candidate != "" && (askedForCandidate || p.Mode != Shadow && p.falls(callerStream, caller)) {
		return valuer.Choice{Version: p.Candidate, Role: valuer.Candidate}
	}
	return valuer.Choice{Version: p.Primary, Role: valuer.Primary}
}

// Shadows says whether the candidate values the request with the key, such
// as its id, aside.
func (p *Plan) Shadows(request string) bool {
	return p.Mode == Shadow && p.falls(requestStream, request)
}

// What is hashed begins with what it is hashed for, so that the shares of
// callers and of requests have nothing to do with each other.
const (
	callerStream  = "caller"
	requestStream = "request"
)

// falls says whether a key falls into the share of the candidate.
func (p *Plan) falls(stream, key string) bool {
	switch p.Percent {
	case 0:
		return false
	case Whole:
		return true
	}
	return bucket(stream, p.Salt, key) < p.Percent
}

// bucket deals a key to one of the hundredths of a percent: the first eight
// bytes of the SHA-256 of stream, salt and key, with zero bytes between,
// modulo 10,000.
func bucket(stream, salt, key string) Percent {
	var room [256]byte
	text := append(room[:0], stream...)
	text = append(text, 0)
	text = append(text, salt...)
	text = append(text, 0)
	text = append(text, key...)
	sum := sha256.Sum256(text)
	return Percent(binary.BigEndian.Uint64(sum[:8]) % uint64(Whole))
}

// Role returns the part that a version has in the plan; "" for none.
func (p *Plan) Role(version string) valuer.Role {
	switch {
	case version == "":
		return ""
	case version == p.Primary:
		return valuer.Primary
	case version == p.Candidate:
		return valuer.Candidate
	}
	return ""
}
