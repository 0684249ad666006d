// Package backup makes consistent copies of what must not be lost, and brings
// them back: the demographics with their history, the journal of predictions
// and outcomes, the registry of models, and the settings without secrets.
//
// A [Repository] is a folder or a bucket in which backups lie:
//
//	ID/manifest.json         what a backup holds; written last, so that one that is seen is whole
//	ID/verified.json         what came of the last verification
//	parts/AB/DIGEST.zst      at most 16 MiB of a backup, by the SHA-256 of what it holds
//	parts/AB/DIGEST.TAG.zst.age   the same, encrypted to the recipients of TAG
//	lease.json               who is changing the repository
//
// [Repository.Create] reads the tables in one snapshot of PostgreSQL. Parts
// that an earlier backup, or one that was cut off, has brought already are
// not brought again, and days of the journal that have not changed are not
// even read. [Repository.Verify] restores into a schema of its own and
// compares; [Repository.Restore] does the same, then swaps in one
// transaction. Whatever is read from a repository is bounded by its manifest,
// and the manifest by this package.
//
//	Create:  tables -> COPY text -> parts of 16 MiB -> zstd -> age -> store; manifest
//	Restore: store -> age -> zstd -> parts -> COPY into a schema of its own -> swap
package backup
