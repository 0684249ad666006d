package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/parquet-go/parquet-go"
)

// houses writes a CSV file of made-up houses, of which every badEvery-th has a
// fault, and returns the lines of those.
func houses(t testing.TB, n, badEvery int) (path string, bad []int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "houses.csv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "name,bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode,grade")
	for i := range n {
		living := strconv.Itoa(800 + random.IntN(3000))
		if badEvery > 0 && i%badEvery == badEvery-1 {
			living = []string{"12", "many", ""}[i/badEvery%3]
			bad = append(bad, i+2)
		}
		fmt.Fprintf(w, "\"house %d, né \"\"%c\"\"\",%d,%d,%s,%d,1,%d,0,%d,%d\n", i, 'a'+i%26, 1+random.IntN(5), 1+random.IntN(3), living, 3000+random.IntN(9000), 700, 98101+random.IntN(20), 5+random.IntN(6))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path, bad
}

// peakMemory returns the most memory that the service was ever resident with,
// in MiB.
func (s *service) peakMemory() float64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if !found || err != nil {
		s.t.Fatalf("no VmHWM: %v", err)
	}
	return kib / 1024
}

// choose gives a file to the page and starts.
func choose(t testing.TB, ctx context.Context, s *service, path string) {
	t.Helper()
	run(t, ctx, chromedp.Navigate(s.base+"/file"), chromedp.SetUploadFiles("#file", []string{path}, chromedp.ByID))
	until(t, ctx, "a file", `!document.getElementById("file-start").disabled`)
	run(t, ctx, chromedp.Focus("#file-start", chromedp.ByID), chromedp.KeyEvent(kb.Enter))
}

// TestAnAnalystValuesALargeFile of 100,000 houses, of which 500 have a fault:
// each of these lines is named, the rest is valued and comes back with its
// prices.
func TestAnAnalystValuesALargeFile(t *testing.T) {
	const rows, badEvery = 100_000, 200
	s := start(t)
	path, bad := houses(t, rows, badEvery)
	ctx := open(t, views[0])
	choose(t, ctx, s, path)
	until(t, ctx, "the end", `document.getElementById("file-state").textContent.startsWith("Done")`)
	if said, want := text(t, ctx, "#file-state"), "Done: 99,500 of 100,000 houses are valued, 500 lines have faults."; said != want {
		t.Errorf("%q, want %q", said, want)
	}
	var lines []string
	run(t, ctx, chromedp.Evaluate(`[...document.querySelectorAll("#file-faults tbody th")].map((cell) => cell.textContent)`, &lines))
	if len(lines) != len(bad) {
		t.Fatalf("%d lines are named, want %d", len(lines), len(bad))
	}
	for i, line := range lines {
		if line != strconv.Itoa(bad[i]) {
			t.Errorf("line %s is named, want %d", line, bad[i])
		}
	}
	faults := text(t, ctx, "#file-faults")
	for _, want := range []string{"sqft_living must be at least 100, is 12", `sqft_living must be a number`, "sqft_living is required"} {
		if !strings.Contains(faults, want) {
			t.Errorf("no fault %q in %.300q", want, faults)
		}
	}
	picture(t, ctx, "file-done")
	if used := s.peakMemory(); used > 128 {
		t.Errorf("the service took %.0f MiB, want less than 128", used)
	} else {
		t.Logf("the service took %.0f MiB", used)
	}

	dir := t.TempDir()
	run(t, ctx, browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir),
		chromedp.Evaluate(`[...document.querySelectorAll("#file-result button")].find((b) => b.textContent === "Download CSV").click()`, nil))
	path = filepath.Join(dir, "houses-prices.csv")
	wantPrices(t, s, path, rows, len(bad))
	run(t, ctx, chromedp.Evaluate(`[...document.querySelectorAll("#file-result button")].find((b) => b.textContent === "Download Parquet").click()`, nil))
	wantTheSame(t, filepath.Join(dir, "houses-prices.parquet"), path)
}

// wantTheSame reads the Parquet file that came back, and compares each of its
// values with the CSV file.
func wantTheSame(t *testing.T, path, csvPath string) {
	t.Helper()
	var data []byte
	var file *parquet.File
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		var err error
		if data, err = os.ReadFile(path); err == nil {
			if file, err = parquet.OpenFile(bytes.NewReader(data), int64(len(data))); err == nil {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no Parquet came back: %v, %d bytes", err, len(data))
		}
	}
	text, err := os.Open(csvPath)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	want, err := csv.NewReader(text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, c := range file.Root().Columns() {
		kinds = append(kinds, c.Name()+" "+c.Type().String())
	}
	if got := strings.Join(kinds, ", "); got != "name STRING, bedrooms DOUBLE, bathrooms DOUBLE, sqft_living DOUBLE, sqft_lot DOUBLE, floors DOUBLE, sqft_above DOUBLE, sqft_basement DOUBLE, zipcode STRING, grade DOUBLE, predicted_price DOUBLE" {
		t.Errorf("the columns are %s", got)
	}
	if len(data) > 4<<20 || len(file.RowGroups()) < 2 {
		t.Errorf("%d bytes in %d row groups", len(data), len(file.RowGroups()))
	}
	reader := parquet.NewReader(file)
	defer reader.Close()
	rows := make([]parquet.Row, len(want))
	n, err := reader.ReadRows(rows)
	for err == nil && n < len(want)-1 {
		var more int
		more, err = reader.ReadRows(rows[n:])
		n += more
	}
	if n != len(want)-1 {
		t.Fatalf("%d rows, want %d: %v", n, len(want)-1, err)
	}
	for i, row := range rows[:n] {
		for c, v := range row {
			cell := want[i+1][c]
			number, err := strconv.ParseFloat(cell, 64)
			switch known := !v.IsNull(); {
			case v.Kind() == parquet.ByteArray && known:
				if string(v.ByteArray()) != cell {
					t.Fatalf("row %d has %q in column %d, the CSV %q", i, v.ByteArray(), c, cell)
				}
			case known != (err == nil), known && v.Double() != number:
				t.Fatalf("row %d has %v in column %d, the CSV %q", i, v, c, cell)
			}
		}
	}
}

// wantPrices reads the file that came back.
func wantPrices(t *testing.T, s *service, path string, rows, bad int) {
	t.Helper()
	var data []byte
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		var err error
		if data, err = os.ReadFile(path); err == nil && strings.Count(string(data), "\n") == rows+1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no whole file came back: %v, %d bytes", err, len(data))
		}
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if !strings.HasSuffix(lines[0], ",grade,predicted_price") {
		t.Errorf("the first line is %q", lines[0])
	}
	empty := 0
	for _, line := range lines[1:] {
		if strings.HasSuffix(line, ",") {
			empty++
		}
	}
	if empty != bad {
		t.Errorf("%d lines have no price, want %d", empty, bad)
	}
	cells := strings.Split(lines[1][strings.LastIndex(lines[1], `"`)+2:], ",")
	names := strings.Split("bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode,grade", ",")
	var record []string
	for i, name := range names {
		record = append(record, fmt.Sprintf("%q:%s", name, cells[i]))
	}
	price, err := strconv.ParseFloat(cells[len(names)], 64)
	if want := s.priced("{" + strings.Join(record, ",") + "}"); err != nil || price != want {
		t.Errorf("the first house has the price %s, the API says %.2f", cells[len(names)], want)
	}
}

// TestAFileIsCancelled at half way, and leaves nothing.
func TestAFileIsCancelled(t *testing.T) {
	s := start(t)
	path, _ := houses(t, 100_000, 0)
	ctx := open(t, views[1])
	choose(t, ctx, s, path)
	until(t, ctx, "some progress", `document.getElementById("file-bar").value > 0.05`)
	picture(t, ctx, "file-running")

	// No other file is taken meanwhile, chosen or dropped, and the run goes on.
	run(t, ctx, chromedp.Evaluate(`(() => {
		const files = new DataTransfer();
		files.items.add(new File(["a,b"], "other.csv"));
		document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
	})()`, nil))
	var is []bool
	run(t, ctx, chromedp.Evaluate(`[document.getElementById("file").disabled, document.getElementById("file-start").disabled, document.getElementById("file-progress").checkVisibility(),
		document.getElementById("file").files[0].name === "houses.csv", document.getElementById("file-cancel").checkVisibility()]`, &is))
	if slices.Contains(is, false) {
		t.Errorf("while a file is valued: %v", is)
	}
	run(t, ctx, chromedp.Focus("#file-cancel", chromedp.ByID), chromedp.KeyEvent(kb.Enter))
	until(t, ctx, "the end", `document.getElementById("file-state").textContent.startsWith("Cancelled")`)
	var left int
	run(t, ctx, chromedp.Evaluate(`document.getElementById("file-result").childElementCount`, &left))
	if left != 0 {
		t.Errorf("%d parts of a result are left", left)
	}
	if used := s.peakMemory(); used > 128 {
		t.Errorf("the service took %.0f MiB, want less than 128", used)
	}
}

// TestAFileThatIsNone says what is wrong with it.
func TestAFileThatIsNone(t *testing.T) {
	s := start(t)
	ctx := open(t, views[0])
	for content, want := range map[string]string{
		"":                    "The file is empty.",
		"a,b\n1,2\n":          "Missing: bedrooms, bathrooms",
		"bedrooms,\"b\n1,2\n": "Missing: ",
		"bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode\n":          "There is no house",
		"bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode, zipcode\n": "Column zipcode stands twice in the first line.",
		"bedrooms;bathrooms;sqft_living;sqft_lot;floors;sqft_above;sqft_basement;zipcode\n":          "Columns must be parted by commas, not by semicolons.",
	} {
		path := filepath.Join(t.TempDir(), "no.csv")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		choose(t, ctx, s, path)
		until(t, ctx, "a notice", `document.querySelector("#file-result .notice")`)
		if said := text(t, ctx, "#file-result"); !strings.Contains(said, want) {
			t.Errorf("%q says %q, want %q", content, said, want)
		}
	}
}

// TestALineWithAnotherNumberOfCells is not valued, as its cells may stand under
// other names; and the columns that are not used are named.
func TestALineWithAnotherNumberOfCells(t *testing.T) {
	s := start(t)
	ctx := open(t, views[0])
	choose(t, ctx, s, writeFile(t, "houses.csv", "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode,,grad\n"+
		"3,2.5,2220,6380,1.5,1660,560,98115,,8\n"+
		"3,2.5,2220,6380,1.5,1660,560,98115,\n"+
		"3,2.5,2220,6380,1.5,1660,560,98115,,8,\n"))
	until(t, ctx, "the end", `document.getElementById("file-state").textContent.startsWith("Done")`)
	picture(t, ctx, "file-cells")
	if said, want := text(t, ctx, "#file-state"), "Done: 1 of 3 houses are valued, 2 lines have faults."; said != want {
		t.Errorf("%q, want %q", said, want)
	}
	if said, want := text(t, ctx, "#file-unused"), "Not used, but kept in the file: column 9, grad."; said != want {
		t.Errorf("%q, want %q", said, want)
	}
	faults := text(t, ctx, "#file-result")
	for _, want := range []string{"3\thas 9 cells where the first line has 10", "4\thas 11 cells where the first line has 10"} {
		if !strings.Contains(faults, want) {
			t.Errorf("no fault %q in %q", want, faults)
		}
	}
}

// TestTheDayOfASale is the day of valuation, as for the command line, where a
// file has no other.
func TestTheDayOfASale(t *testing.T) {
	const record = `{"bedrooms":3,"bathrooms":2.5,"sqft_living":2220,"sqft_lot":6380,"floors":1.5,"sqft_above":1660,"sqft_basement":560,"zipcode":98115%s}`
	const cells = "3,2.5,2220,6380,1.5,1660,560,98115"
	s := start(t)
	ctx := open(t, views[0])
	choose(t, ctx, s, writeFile(t, "sold.csv", "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode,date,valuation_date\n"+
		cells+",20140601T000000,\n"+cells+",20140601T000000,2015-05-01\n"+cells+",,\n"+cells+",June,\n"))
	until(t, ctx, "the end", `document.getElementById("file-state").textContent.startsWith("Done")`)
	if faults := text(t, ctx, "#file-result"); !strings.Contains(faults, "5\tvaluation_date must be a day") || strings.Contains(faults, "Not used") {
		t.Errorf("the faults are %q", faults)
	}
	dir := t.TempDir()
	run(t, ctx, browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir),
		chromedp.Evaluate(`[...document.querySelectorAll("#file-result button")].find((b) => b.textContent === "Download CSV").click()`, nil))
	path := filepath.Join(dir, "sold-prices.csv")
	var lines []string
	for end := time.Now().Add(patience); len(lines) != 5; time.Sleep(100 * time.Millisecond) {
		if data, err := os.ReadFile(path); err == nil {
			lines = strings.Split(strings.TrimSpace(string(data)), "\n")
		}
		if time.Now().After(end) {
			t.Fatalf("no whole file came back: %q", lines)
		}
	}
	prices := map[string]bool{}
	for i, day := range []string{`,"valuation_date":"2014-06-01"`, `,"valuation_date":"2015-05-01"`, ""} {
		got, err := strconv.ParseFloat(lines[i+1][strings.LastIndex(lines[i+1], ",")+1:], 64)
		if want := s.priced(fmt.Sprintf(record, day)); err != nil || got != want {
			t.Errorf("line %d has the price %v (%v), the API says %.2f", i+2, got, err, want)
		}
		prices[fmt.Sprint(got)] = true
	}
	if len(prices) < 2 {
		t.Error("the day changes nothing")
	}
}

// TestTheModelIsShown with its accuracy and what it looks at.
func TestTheModelIsShown(t *testing.T) {
	s := start(t)
	for _, v := range views {
		ctx := open(t, v)
		run(t, ctx, chromedp.Navigate(s.base+"/model"))
		until(t, ctx, "the accuracy", `document.querySelectorAll("#model .card").length >= 4`)
		for _, want := range []string{"Gradient Boosted Trees", "cross-validation by house", "Ratio study", "Promised", "sqft_living"} {
			if said := text(t, ctx, "#model"); !strings.Contains(said, want) {
				t.Errorf("no %q in %q", want, said)
			}
		}
		picture(t, ctx, "model-"+v.name)
	}
}
