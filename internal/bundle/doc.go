// Package bundle stores a model as bytes: one file that carries everything
// its answers depend on.
//
// A bundle is a file in the safetensors format
// (https://github.com/huggingface/safetensors, version 0.4): a length, a JSON
// header that names each part with its type, shape and place, then the parts.
// The header's __metadata__ holds our [Manifest] as text with its SHA-256, and
// the manifest the SHA-256 of every part. So any tool that reads safetensors
// can look inside, nothing in a bundle is ever executed, and a forest is used
// where it lies: [Open] maps the file into memory and parses no numbers.
//
// A bundle is named by the SHA-256 of the whole file. Before a bundle is
// handed out, every checksum has been compared, every index in the forest has
// been checked, and the golden houses have been valued and found to cost what
// they did where the bundle was written.
package bundle
