package follow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"housing/internal/follow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFollow changes a text, breaks it, takes it away and brings it back.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // held around says and gone
		says, gone := "first", error(nil)
		var applied, told []string
		source := follow.Source{
			Read: func() (string, error) { mu.Lock(); defer mu.Unlock(); return says, gone },
			Apply: func(text string) error {
				if text == "broken" {
					return errors.New("cannot be used")
				}
				applied = append(applied, text)
				return nil
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			source.Follow(ctx, time.Second, "first", func(err error) { told = append(told, fmt.Sprint(err)) })
		}()
		for _, step := range []struct {
			says string
			gone error
		}{
			{"first", nil}, {"second", nil}, {"broken", nil}, {"broken", nil}, {"", errors.New("no such file")},
			{"broken", nil}, {"second", nil}, {"", errors.New("no such file")}, {"third", nil}, {"broken", nil},
		} {
			mu.Lock()
			says, gone = step.says, step.gone
			mu.Unlock()
			time.Sleep(3 * time.Second)
		}
		stop()
		<-done
		if got := strings.Join(applied, " "); got != "second second third" {
			t.Errorf("applied %s", got)
		}
		want := "<nil>, cannot be used, no such file, cannot be used, <nil>, no such file, <nil>, cannot be used"
		if got := strings.Join(told, ", "); got != want {
			t.Errorf("told %s\nwant %s", got, want)
		}
	})
}

// TestAChangeThatCouldNotBeUsedIsTriedAgain changes a text while what it needs
// beside it is away, such as the file of an authority.
func TestAChangeThatCouldNotBeUsedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var applied, told []string
		away := errors.New("its authority is away")
		ctx, stop := context.WithCancel(t.Context())
		start := time.Now()
		source := follow.Source{
			Read: func() (string, error) { return "second", nil },
			Apply: func(text string) error {
				if time.Since(start) < 5*time.Second {
					return away
				}
				applied = append(applied, text)
				return nil
			},
		}
		time.AfterFunc(20*time.Second, stop)
		source.Follow(ctx, time.Second, "first", func(err error) { told = append(told, fmt.Sprint(err)) })
		if got := strings.Join(applied, " "); got != "second" {
			t.Errorf("applied %s", got)
		}
		if got := strings.Join(told, ", "); got != "its authority is away, <nil>" {
			t.Errorf("told %s", got)
		}
	})
}

// TestAFailureThatComesBackIsToldAgain lets a file go, come back as it was,
// and go again.
func TestAFailureThatComesBackIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, reads := 0, 0
		ctx, stop := context.WithCancel(t.Context())
		source := follow.Source{
			Read: func() (string, error) {
				if reads++; reads%10 < 5 {
					return "first", nil
				}
				return "", errors.New("no such file")
			},
			Apply: func(text string) error { t.Errorf("applied %s", text); return nil },
		}
		time.AfterFunc(19500*time.Millisecond, stop)
		source.Follow(ctx, time.Second, "first", func(error) { told++ })
		if told != 2 {
			t.Errorf("told %d times, want 2", told)
		}
	})
}

// TestFollowSeesAChangeAtTheStart changes the text before it is followed.
func TestFollowSeesAChangeAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		source := follow.Source{
			Read:  func() (string, error) { return "second", nil },
			Apply: func(string) error { stop(); return nil },
		}
		source.Follow(ctx, time.Hour, "first", func(error) {})
	})
}

func ExampleSource_Follow() {
	ctx, stop := context.WithCancel(context.Background())
	text := func() (string, error) { return "new", nil }
	use := func(text string) error { fmt.Println("use", text); return nil }
	follow.Source{Read: text, Apply: use}.Follow(ctx, time.Second, "old", func(error) { stop() })
	// Output: use new
}
