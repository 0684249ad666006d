package config

// Registry holds where models are kept and which of them are trusted.
type Registry struct {
	ModelDir       string `setting:"" placeholder:"PLACE" help:"Registry: a folder, file:///PATH, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX."`
	ModelPublicKey Secret `setting:"" secret:"" placeholder:"KEY" help:"Ed25519 public key, PEM or base64, that every bundle must be signed with."`
}
