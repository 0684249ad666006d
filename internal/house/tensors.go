package house

import (
	"math"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// datatypes are those of the Open Inference Protocol.
var datatypes = []string{"BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"}

// PriceTensor is the name of the tensor that answers a request of the Open
// Inference Protocol.
const PriceTensor = "price"

// Tensors reads a request of the Open Inference Protocol, version 2 over HTTP
// (github.com/kserve/open-inference-protocol), of JSON alone: a tensor of shape
// [n] or [n, 1] for each field, under its name, with a value for each of the n
// houses; null is an unknown one. It appends the houses to dst[:0] and returns
// the request's id too. Errors are as of [Decoder.Records]. A bare NaN is an
// unknown value too.
func (d *Decoder) Tensors(dst []House, body []byte) (houses []House, id string, err error) {
	read := func(body []byte) (houses []House, err error) {
		houses, id, err = d.tensors(dst, body)
		return houses, err
	}
	houses, err = read(body)
	houses, err = reread(body, houses, err, read)
	return houses, id, err
}

func (d *Decoder) tensors(dst []House, body []byte) (houses []House, id string, err error) {
	r := d.open(body, false)
	defer r.close()
	r.flags = true
	var t table
	object, found := r.json.PeekKind() == jsontext.KindBeginObject, false
	err = r.members("body", "must be an object with the member inputs", func(name string) (err error) {
		switch null := r.json.PeekKind() == jsontext.KindNull; {
		case name == "model_name" || name == "model_version": // KServe's client repeats the path
			err = r.skip(jsontext.KindString, "body."+name, "must be a string")
		case name == "parameters" || null && (name == "id" || name == "outputs"):
			err = r.skip(jsontext.KindBeginObject, "body."+name, "must be an object")
		case name == "id":
			id, err = r.text("body.id")
		case name == "inputs":
			found = true
			before := r.faults.Total
			err = r.list("body.inputs", "must be an array of tensors", func(location string) error { return r.tensor(&t, location) })
			r.require(&t, "body.inputs", before)
		case name == "outputs":
			err = r.list("body.outputs", "must be an array", r.output)
		default:
			err = r.misfit("body."+clip([]byte(name)), "is not a member of the body, which is only id, parameters, inputs and outputs")
		}
		return err
	})
	houses = dst[:0]
	switch {
	case err != nil:
	case found:
		houses, err = r.byColumns(houses, &t, "body.inputs")
	case object && r.faults.count():
		r.faults.keep("body.inputs", isRequired, nil)
	}
	houses, err = r.finish(houses, err)
	return houses, id, err
}

// tensor reads a tensor into its column.
func (r *reader) tensor(t *table, location string) error {
	var name, datatype string
	var shape, data jsontext.Value
	before := r.faults.Total
	err := r.members(location, "must be an object with name, shape, datatype and data", func(member string) (err error) {
		switch member {
		case "name":
			name, err = r.text(location + ".name")
		case "datatype":
			datatype, err = r.text(location + ".datatype")
		case "shape":
			shape, err = r.readArray(location+".shape", mustBeShape)
		case "data":
			data, err = r.readArray(location+".data", "must be an array of values: tensors in binary are not read")
		case "parameters":
			err = r.skip(jsontext.KindBeginObject, location+".parameters", "must be an object")
		default:
			err = r.misfit(location+"."+clip([]byte(member)), "is not a member of a tensor, which is only name, shape, datatype, parameters and data")
		}
		return err
	})
	if err != nil {
		return err
	}
	if r.faults.Total > before {
		if name != "" {
			r.column(t, name, location+".name") // is there, though it is not read
		}
		return nil
	}
	fault := func(member, message string) {
		if r.faults.count() {
			r.faults.keep(location+member, message, nil)
		}
	}
	c, ok := r.column(t, name, location+".name")
	if !ok {
		return nil
	}
	c.before, c.values = location+".data", data
	if !slices.Contains(datatypes, datatype) {
		fault(".datatype", "must be a datatype of the Open Inference Protocol, such as FP64, INT64 or BYTES")
	}
	c.rows, ok = r.rowsOf(shape)
	switch {
	case !ok:
		fault(".shape", mustBeShape)
	case data == nil:
		fault(".data", isRequired)
	default:
		t.columns = append(t.columns, c)
	}
	return nil
}

const mustBeShape = "must be [n] or [n, 1] for n houses"

// rowsOf returns the n of a shape [n] or [n, 1].
func (r *reader) rowsOf(shape jsontext.Value) (n int, ok bool) {
	const most = 1 << 30
	if shape == nil {
		return 0, false
	}
	lengths := 0
	err := r.eachValue(shape, func(i int, raw jsontext.Value) {
		v, isNumber := parseNumber(raw)
		switch lengths = i + 1; {
		case i == 0:
			if ok = isNumber && v >= 0 && v <= most && v == math.Trunc(v); ok {
				n = int(v)
			}
		case i > 1 || v != 1:
			ok = false
		}
	})
	return n, ok && lengths > 0 && err == nil
}

// output reads what a request wants to have answered: there is only the price.
func (r *reader) output(location string) error {
	var name string
	before := r.faults.Total
	err := r.members(location, "must be an object with a name", func(member string) (err error) {
		switch member {
		case "name":
			name, err = r.text(location + ".name")
		case "parameters":
			err = r.skip(jsontext.KindBeginObject, location+".parameters", "must be an object")
		default:
			err = r.misfit(location+"."+clip([]byte(member)), "is not a member of an output, which is only name and parameters")
		}
		return err
	})
	if err == nil && r.faults.Total == before && name != PriceTensor && r.faults.count() {
		r.faults.keep(location+".name", "must be "+PriceTensor+", the only output", nil)
	}
	return err
}
