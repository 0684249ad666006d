// Package objects keeps bytes by key, in a folder or in a bucket of S3 or of
// Google Cloud Storage. What stands there is for other rooms to know.
//
// [Open] takes a path, file:///PATH, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX
// and returns a [Store]. An object is written whole or not at all, and only
// where it is as the writer expects it: each has a tag that changes with it.
//
// [ReasonOf] says in a word why a call failed. A call ends with its context;
// a bucket's server that does not answer is given up after ten seconds.
package objects
