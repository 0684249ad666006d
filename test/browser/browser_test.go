// Package browser_test does in a real browser what the people do for whom the
// pages are: value a house, value a file, look at the model, move a version.
package browser_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience bounds how long a test waits for what must come, on a busy machine.
const patience = 90 * time.Second

// program is the service, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "housing-browser-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "housing")
	out, err := exec.Command("go", "build", "-o", path, "housing/cmd/housing").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if !testing.Short() {
		if path, err := program(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

// service is a running service.
type service struct {
	t    testing.TB
	base string
	pid  int
}

// built returns where the program is.
func built(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("the service is a process of its own, of which the race detector sees nothing")
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// housing runs a command of the program to its end.
func housing(t testing.TB, env []string, args ...string) string {
	t.Helper()
	path := built(t)
	command := exec.Command(path, args...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	out, err := command.Output()
	if err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			t.Fatalf("housing %v: %v: %s", args, err, ended.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}

// start starts a service that ends with the test.
func start(t testing.TB, env ...string) *service {
	t.Helper()
	command := exec.Command(built(t), "serve", "--log-format", "json")
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LISTEN=127.0.0.1:0", "TMPDIR=" + t.TempDir()}, env...)
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	address, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var event struct{ Msg, Address, Level string }
			if json.Unmarshal(lines.Bytes(), &event) != nil {
				continue
			}
			if event.Msg == "serving" {
				address <- event.Address
			}
			if event.Level == "ERROR" {
				t.Errorf("the service logged: %s", lines.Text())
			}
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM) // it may have ended
		<-done
		_ = command.Wait()
	})
	select {
	case at := <-address:
		return &service{t, "http://" + at, command.Process.Pid}
	case <-done:
		t.Fatal("the service ended before it served")
	case <-time.After(patience):
		t.Fatal("the service does not say where it listens")
	}
	return nil
}

// view is how a page is looked at.
type view struct {
	name     string
	width    int64
	dark     bool
	noScript bool
}

// views are those in which each person's job is done.
var views = []view{
	{name: "1280", width: 1280},
	{name: "390-dark", width: 390, dark: true},
}

// open opens a browser on a view. Without a browser the test is skipped, or
// fails where CI=true.
func open(t testing.TB, v view) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WSURLReadTimeout(patience),
		chromedp.UserDataDir(profile(t)))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	// Of events that the protocol has gained since, it logs that it knows nothing.
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	if err := chromedp.Run(ctx,
		chromedp.EmulateViewport(v.width, 900),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		emulation.SetScriptExecutionDisabled(v.noScript),
	); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// profile returns a folder for the browser, which is removed after it: what it
// has started may write there for a moment longer than it runs.
func profile(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "housing-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := os.RemoveAll(dir)
		for end := time.Now().Add(patience); err != nil && time.Now().Before(end); err = os.RemoveAll(dir) {
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}

// run does things in the browser, each within patience.
func run(t testing.TB, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	for i, action := range actions {
		limited, cancel := context.WithTimeout(ctx, patience)
		err := chromedp.Run(limited, action)
		cancel()
		if err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
}

// until waits until an expression of JavaScript is true.
func until(t testing.TB, ctx context.Context, what, expression string) {
	t.Helper()
	var is bool
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := chromedp.Run(ctx, chromedp.Evaluate("Boolean("+expression+")", &is))
		if err == nil && is {
			return
		}
		if time.Now().After(end) {
			var text string
			_ = chromedp.Run(ctx, chromedp.Text("body", &text)) // it is shown as far as there is one
			t.Fatalf("%s never came (%v); the page:\n%s", what, err, text)
		}
	}
}

// text returns the text of an element.
func text(t testing.TB, ctx context.Context, selector string) string {
	t.Helper()
	var s string
	run(t, ctx, chromedp.Text(selector, &s, chromedp.ByQuery))
	return s
}

// picture keeps a screenshot of the whole page where SCREENSHOTS names a
// folder, to be looked at.
func picture(t testing.TB, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	run(t, ctx, chromedp.FullScreenshot(&png, 100))
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// priced asks the API for the price of a house.
func (s *service) priced(record string) float64 {
	s.t.Helper()
	answer, err := http.Post(s.base+"/v1/predict", "application/json", strings.NewReader(`{"records":[`+record+`]}`))
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	var out struct{ Predictions []float64 }
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil || len(out.Predictions) != 1 {
		s.t.Fatalf("%s: %v", answer.Status, err)
	}
	return out.Predictions[0]
}
