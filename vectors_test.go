package housing

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestVectorsAreClearedBeforePlainInstructions reads what the compiler makes of
// the rooms that use vectors. While the upper part of a vector register is in
// use, an instruction of the older kind (SSE), as Go makes of all that is not a
// vector, costs Intel's processors since Ice Lake some 70 cycles, and the next
// vector as many again: the engines took eight times as long (Intel,
// "Optimization Reference Manual", Mixing Intel AVX and SSE code). So it must
// come after VZEROUPPER, and so must each return.
func TestVectorsAreClearedBeforePlainInstructions(t *testing.T) {
	list := exec.Command("go", "build", "-gcflags=-S", "./internal/gbdt", "./internal/network")
	list.Env = append(os.Environ(), "GOARCH=amd64", "CGO_ENABLED=0", "GOEXPERIMENT=simd")
	text, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	functions := vectorFunctions(string(text))
	for _, name := range []string{"gbdt.(*search).encode512", "gbdt.(*search).encode256", "gbdt.(*inOrder).sumRow512", "gbdt.(*inOrder).addSingles512",
		"gbdt.(*inOrder).addRows256", "network.(*Layer).rectifyByInput", "network.fillWaves"} {
		if functions["housing/internal/"+name] == nil {
			t.Errorf("%s uses no vectors, or is not found", name)
		}
	}
	for name, f := range functions {
		for _, fault := range f.faults(functions) {
			t.Errorf("%s, with vectors in use: %s", name, fault)
		}
	}
}

// vectorFunction is the instructions of a function, with where each may go on.
type vectorFunction struct {
	instructions []string
	line         []string
	number       map[string]int // by offset
}

var (
	instruction  = regexp.MustCompile(`^\t0x[0-9a-f]+ 0*(\d+) \(([^)]*)\)\t(.*)$`)
	wideRegister = regexp.MustCompile(`\b[YZ]\d+\b`)
	sseRegister  = regexp.MustCompile(`\bX\d+\b`)
	jump         = regexp.MustCompile(`^J[A-Z]+\t(\d+)$`)
)

// vectorFunctions returns the functions of a listing that use vectors of more
// than 128 bits.
func vectorFunctions(listing string) map[string]*vectorFunction {
	all := map[string]*vectorFunction{}
	var f *vectorFunction
	for text := range strings.Lines(listing) {
		text = strings.TrimSuffix(text, "\n")
		if name, _, found := strings.Cut(text, " STEXT"); found {
			f = &vectorFunction{number: map[string]int{}}
			all[name] = f
		} else if m := instruction.FindStringSubmatch(text); m != nil && f != nil {
			if _, known := f.number[m[1]]; !known { // the first at an offset; others are notes
				f.number[m[1]] = len(f.instructions)
			}
			f.instructions, f.line = append(f.instructions, m[3]), append(f.line, m[2])
		}
	}
	for name, f := range all {
		// What is not called stands in its callers.
		if !wideRegister.MatchString(strings.Join(f.instructions, "\n")) || !strings.Contains(listing, "\tCALL\t"+name+"(SB)") {
			delete(all, name)
		}
	}
	return all
}

// faults follows every way through the function, from an entry where no vector
// is in use and, where another of them calls it, from one where they are.
func (f *vectorFunction) faults(all map[string]*vectorFunction) []string {
	var faults []string
	type state struct {
		at    int
		inUse bool
	}
	seen := map[state]bool{}
	next := []state{{0, false}}
	name := strings.TrimPrefix(f.instructions[0], "TEXT\t")
	for _, caller := range all {
		for _, text := range caller.instructions {
			if callee, found := strings.CutPrefix(text, "CALL\t"); found && strings.HasPrefix(name, callee) {
				next = append(next, state{0, true})
			}
		}
	}
	for len(next) > 0 {
		s := next[len(next)-1]
		next = next[:len(next)-1]
		if s.at >= len(f.instructions) || seen[s] {
			continue
		}
		seen[s] = true
		text := f.instructions[s.at]
		name, _, _ := strings.Cut(text, "\t")
		fault := func() { faults = append(faults, f.line[s.at]+": "+strings.ReplaceAll(text, "\t", " ")) }
		switch {
		case name == "TEXT" || name == "FUNCDATA" || name == "PCDATA" || name == "NOP":
		case name == "VZEROUPPER":
			s.inUse = false
		case name == "RET":
			if s.inUse {
				fault()
			}
			continue
		case name == "CALL":
			callee, _, _ := strings.Cut(strings.TrimPrefix(text, "CALL\t"), "(SB)")
			if strings.HasPrefix(callee, "runtime.panic") {
				continue
			}
			if s.inUse && all[callee] == nil {
				fault()
			}
			s.inUse = false // as each has it at its return
		case wideRegister.MatchString(text):
			s.inUse = true
		case s.inUse && sseRegister.MatchString(text) && !strings.HasPrefix(name, "V"):
			fault()
		}
		if m := jump.FindStringSubmatch(text); m != nil {
			next = append(next, state{f.number[m[1]], s.inUse})
			if name == "JMP" {
				continue
			}
		}
		next = append(next, state{s.at + 1, s.inUse})
	}
	return faults
}
