package house_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"housing/internal/house"
)

// tabular are the readers of bodies that hold a table.
var tabular = map[string]func(d *house.Decoder, body []byte) ([]house.House, error){
	"tensors": func(d *house.Decoder, body []byte) ([]house.House, error) {
		houses, _, err := d.Tensors(nil, body)
		return houses, err
	},
	"frame": func(d *house.Decoder, body []byte) ([]house.House, error) { return d.Frame(nil, body) },
	"csv":   func(d *house.Decoder, body []byte) ([]house.House, error) { return d.CSV(nil, body) },
}

// cell is the value of a field as clients write it in JSON; nil is unknown.
func cell(h *house.House, name string) any {
	if name == house.DateField {
		if h.Date == house.NoDate {
			return nil
		}
		return h.Date.String()
	}
	f, _ := house.Lookup(name)
	switch v := h.Values[f]; {
	case math.IsNaN(v):
		return nil
	case f == house.ZipcodeField:
		return h.Zipcode().String()
	default:
		return v
	}
}

// anyForms returns houses in each form that a table has, its columns in any
// order.
func anyForms(t *rapid.T, houses []house.House) map[string]string {
	return forms(t, houses, rapid.Permutation(allColumns()).Draw(t, "columns"), rapid.Bool().Draw(t, "nested"))
}

func allColumns() []string {
	names := []string{house.DateField}
	for _, s := range house.Fields() {
		names = append(names, s.Name)
	}
	return names
}

// forms returns houses in each form that a table has.
func forms(t interface{ Fatal(...any) }, houses []house.House, names []string, nested bool) map[string]string {
	var tensors, records []any
	var rows [][]any
	columns := map[string]any{}
	for _, name := range names {
		shape, datatype := []int{len(houses)}, "FP64"
		var values []any
		for i := range houses {
			v := cell(&houses[i], name)
			if _, text := v.(string); text {
				datatype = "BYTES"
			}
			if nested {
				shape, v = []int{len(houses), 1}, []any{v}
			}
			values = append(values, v)
		}
		columns[name] = values
		tensors = append(tensors, map[string]any{"name": name, "shape": shape, "datatype": datatype, "data": values, "parameters": map[string]any{"content_type": "np"}})
	}
	for i := range houses {
		row, record := []any{}, map[string]any{}
		for _, name := range names {
			v := cell(&houses[i], name)
			record[name] = v
			row = append(row, v)
		}
		rows, records = append(rows, row), append(records, record)
	}
	written := map[string]any{
		"tensors":                  map[string]any{"id": "a", "parameters": map[string]any{}, "inputs": tensors, "outputs": []any{map[string]any{"name": "price"}}},
		"frame: dataframe_split":   map[string]any{"dataframe_split": map[string]any{"columns": names, "data": rows, "index": []int{}}},
		"frame: dataframe_records": map[string]any{"dataframe_records": records},
		"frame: instances":         map[string]any{"instances": records},
		"frame: inputs, records":   map[string]any{"inputs": records},
		"frame: inputs, columns":   map[string]any{"inputs": columns},
	}
	texts := map[string]string{"csv": asCSV(houses)}
	for form, v := range written {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts[form] = string(text)
	}
	return texts
}

func TestHousesComeBackFromTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		houses := rapid.SliceOfN(anyHouse, 1, 5).Draw(t, "houses")
		for form, text := range anyForms(t, houses) {
			reader, _, _ := strings.Cut(form, ":")
			got, err := tabular[reader](fullDecoder(), []byte(text))
			if diff := cmp.Diff(houses, got, cmpopts.EquateNaNs()); err != nil || diff != "" {
				t.Fatalf("%s: %v\n%s\n%s", form, err, diff, text)
			}
		}
	})
}

func TestTensorsReturnTheID(t *testing.T) {
	inputs := tensorsOf(map[string]string{"grade": "[8, null]"})
	houses, id, err := fullDecoder().Tensors(nil, []byte(`{"inputs":`+inputs+`,"id":"order \u0031"}`))
	if err != nil || id != "order 1" || len(houses) != 2 {
		t.Errorf("%d houses, id %q, %v", len(houses), id, err)
	}
	_, id, err = fullDecoder().Tensors(nil, []byte(`{"id":null,"outputs":null,"parameters":null,"inputs":`+inputs+`}`))
	if err != nil || id != "" {
		t.Errorf("nothing but inputs: id %q, %v", id, err)
	}
	if houses[0].Values[house.Grade] != 8 || !math.IsNaN(houses[1].Values[house.Grade]) {
		t.Errorf("grades %v and %v", houses[0].Values[house.Grade], houses[1].Values[house.Grade])
	}
}

// TestWhatPandasWrites is read, though NaN is not JSON.
func TestWhatPandasWrites(t *testing.T) {
	for form, body := range map[string]string{
		"tensors": `{"model_name":"housing","model_version":null,"id":"\\\"NaN","inputs":` + tensorsOf(map[string]string{"grade": "[8, NaN]", "waterfront": "[true, [false]]"}) + `}`,
		"frame":   `{"inputs":` + inputsOf(map[string]string{"grade": "[8,NaN]", "waterfront": "[ [true],false]"}) + `,"params":{"NaN":1}}`,
	} {
		houses, err := tabular[form](fullDecoder(), []byte(body))
		if err != nil || len(houses) != 2 {
			t.Fatalf("%s: %d houses, %v", form, len(houses), err)
		}
		if a, b := houses[0].Values, houses[1].Values; a[house.Grade] != 8 || !math.IsNaN(b[house.Grade]) || a[house.Waterfront] != 1 || b[house.Waterfront] != 0 {
			t.Errorf("%s: %v and %v", form, a, b)
		}
	}
	_, err := fullDecoder().Frame(nil, []byte(`{"inputs":`+inputsOf(map[string]string{"grade": "[NaN, NaN]", "bedrooms": "[3, NaN]"})+`}`))
	if want := "body.inputs.bedrooms[1]: bedrooms is required, is null"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := fullDecoder().Records(nil, body(only(`"grade":NaN`))); err == nil {
		t.Error("/v1/predict reads what is not JSON")
	}
}

// requiredValues are values of two houses for the fields that are required.
var requiredValues = map[string]string{
	"bedrooms": "[3, 2]", "bathrooms": "[2.5, 1]", "sqft_living": "[2220, 860]", "sqft_lot": "[6380, 7200]", "floors": "[1.5, 1]",
	"sqft_above": "[1660, 860]", "sqft_basement": "[560, 0]", "zipcode": `["98115", 98002]`,
}

// columnsOf returns requiredValues with others in their place or beside them,
// by name; "" leaves a column out.
func columnsOf(others map[string]string) (names []string, values map[string]string) {
	values = map[string]string{}
	for _, given := range []map[string]string{requiredValues, others} {
		for name, v := range given {
			if values[name] = v; v == "" {
				delete(values, name)
			}
		}
	}
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, values
}

func tensorsOf(others map[string]string) string {
	names, values := columnsOf(others)
	var tensors []string
	for _, name := range names {
		tensors = append(tensors, fmt.Sprintf(`{"name":%q,"shape":[2],"datatype":"FP64","data":%s}`, name, values[name]))
	}
	return "[" + strings.Join(tensors, ",") + "]"
}

func inputsOf(others map[string]string) string {
	names, values := columnsOf(others)
	var members []string
	for _, name := range names {
		members = append(members, fmt.Sprintf("%q:%s", name, values[name]))
	}
	return "{" + strings.Join(members, ",") + "}"
}

const tableHeader = `"bedrooms","bathrooms","sqft_living","sqft_lot","floors","sqft_above","sqft_basement","zipcode"`

func TestFaultsOfTables(t *testing.T) {
	split := func(columns, data string) string {
		return `{"dataframe_split":{"columns":[` + columns + `],"data":[` + data + `]}}`
	}
	tests := []struct {
		name, reader, body string
		want               []string
	}{
		{"no object", "tensors", `[]`, []string{"body: must be an object with the member inputs"}},
		{"nothing", "tensors", `{}`, []string{"body.inputs: is required"}},
		{"no tensors", "tensors", `{"inputs":[]}`, []string{
			"body.inputs: bedrooms is required", "body.inputs: bathrooms is required", "body.inputs: sqft_living is required", "body.inputs: sqft_lot is required",
			"body.inputs: floors is required", "body.inputs: sqft_above is required", "body.inputs: sqft_basement is required", "body.inputs: zipcode is required"}},
		{"no array of tensors", "tensors", `{"inputs":{}}`, []string{"body.inputs: must be an array of tensors"}},
		{"a member too many", "tensors", `{"inputs":` + tensorsOf(nil) + `,"records":[1]}`, []string{
			"body.records: is not a member of the body, which is only id, parameters, inputs and outputs"}},
		{"id that is no text", "tensors", `{"id":7,"inputs":` + tensorsOf(nil) + `}`, []string{"body.id: must be a string, is 7"}},
		{"values", "tensors", `{"inputs":` + tensorsOf(map[string]string{"bedrooms": "[3, 2.5]", "grade": `["8", 14]`, "sqft_living": "[12, null]"}) + `}`, []string{
			"body.inputs[1].data[1]: bedrooms must be a whole number, is 2.5",
			`body.inputs[3].data[0]: grade must be a whole number, is "8"`, "body.inputs[3].data[1]: grade must be at most 13, is 14",
			"body.inputs[6].data[0]: sqft_living must be at least 100, is 12", "body.inputs[6].data[1]: sqft_living is required, is null"}},
		{"days", "tensors", `{"inputs":` + tensorsOf(map[string]string{"valuation_date": `["2015-05-01", "May"]`}) + `}`, []string{
			`body.inputs[7].data[1]: valuation_date must be a day such as 2015-05-27 or 20150527T000000, from 1900 to 2199, is "May"`}},
		{"one left out, one misspelt", "tensors", `{"inputs":` + tensorsOf(map[string]string{"zipcode": "", "grad": "[8, 8]"}) + `}`, []string{
			"body.inputs[3].name: grad is not a field of a house, did you mean grade?", "body.inputs: zipcode is required"}},
		{"twice", "tensors", `{"inputs":` + strings.TrimSuffix(tensorsOf(nil), "]") + `,{"name":"floors","shape":[2],"datatype":"FP64","data":[1,1]}]}`, []string{
			"body.inputs[8].name: floors stands twice"}},
		{"parts of a tensor", "tensors", `{"inputs":` + strings.TrimSuffix(tensorsOf(nil), "]") + `,{"name":"grade","shape":[2,18],"datatype":"FP65","data":[1,1]},{"name":"view","shape":[2],"datatype":"INT8"},7,
			{"name":"lat","shape":[2],"datatype":"FP32","data":"AAAA","size":8},{"name":"long","shape":2,"datatype":32,"data":[47]},{"name":"waterfront","shape":[1e99],"datatype":"BOOL","data":[1]}]}`, []string{
			"body.inputs[8].datatype: must be a datatype of the Open Inference Protocol, such as FP64, INT64 or BYTES", "body.inputs[8].shape: must be [n] or [n, 1] for n houses",
			"body.inputs[9].data: is required", "body.inputs[10]: must be an object with name, shape, datatype and data, is 7",
			`body.inputs[11].data: must be an array of values: tensors in binary are not read, is "AAAA"`, "body.inputs[11].size: is not a member of a tensor, which is only name, shape, datatype, parameters and data, is 8",
			"body.inputs[12].shape: must be [n] or [n, 1] for n houses, is 2", "body.inputs[12].datatype: must be a string, is 32", "body.inputs[13].shape: must be [n] or [n, 1] for n houses"}},
		{"shape and data", "tensors", `{"inputs":` + tensorsOf(map[string]string{"floors": "[1]"}) + `}`, []string{"body.inputs[2].data: has 1 values where the shape has 2"}},
		{"of several lengths", "tensors", `{"inputs":` + strings.TrimSuffix(tensorsOf(nil), "]") + `,{"name":"grade","shape":[3,1],"datatype":"INT8","data":[[8],[8],[8]]}]}`, []string{
			"body.inputs[8].data: has 3 values where bathrooms has 2"}},
		{"no houses", "tensors", strings.NewReplacer(`"shape":[2]`, `"shape":[0]`, "[3, 2]", "[]").Replace(`{"inputs":` + tensorsOf(map[string]string{
			"bathrooms": "[]", "sqft_living": "[]", "sqft_lot": "[]", "floors": "[]", "sqft_above": "[]", "sqft_basement": "[]", "zipcode": "[]"}) + `}`), []string{
			"body.inputs: must have at least 1 record"}},
		{"a tensor without a name, a field that is there and not read", "tensors", `{"inputs":[{"shape":[2],"datatype":"FP64","data":[1,1]},{"name":"","shape":[2],"datatype":"FP64","data":[1,1]},` +
			strings.TrimPrefix(strings.Replace(tensorsOf(nil), `"data":["98115"`, `"size":2,"data":["98115"`, 1), "[") + `}`, // the zipcode
			[]string{"body.inputs[0].name: has no name", "body.inputs[1].name: has no name", "body.inputs[9].size: is not a member of a tensor, which is only name, shape, datatype, parameters and data, is 2"}},
		{"arrays in arrays", "tensors", `{"inputs":` + tensorsOf(map[string]string{"bedrooms": "[[3], []]", "floors": "[[1,1], [[1]]]", "bathrooms": "[1, [1], 1]"}) + `}`, []string{
			"body.inputs[0].data: has 3 values where the shape has 2", "body.inputs[1].data[1]: bedrooms must be a whole number",
			"body.inputs[2].data[0]: floors must be a number", "body.inputs[2].data[1]: floors must be a number"}},
		{"members that are not heeded", "tensors", `{"parameters":7,"model_name":[],"inputs":` + tensorsOf(nil) + `,"outputs":[{"name":"price","parameters":[],"shape":[2]}]}`, []string{
			"body.parameters: must be an object, is 7", "body.model_name: must be a string", "body.outputs[0].parameters: must be an object",
			"body.outputs[0].shape: is not a member of an output, which is only name and parameters"}},
		{"true and false where they are none", "tensors", `{"inputs":` + tensorsOf(map[string]string{"bedrooms": "[true, false]"}) + `}`, []string{
			"body.inputs[1].data[0]: bedrooms must be a whole number, is true", "body.inputs[1].data[1]: bedrooms must be a whole number, is false"}},
		{"another output", "tensors", `{"inputs":` + tensorsOf(nil) + `,"outputs":[{"name":"price","parameters":{"binary_data":false}},{"name":"low"},{},1]}`, []string{
			"body.outputs[1].name: must be price, the only output", "body.outputs[2].name: must be price, the only output", "body.outputs[3]: must be an object with a name, is 1"}},

		{"no object", "frame", `7`, []string{"body: must be an object with one of dataframe_split, dataframe_records, instances and inputs, is 7"}},
		{"nothing", "frame", `{}`, []string{"body: must be an object with one of dataframe_split, dataframe_records, instances and inputs"}},
		{"two forms", "frame", `{"instances":[` + seattle + `],"inputs":` + inputsOf(nil) + `}`, []string{"body: must be an object with one of dataframe_split, dataframe_records, instances and inputs"}},
		{"other members", "frame", `{"instances":[` + seattle + `],"params":[],"signature_name":"a"}`, []string{
			"body.params: must be an object",
			"body.signature_name: is not a member of the body, which is only one of dataframe_split, dataframe_records, instances and inputs, is \"a\""}},
		{"records", "frame", `{"dataframe_records":[` + only(`"grade":14`) + `]}`, []string{"body.dataframe_records[0].grade: must be at most 13, is 14"}},
		{"without names", "frame", `{"instances":[[3,2.5]]}`, []string{"body.instances[0]: must be an object with the fields of a house"}},
		{"no records", "frame", `{"inputs":[]}`, []string{"body.inputs: must have at least 1 record"}},
		{"columns", "frame", `{"inputs":` + inputsOf(map[string]string{"grade": "[8, 14]", "zipcode": "[1]", "floors": "1.5", "id": "[1, 2]"}) + `}`, []string{
			"body.inputs.floors: must be an array of values, is 1.5", "body.inputs.id: id is not a field of a house",
			"body.inputs.grade[1]: grade must be at most 13, is 14", "body.inputs.zipcode: has 1 values where bathrooms has 2"}},
		{"split", "frame", split(tableHeader+`,"grade","id"`, `[3,2.5,2220,6380,1.5,1660,560,"98115",14,1],[3,2.5,12,6380,1.5,1660,560,98115,8],7`), []string{
			"body.dataframe_split.columns[9]: id is not a field of a house", "body.dataframe_split.data[0][8]: grade must be at most 13, is 14",
			"body.dataframe_split.data[1][2]: sqft_living must be at least 100, is 12", "body.dataframe_split.data[1]: must be an array of 10 values, one for each column",
			"body.dataframe_split.data[2]: must be an array of 10 values, one for each column"}},
		{"split without rows", "frame", split(tableHeader, ``), []string{"body.dataframe_split.data: must have at least 1 record"}},
		{"split without columns", "frame", `{"dataframe_split":{"data":[[3]],"index":[0]}}`, []string{"body.dataframe_split.columns: is required"}},
		{"split in pieces", "frame", `{"dataframe_split":{"columns":7,"data":{},"names":[]}}`, []string{
			"body.dataframe_split.columns: must be an array of names, is 7", "body.dataframe_split.data: must be an array of rows",
			"body.dataframe_split.names: is not a member of the table, which is only index, columns and data"}},
		{"split without data", "frame", `{"dataframe_split":{"columns":[` + tableHeader + `,8]}}`, []string{
			"body.dataframe_split.columns[8]: must be a string, is 8", "body.dataframe_split.data: is required"}},

		{"values", "csv", csvHeader + ",grade,home\n3,2.5,12,6380,1.5,1660,560,98115,,1\n3,2.5,2220,6380,1.5,1660,560,98115,14,1\n3\n", []string{
			"body:1: column home: is not a field of a house", "body:2: column sqft_living: must be at least 100, is 12", "body:3: column grade: must be at most 13, is 14",
			"body:4: has 1 cells where the header has 10"}},
		{"an index", "csv", "," + csvHeader + "\n0,3,2.5,2220,6380,1.5,1660,560,98115\n", []string{"body:1: column 1: has no name; an index is written with none"}},
		{"columns", "csv", "bedroms,bathrooms,sqft_living,floors,grade,floors\n3,2.5,12,1.5,8,2\n", []string{
			"body:1: column bedroms: is not a field of a house, did you mean bedrooms?", "body:1: column floors: stands twice", "body:1: column bedrooms: is required",
			"body:1: column sqft_lot: is required", "body:1: column sqft_above: is required", "body:1: column sqft_basement: is required", "body:1: column zipcode: is required",
			"body:2: column sqft_living: must be at least 100, is 12"}},
		{"no rows", "csv", csvHeader + "\n", []string{"body: must have at least 1 record"}},
	}
	for _, test := range tests {
		houses, err := tabular[test.reader](fullDecoder(), []byte(test.body))
		var invalid *house.InvalidError
		if !errors.As(err, &invalid) || len(houses) > 0 {
			t.Errorf("%s, %s: %d houses, %v", test.reader, test.name, len(houses), err)
			continue
		}
		var got []string
		for _, f := range invalid.Faults {
			got = append(got, f.String())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s, %s:\n%s", test.reader, test.name, diff)
		}
	}
}

func TestTablesThatAreNone(t *testing.T) {
	for _, test := range []struct{ reader, body, want string }{
		{"tensors", ``, "not JSON at byte 0: the body is empty"},
		{"tensors", `{"inputs":[{"name":"grade","data":[1,`, "not JSON at byte 37: it ends too early"},
		{"tensors", `{"inputs":[{"name":"grade","name":"view"}]}`, `not JSON at byte 27: the name "name" stands twice in one object`},
		{"frame", `{"inputs":{"grade":[1]}} {}`, "not JSON at byte 25: there is more after the end of the JSON"},
		{"csv", "", "body: is empty, must begin with a header"},
		{"csv", "3,2.5,2220,6380,1,2220,0,98115,0,0,98115\n", "body:1: the first line must name the columns, such as bedrooms"},
		{"tensors", `{"inputs":[{"name":"grade","data":[NaN,Infinity]}]}`, "not JSON at byte 35: invalid character 'N' at start of value"},
		{"frame", `{"inputs":{"grade":[Nan]}}`, "not JSON at byte 20: invalid character 'N' at start of value"},
		{"csv", csvHeader + "\n\"3,1\n", `body:2: not CSV: extraneous or missing " in quoted-field`},
	} {
		houses, err := tabular[test.reader](fullDecoder(), []byte(test.body))
		if err == nil || err.Error() != test.want || len(houses) > 0 {
			t.Errorf("%s %s: %d houses, %v, want %s", test.reader, test.body, len(houses), err, test.want)
		}
	}
}

func TestTablesHaveAtMostSoManyRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := fullDecoder()
		d.MaxRecords = rapid.IntRange(1, 3).Draw(t, "most")
		houses := slices.Repeat([]house.House{house.Example()}, rapid.IntRange(1, 5).Draw(t, "houses"))
		for form, text := range anyForms(t, houses) {
			reader, _, _ := strings.Cut(form, ":")
			_, err := tabular[reader](d, []byte(text))
			var invalid *house.InvalidError
			switch {
			case len(houses) <= d.MaxRecords:
				if err != nil {
					t.Errorf("%s: %d of %d: %v", form, len(houses), d.MaxRecords, err)
				}
			case !errors.As(err, &invalid) || invalid.Total != 1 || invalid.Faults[0].Message != fmt.Sprintf("must have at most %d records", d.MaxRecords):
				t.Errorf("%s: %d of %d: %v", form, len(houses), d.MaxRecords, err)
			}
		}
	})
}

func FuzzTables(f *testing.F) {
	f.Add([]byte(`{"id":"a","inputs":` + tensorsOf(nil) + `,"outputs":[{"name":"price"}]}`))
	f.Add([]byte(`{"inputs":[{"name":"grade","shape":[2,1],"datatype":"INT64","data":[[8],[null]]},{"name":"valuation_date","shape":[2],"datatype":"BYTES","data":["2015-05-27",1]}]}`))
	f.Add([]byte(`{"inputs":` + inputsOf(map[string]string{"grade": "[[8],[1e999]]"}) + `}`))
	f.Add([]byte(`{"dataframe_split":{"data":[[3,2.5,2220,6380,1.5,1660,560,"98115"],[]],"columns":[` + tableHeader + `]}}`))
	f.Add([]byte(`{"dataframe_records":[` + seattle + `],"instances":[{}]}`))
	f.Add([]byte(csvHeader + ",date\n3,1.00,1180,5650,\"1\",1180,0,\"98178\",20141013T000000\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		for form, read := range tabular {
			for _, d := range []*house.Decoder{fullDecoder(), minimalDecoder()} {
				houses, err := read(d, text)
				switch {
				case err == nil && len(houses) == 0:
					t.Errorf("%s: no houses and no error", form)
				case err != nil && len(houses) > 0:
					t.Errorf("%s: %d houses beside an error", form, len(houses))
				case err != nil && form != "csv":
					checkError(t, text, err)
				case err != nil && !strings.HasPrefix(err.Error(), "body"):
					t.Errorf("%s: error %v does not name the body", form, err)
				}
				for _, h := range houses {
					checkHouse(t, h, d.Required)
				}
			}
		}
		if string(text) != before {
			t.Error("the decoder changed what it read")
		}
	})
}

// BenchmarkTables reads 100 houses in each form, beside BenchmarkRecords.
func BenchmarkTables(b *testing.B) {
	texts := forms(b, slices.Repeat([]house.House{house.Example()}, 100), allColumns(), false)
	for _, form := range slices.Sorted(maps.Keys(texts)) {
		name, _, _ := strings.Cut(form, ":")
		b.Run(form, func(b *testing.B) {
			body := []byte(texts[form])
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tabular[name](fullDecoder(), body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
