package house

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Frame reads a body as MLflow's scoring protocol has it
// (mlflow.org/docs/latest/ml/deployment/deploy-model-locally): one of
// dataframe_split, with columns and data; dataframe_records or instances, with
// an object for each house; and inputs, with an array for each field or, again,
// an object for each house. It appends the houses to dst[:0]. Errors are as of
// [Decoder.Records]. A bare NaN is an unknown value.
func (d *Decoder) Frame(dst []House, body []byte) ([]House, error) {
	read := func(body []byte) ([]House, error) { return d.frame(dst, body) }
	houses, err := read(body)
	return reread(body, houses, err, read)
}

func (d *Decoder) frame(dst []House, body []byte) ([]House, error) {
	const forms = "must be an object with one of dataframe_split, dataframe_records, instances and inputs"
	r := d.open(body, false)
	defer r.close()
	r.flags = true
	houses, found := dst[:0], 0
	object := r.json.PeekKind() == jsontext.KindBeginObject
	err := r.members("body", forms, func(name string) (err error) {
		r.array = "body." + name
		switch {
		case name == "dataframe_split":
			houses, err = r.split(houses)
		case name == "inputs" && r.json.PeekKind() == jsontext.KindBeginObject:
			houses, err = r.inputs(houses)
		case name == "dataframe_records" || name == "instances" || name == "inputs":
			houses, err = r.records(houses)
		case name == "params": // of models that take some
			return r.skip(jsontext.KindBeginObject, "body.params", "must be an object")
		default:
			return r.misfit("body."+clip([]byte(name)), "is not a member of the body, which is only one of dataframe_split, dataframe_records, instances and inputs")
		}
		found++
		return err
	})
	if err == nil && object && found != 1 && r.faults.count() {
		r.faults.keep("body", forms, nil)
	}
	return r.finish(houses, err)
}

// split reads a table by rows, as pandas writes one with orient="split".
func (r *reader) split(houses []House) ([]House, error) {
	const at = "body.dataframe_split"
	var t table
	var rows jsontext.Value
	names, data := false, false
	err := r.members(at, "must be an object with columns and data", func(member string) (err error) {
		switch member {
		case "columns":
			names = true
			before := r.faults.Total
			err = r.list(at+".columns", "must be an array of names", func(location string) error { return r.heading(&t, at, location) })
			r.require(&t, at+".columns", before)
		case "data":
			data = true
			rows, err = r.readArray(at+".data", "must be an array of rows")
		case "index":
			err = r.skip(jsontext.KindBeginArray, at+".index", "must be an array")
		default:
			err = r.misfit(at+"."+clip([]byte(member)), "is not a member of the table, which is only index, columns and data")
		}
		return err
	})
	if err != nil {
		return houses, err
	}
	for _, part := range []struct {
		name  string
		there bool
	}{{"columns", names}, {"data", data}} {
		if !part.there && r.faults.count() {
			r.faults.keep(at+"."+part.name, isRequired, nil)
		}
	}
	if len(t.columns) == 0 || rows == nil {
		return houses, nil
	}
	return r.byRows(houses, &t, rows, at+".data")
}

// heading reads the name of a column of the table that stands at a location.
func (r *reader) heading(t *table, table, location string) error {
	before := r.faults.Total
	name, err := r.text(location)
	if err != nil {
		return err
	}
	var c column
	if r.faults.Total == before {
		c, _ = r.column(t, name, location)
	}
	c.before, c.after = table+".data", "["+strconv.Itoa(len(t.columns))+"]"
	if len(t.columns) < maxColumns { // more of them are no houses anyway
		t.columns = append(t.columns, c)
	}
	return nil
}

// inputs reads a table by columns: an object with an array for each field.
func (r *reader) inputs(houses []House) ([]House, error) {
	const at = "body.inputs"
	var t table
	before := r.faults.Total
	err := r.members(at, "", func(name string) error {
		location := at + "." + clip([]byte(name))
		values, err := r.readArray(location, "must be an array of values")
		if err != nil {
			return err
		}
		c, ok := r.column(&t, name, location)
		if !ok || values == nil {
			return nil
		}
		c.before, c.values, c.rows = location, values, rowsUnknown
		t.columns = append(t.columns, c)
		return nil
	})
	if err != nil {
		return houses, err
	}
	r.require(&t, at, before)
	return r.byColumns(houses, &t, at)
}
