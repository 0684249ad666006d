package rollout

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"housing/internal/bundle/bundletest"
	"housing/internal/registry"
	"housing/internal/valuer"
)

var canary = Plan{Primary: "kc-1", Candidate: "kc-2", Mode: Canary, Percent: 1000, Salt: "s1"}

func user(i int) string { return fmt.Sprintf("user-%d", i) }

// TestATenthOfManyUsers holds that the share is what the plan says: of 20,000
// users 10 ± 0.7 %.
func TestATenthOfManyUsers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := canary
		p.Salt = rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "salt")
		form := rapid.SampledFrom([]string{"user-%d", "%d", "10.0.0.%d", "%d@example.org"}).Draw(t, "form")
		n := 0
		for i := range 20_000 {
			if p.Choose(fmt.Sprintf(form, i), false).Role == valuer.Candidate {
				n++
			}
		}
		// Five standard deviations: 1.06 points. That of golden salt is below.
		if share := float64(n) / 200; share < 10-1.06 || share > 10+1.06 {
			t.Errorf("%.2f %% of 20,000 callers", share)
		}
	})
	n := 0
	for i := range 20_000 {
		if canary.Choose(user(i), false).Role == valuer.Candidate {
			n++
		}
	}
	if share := float64(n) / 200; share < 9.3 || share > 10.7 {
		t.Errorf("%.2f %% of 20,000 users, want 10 ± 0.7", share)
	}
}

func TestAGrowingShareMovesNobodyBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		less := rapid.IntRange(0, int(Whole)).Draw(t, "less")
		more := rapid.IntRange(less, int(Whole)).Draw(t, "more")
		small, large := canary, canary
		small.Percent, large.Percent = Percent(less), Percent(more)
		caller := rapid.String().Draw(t, "caller")
		if small.Choose(caller, false).Role == valuer.Candidate && large.Choose(caller, false).Role != valuer.Candidate {
			t.Errorf("%q moves back when the share grows from %v to %v", caller, small.Percent, large.Percent)
		}
	})
}

// TestEveryProcessChoosesAlike compares with what sha256sum says:
//
//	printf 'caller\0s1\0user-0' | sha256sum | cut -c1-16
//
// as a number, modulo 10,000.
func TestEveryProcessChoosesAlike(t *testing.T) {
	for key, want := range golden {
		if got := bucket(callerStream, "s1", key); got != want {
			t.Errorf("%q falls into bucket %d, want %d", key, got, want)
		}
	}
}

func TestWhoeverAsksForTheCandidateGetsIt(t *testing.T) {
	for _, mode := range Modes() {
		p := canary
		p.Mode, p.Percent = mode, 0
		if got := p.Choose("anyone", true); got != (valuer.Choice{Version: "kc-2", Role: valuer.Candidate}) {
			t.Errorf("%s: %+v", mode, got)
		}
		if got := p.Choose("anyone", false); got != (valuer.Choice{Version: "kc-1", Role: valuer.Primary}) {
			t.Errorf("%s: %+v", mode, got)
		}
	}
	alone := Plan{Primary: "kc-1"}
	if got := alone.Choose("anyone", true); got != (valuer.Choice{Version: "kc-1", Role: valuer.Primary}) {
		t.Errorf("without a candidate: %+v", got)
	}
}

func TestAShadowAnswersNobody(t *testing.T) {
	p := canary
	p.Mode, p.Percent = Shadow, Whole
	if got := p.Choose("anyone", false); got.Role != valuer.Primary {
		t.Errorf("got %+v", got)
	}
	p.Percent = 2500
	n, both := 0, 0
	other := canary
	other.Percent = 2500
	for i := range 20_000 {
		if p.Shadows(user(i)) {
			n++
			if other.Choose(user(i), false).Role == valuer.Candidate {
				both++
			}
		}
	}
	if n < 4700 || n > 5300 || both < 1100 || both > 1400 {
		t.Errorf("%d of 20,000 requests are shadowed, of them %d by callers in the share; want about 5000, and a quarter of them", n, both)
	}
	if canary.Shadows("r") || (&Plan{}).Shadows("r") {
		t.Error("shadows without being told")
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	key := strings.Repeat("k", 100)
	if n := testing.AllocsPerRun(100, func() { canary.Choose(key, false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkChoose(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		canary.Choose("203.0.113.7", false)
	}
}

func TestPercent(t *testing.T) {
	for text, want := range map[string]Percent{"0": 0, "100": Whole, "12.5": 1250, "0.01": 1, "99.99": 9999, "7.10": 710, "100.00": Whole} {
		if got, err := ParsePercent(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "1.", ".5", "100.01", "101", "-1", "+1", "0.001", "1e1", "1,5", " 1", "1000", "NaN", "１"} {
		if got, err := ParsePercent(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	for n := range Whole + 1 {
		if got, err := ParsePercent(n.String()); err != nil || got != n {
			t.Fatalf("%d is written %v and read as %v, %v", n, n, got, err)
		}
	}
}

func TestPlansAreReadStrictly(t *testing.T) {
	text, err := canary.Text()
	if err != nil || string(text) != `{"primary":"kc-1","candidate":"kc-2","mode":"canary","percent":10,"salt":"s1"}` {
		t.Fatalf("%s, %v", text, err)
	}
	if got, err := Parse(text); err != nil || got != canary {
		t.Errorf("%+v, %v", got, err)
	}
	for _, c := range []struct{ text, want string }{
		{``, "EOF"},
		{`null`, "primary"},
		{`[]`, "plan"},
		{`{}`, "primary"},
		{`{"primary":"../a"}`, "primary"},
		{`{"primary":"a","primary":"b"}`, "duplicate"},
		{`{"primary":"a","more":1}`, "unknown"},
		{`{"Primary":"a"}`, "unknown"},
		{`{"primary":"a","percent":10}`, "need a candidate"},
		{`{"primary":"a","candidate":"a","mode":"ab"}`, "is the primary"},
		{`{"primary":"a","candidate":"b"}`, "mode"},
		{`{"primary":"a","candidate":"b","mode":"big-bang"}`, "big-bang"},
		{`{"primary":"a","candidate":"b","mode":"blue-green","percent":10}`, "0 or 100"},
		{`{"primary":"a","candidate":"b","mode":"canary","percent":101}`, "0 to 100"},
		{`{"primary":"a","candidate":"b","mode":"canary","percent":0.001}`, "two digits"},
		{`{"primary":"a","candidate":"b","mode":"canary","percent":"10"}`, "not a share"},
		{`{"primary":"a","candidate":"b","mode":"canary","salt":"\n"}`, "salt"},
		{`{"primary":"a","previous":" "}`, "previous"},
		{`{"primary":"a"} {}`, "plan"},
		{`{"primary":"a"` + strings.Repeat(" ", 5000) + `}`, "more than"},
	} {
		if got, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %+v, %v; want an error with %q", c.text, got, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"primary":"kc-1","candidate":"kc-2","mode":"canary","percent":10.01,"salt":"s1","previous":"kc-0"}`))
	f.Add([]byte(`{"primary":"a"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		again, err := p.Text()
		if err != nil {
			t.Fatal(err)
		}
		if q, err := Parse(again); err != nil || q != p {
			t.Errorf("%s is read as %+v and then %+v, %v", text, p, q, err)
		}
	})
}

// TestAnyStepsLeaveAPlanThatIsRight takes steps at random: what succeeds
// gives a plan that can be right, and what fails says why.
func TestAnyStepsLeaveAPlanThatIsRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		versions := []string{"a", "b", "c"}
		p := Plan{Primary: "a"}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			before := p
			version := rapid.SampledFrom(versions).Draw(t, "version")
			percent := Percent(rapid.IntRange(0, int(Whole)).Draw(t, "percent"))
			var next Plan
			var err error
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				next, err = p.Start(version, rapid.SampledFrom(Modes()).Draw(t, "mode"), percent, "s")
			case 1:
				next, err = p.Set(percent)
			case 2:
				next, err = p.SetPrimary(version)
			case 3:
				next, err = p.Promote()
				if err == nil && (next.Primary != before.Candidate || next.Previous != before.Primary || next.Candidate != "") {
					t.Errorf("promoted %+v to %+v", before, next)
				}
			case 4:
				next, err = p.Rollback()
				if err == nil && (next.Candidate != "" || before.Candidate != "" && next.Primary != before.Primary || before.Candidate == "" && next.Primary != before.Previous) {
					t.Errorf("rolled %+v back to %+v", before, next)
				}
			}
			if p != before {
				t.Errorf("a step changed the plan that it was given")
			}
			if err != nil {
				continue
			}
			if p = next; p.Check() != nil {
				t.Errorf("%+v: %v", p, p.Check())
			}
		}
	})
}

func TestStepsThatCannotBeTaken(t *testing.T) {
	first := func(_ Plan, err error) error { return err }
	for _, c := range []struct {
		err  error
		want string
	}{
		{first(Plan{}.Start("b", Canary, 0, "")), "no primary"},
		{first(canary.Start("kc-3", Canary, 0, "")), "kc-2 is under way"},
		{first(canary.Start("kc-2", Canary, 0, "")), "set its share"},
		{first(Plan{Primary: "a"}.Start("a", Canary, 0, "")), "is the primary"},
		{first(Plan{Primary: "a"}.Set(1)), "no candidate"},
		{first(canary.SetPrimary("kc-3")), "under way"},
		{first(Plan{Primary: "a"}.SetPrimary("a")), "already"},
		{first(Plan{Primary: "a"}.Promote()), "no candidate"},
		{first(Plan{Primary: "a"}.Rollback()), "nothing to roll back"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%v, want an error with %q", c.err, c.want)
		}
	}
	// From canary to A/B the callers stay where they are.
	ab, err := canary.Start("kc-2", AB, 1000, "another salt")
	if err != nil || ab.Salt != canary.Salt {
		t.Errorf("%+v, %v", ab, err)
	}
}

func TestThePlanOfARegistry(t *testing.T) {
	r, err := registry.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	read := func() (Plan, registry.State) {
		t.Helper()
		state, _, err := r.State(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		p, err := Of(state)
		if err != nil {
			t.Fatal(err)
		}
		return p, state
	}
	none, state := read()
	if none != (Plan{}) {
		t.Errorf("of an empty registry: %+v", none)
	}
	change := registry.Change{When: time.Unix(1, 0), Who: "ann", What: "set"}
	if err := Save(t.Context(), r, state, Plan{Primary: "a"}, change); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a plan for a version that is not there: %v", err)
	}
	if _, err := r.Push(t.Context(), "a", bytes.NewReader(bundletest.Bytes(t, "a", 1)), nil, change); err != nil {
		t.Fatal(err)
	}
	if err := Save(t.Context(), r, state, Plan{Primary: "a"}, change); err != nil {
		t.Fatal(err)
	}
	if p, _ := read(); p != (Plan{Primary: "a"}) {
		t.Errorf("%+v", p)
	}
	if err := Save(t.Context(), r, state, Plan{Primary: "a", Previous: "a"}, change); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("changed what had changed: %v", err)
	}
	if p, err := Of(registry.State{Version: "v1"}); err != nil || p != (Plan{Primary: "v1"}) {
		t.Errorf("by the file VERSION: %+v, %v", p, err)
	}
	if _, err := Of(registry.State{Plan: []byte(`{"primary":1}`)}); err == nil {
		t.Error("a plan that is none was taken")
	}
	if !slices.Contains(Modes(), Shadow) {
		t.Error("a mode is missing")
	}
}

func ExamplePlan_Choose() {
	plan := Plan{Primary: "kc-1"}
	plan, err := plan.Start("kc-2", Canary, 1000, "s1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Choose("ann", false))
	fmt.Println(plan.Choose("ann", true))
	// Output:
	// {kc-1 primary}
	// {kc-2 candidate}
}
