// Package config is the settings of the service: read, checked, defaulted.
//
// A setting is a flag (--max-body-bytes) or the environment variable of the
// same name in capitals (MAX_BODY_BYTES). The flag wins; an empty variable is
// as one that is not set; a value that cannot be used is an [Error], which
// names its source. The environment is passed in and never read from the
// process. The settings of a command are the fields of a struct such as [Serve]
// whose tags say what [Flag] lists; [Flags] makes flags of them and [Parse]
// fills them.
package config
