// Package buildinfo says which build of the program this is.
//
// It stands below every other package: training writes it into a bundle,
// serving reports it.
package buildinfo

import (
	"runtime"
	"runtime/debug"
)

// Version is the program's version (Semantic Versioning 2.0).
const Version = "0.1.0"

// Program is the name and version as they stand in a bundle's manifest.
const Program = "housing " + Version

// commit is set when linking: -ldflags "-X housing/internal/buildinfo.commit=…".
var commit string

// Commit returns the revision that the program was built from, with "-dirty"
// behind it when there were changes beside it, or "unknown".
func Commit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return revision(info.Settings)
}

func revision(settings []debug.BuildSetting) string {
	rev, dirty := "unknown", ""
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	if rev == "unknown" {
		return rev
	}
	return rev + dirty
}

// GoVersion returns the version of Go that the program was built with.
func GoVersion() string { return runtime.Version() }
