// Package registry keeps the versions of a model, names for them, and the
// traffic plan, in a folder or a bucket.
//
// [Open] takes a path, file:///PATH, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX
// and returns a [Registry]. What lies there is the same everywhere:
//
//	VERSION/bundle           a model, written once
//	VERSION/bundle.sha256    its digest, as sha256sum writes it
//	VERSION/bundle.sig       its Ed25519 signature ([bundle.Sign])
//	aliases.json             names of versions, and who changed them
//	rollout.json             the traffic plan, and who changed it
//	VERSION                  a file that names the version to serve where there is no plan
//
// Only VERSION/bundle must be there. [Registry.Push] writes a version,
// [Registry.Load] returns one as an open bundle once digest and signature have
// been checked, and [Registry.Fetch] copies its bytes. [Registry.State] returns
// plan and aliases, cheaply when nothing has changed; [Registry.Watch] does it
// again and again. [Registry.SetPlan] and [Registry.SetAlias] change what a
// State has shown, or return [ErrConflict] when someone else was quicker.
//
// The plan is text to this package; package rollout knows what it means. A
// change and its line in the history are one write of one object, so that the
// history never tells of what did not happen.
//
// Every call ends: those on small objects after [callLimit], those on bundles
// after [bundleLimit]. [ReasonOf] says in a word why one failed.
package registry
