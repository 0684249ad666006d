package bundle

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"unsafe"

	"github.com/google/renameio/v2"
	"github.com/klauspost/compress/zstd"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model"
)

// Contents is what a bundle is written from.
type Contents struct {
	Manifest     Manifest // without Parts, which Write fills
	Model        *model.Model
	Demographics *demographics.Table
	// Golden are houses that are valued when the bundle is written, and again
	// whenever it is opened. They must not be real ones.
	Golden []house.House
}

// Bundle is an open bundle. It never changes; the model must not be used
// once the bundle is closed.
type Bundle struct {
	Manifest     Manifest
	Digest       string // SHA-256 of the file, in hex
	Model        *model.Model
	Demographics *demographics.Table // that the model was trained with

	unmap func() error
}

// goldenTolerance is how much a golden price may differ from machine to
// machine, relatively: the last bits of an exponential do.
const goldenTolerance = 1e-9

// Write writes a bundle. The same contents give the same bytes.
func Write(w io.Writer, c Contents) error {
	e := c.Model.Encoder
	areas := c.Demographics.Areas()
	zipcodes := c.Demographics.Zipcodes()
	dates := make([]int32, len(c.Golden))
	values := make([]float64, 0, len(c.Golden)*house.NumFields)
	for i := range c.Golden {
		dates[i] = int32(c.Golden[i].Date)
		values = append(values, c.Golden[i].Values[:]...)
	}
	prices := c.Model.Prices(nil, c.Golden, c.Demographics)
	width := len(features.ZipMeans{})
	tensors := map[string]tensor{
		"features.newest":       tensorOf([]int32{int32(e.Newest)}, 1),
		"features.centres":      tensorOf(numbers[float64](e.Centres), len(e.Centres), 2),
		"features.vicinities":   tensorOf(numbers[float32](e.Vicinities), len(e.Vicinities), features.VicinityNumbers),
		"features.zipcodes":     tensorOf(e.Zipcodes, len(e.Zipcodes)),
		"features.zip_means":    tensorOf(numbers[float64](e.Means), len(e.Means), width),
		"features.zip_overall":  tensorOf(e.Overall[:], width),
		"demographics.zipcodes": tensorOf(zipcodes, len(zipcodes)),
		"demographics.areas":    tensorOf(numbers[float32](areas), len(areas), demographics.NumColumns),
		"golden.houses":         tensorOf(values, len(c.Golden), house.NumFields),
		"golden.dates":          tensorOf(dates, len(dates)),
		"golden.prices":         tensorOf(prices, len(prices)),
	}
	addForest(tensors, "forest", c.Model.Forest)
	addReference(tensors, c.Model.Reference)
	addInterval(tensors, c.Model.Interval)
	addComparables(tensors, c.Model.Comparables)
	addMarket(tensors, c.Model.Market)
	addSmooth(tensors, c.Model.Smooth)
	if err := writeContainer(w, c.Manifest, tensors); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// Parse returns the bundle that data holds, once everything in it has been
// verified. The bundle shares data's memory, which must not change.
func Parse(data []byte) (*Bundle, error) {
	data = aligned(data)
	manifest, p, err := readContainer(data)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Manifest: *manifest, Digest: sum(data)}
	if b.Model, err = readModel(p); err != nil {
		return nil, err
	}
	if err := b.checkFeatures(); err != nil {
		return nil, err
	}
	zipcodes, _ := valuesOf[house.Zipcode](p, "demographics.zipcodes")
	areas, _ := valuesOf[float32](p, "demographics.areas", demographics.NumColumns)
	if p.err != nil {
		return nil, p.err
	}
	if b.Demographics, err = demographics.NewTable(zipcodes, structs[demographics.Area](areas)); err != nil {
		return nil, err
	}
	if err := b.checkGolden(p); err != nil {
		return nil, err
	}
	return b, nil
}

func readModel(p *parts) (*model.Model, error) {
	forest := readForest(p, "forest", features.NumColumns())
	encoder := &features.Encoder{Newest: house.Date(oneOf[int32](p, "features.newest"))}
	centres, _ := valuesOf[float64](p, "features.centres", 2)
	encoder.Centres = structs[features.Place](centres)
	vicinities, _ := valuesOf[float32](p, "features.vicinities", features.VicinityNumbers)
	encoder.Vicinities = structs[features.Vicinity](vicinities)
	encoder.Zipcodes, _ = valuesOf[house.Zipcode](p, "features.zipcodes")
	means, _ := valuesOf[float64](p, "features.zip_means", len(encoder.Overall))
	encoder.Means = structs[features.ZipMeans](means)
	overall, n := valuesOf[float64](p, "features.zip_overall")
	if p.err == nil && n != len(encoder.Overall) {
		p.err = fmt.Errorf("part features.zip_overall holds %d numbers, not %d", n, len(encoder.Overall))
	}
	if p.err != nil {
		return nil, p.err
	}
	copy(encoder.Overall[:], overall)
	market, smooth := readMarket(p), readSmooth(p)
	if p.err != nil {
		return nil, p.err
	}
	m, err := model.New(encoder, forest, market, smooth)
	if err != nil {
		return nil, err
	}
	if m.Reference, err = readReference(p); err != nil {
		return nil, err
	}
	if m.Interval, err = readInterval(p); err != nil {
		return nil, err
	}
	comparables, err := readComparables(p)
	if err != nil || comparables == nil {
		return m, err
	}
	return m.WithComparables(comparables)
}

// checkFeatures refuses a bundle that was trained on other columns than this
// program makes.
func (b *Bundle) checkFeatures() error {
	names := b.Model.FeatureNames()
	for i, name := range b.Manifest.Features {
		if i >= len(names) || name != names[i] {
			return fmt.Errorf("trained by %s on feature %.80q, which this program does not make", b.Manifest.Program, name)
		}
	}
	if len(b.Manifest.Features) != len(names) {
		return fmt.Errorf("trained by %s without feature %s, which this program makes", b.Manifest.Program, names[len(b.Manifest.Features)])
	}
	return nil
}

// checkGolden values the golden houses and compares.
func (b *Bundle) checkGolden(p *parts) error {
	values, n := valuesOf[float64](p, "golden.houses", house.NumFields)
	dates, nDates := valuesOf[int32](p, "golden.dates")
	want, nPrices := valuesOf[float64](p, "golden.prices")
	if p.err != nil {
		return p.err
	}
	if n == 0 || n != nDates || n != nPrices {
		return errors.New("golden houses are missing")
	}
	houses := make([]house.House, n)
	for i := range houses {
		houses[i].Date = house.Date(dates[i])
		copy(houses[i].Values[:], values[i*house.NumFields:])
	}
	for i, got := range b.Model.Prices(nil, houses, b.Demographics) {
		if !(math.Abs(got-want[i]) <= goldenTolerance*want[i]) {
			return fmt.Errorf("golden house %d is valued at %.2f, was %.2f where the bundle was written: this program would answer wrong prices", i+1, got, want[i])
		}
	}
	return nil
}

// Open maps the bundle in a file into memory and verifies it.
func Open(path string) (*Bundle, error) {
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	b, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", path, errors.Join(err, unmap()))
	}
	b.unmap = unmap
	return b, nil
}

// Close gives the memory back. The model must no longer be in use.
func (b *Bundle) Close() error {
	if b.unmap == nil {
		return nil
	}
	unmap := b.unmap
	b.unmap = nil
	return unmap()
}

// builtin is compressed, as the program has to stay small. It is a string, which
// nothing can write, so that its pages can be given back after the start.
//
//go:embed builtin/bundle.zst
var builtin string

// Builtin returns the model that comes with the program, trained on sales in
// King County, Washington, in 2014 and 2015 (`make model` trains it).
func Builtin() (*Bundle, error) {
	data, err := BuiltinBytes()
	if err != nil {
		return nil, err
	}
	b, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("built-in bundle: %w", err)
	}
	return b, nil
}

// BuiltinBytes returns the model that comes with the program as a bundle's
// file has it.
func BuiltinBytes() ([]byte, error) {
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("built-in bundle: %w", err)
	}
	defer unpack.Close()
	data, err := unpack.DecodeAll(unsafe.Slice(unsafe.StringData(builtin), len(builtin)), nil) // which only reads it
	if err != nil {
		return nil, fmt.Errorf("built-in bundle: %w", err)
	}
	return data, nil
}

// WriteFile writes a bundle to a new file: whole and read back, or not at
// all. Where there is a file already, even one that came meanwhile, that
// stays and the error is fs.ErrExist.
func WriteFile(path string, c Contents) error {
	var buffer bytes.Buffer
	if err := Write(&buffer, c); err != nil {
		return err
	}
	if _, err := Parse(buffer.Bytes()); err != nil {
		return fmt.Errorf("the bundle that was made cannot be read back: %w", err)
	}
	temporary, err := renameio.TempFile("", path)
	if err != nil {
		return err
	}
	defer func() { _ = temporary.Cleanup() }()
	if err := temporary.Chmod(0o644); err != nil {
		return err
	}
	if _, err := temporary.Write(buffer.Bytes()); err != nil {
		return err
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	return os.Link(temporary.Name(), path) // which replaces nothing, as a rename would
}
