package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Decode gives a field the value that a text says. A list grows by the
// elements of the text, between which sep stands, a comma if it is "". It
// panics for types that no flag has.
func Decode(field reflect.Value, text, sep string) error {
	if u, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch field.Kind() {
	case reflect.Pointer: // nil as long as nobody gives a value
		value := reflect.New(field.Type().Elem())
		if err := Decode(value.Elem(), text, sep); err != nil {
			return err
		}
		field.Set(value)
	case reflect.Slice:
		if sep == "" {
			sep = ","
		}
		for part := range strings.SplitSeq(text, sep) {
			element := reflect.New(field.Type().Elem()).Elem()
			if err := Decode(element, strings.TrimSpace(part), sep); err != nil {
				return err
			}
			field.Set(reflect.Append(field, element))
		}
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		return decodeBool(field, text)
	default:
		return decodeNumber(field, text)
	}
	return nil
}

func decodeBool(field reflect.Value, text string) error {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		field.SetBool(true)
	case "false", "0", "no":
		field.SetBool(false)
	default:
		return fmt.Errorf("%q is neither true nor false", text)
	}
	return nil
}

func decodeNumber(field reflect.Value, text string) error {
	bits := field.Type().Bits()
	switch {
	case field.Type() == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a time: want 500ms, 30s, 5m or 1h30m", text)
		}
		field.SetInt(int64(d))
	case field.CanInt():
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return fmt.Errorf("%q is not a usable whole number", text)
		}
		field.SetInt(n)
	case field.CanUint():
		n, err := strconv.ParseUint(text, 10, bits)
		if err != nil {
			return fmt.Errorf("%q is not a usable whole number from 0", text)
		}
		field.SetUint(n)
	case field.CanFloat():
		v, err := strconv.ParseFloat(text, bits)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%q is not a usable number", text)
		}
		field.SetFloat(v)
	default:
		panic(fmt.Sprintf("no flag has the type %v", field.Type()))
	}
	return nil
}
