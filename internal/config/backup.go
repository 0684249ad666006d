package config

// Backups says where backups lie; a service tells how old the last ones are.
type Backups struct {
	BackupDir string `setting:"" placeholder:"PLACE" help:"Backups: a folder, file:///PATH, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX. Default: none."`
}

// BackupKeys holds what backups are encrypted and decrypted with.
type BackupKeys struct {
	BackupRecipients string `setting:"" placeholder:"KEYS" help:"Public keys of age, age1…, with commas between, that backups are encrypted to. Default: not encrypted."`
	BackupIdentity   Secret `setting:"" secret:"" placeholder:"KEY" help:"Secret key of age, as age-keygen writes it, that decrypts backups."`
}

// Recipients returns the public keys.
func (b *BackupKeys) Recipients() []string { return splitList(b.BackupRecipients) }
