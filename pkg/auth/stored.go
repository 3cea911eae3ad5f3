package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// maxStoredApp bounds an app's JSON, in bytes.
const maxStoredApp = 256 << 10

// EncodeApp gives an app as JSON for storage, its secrets included. It is the only way by which they leave an App:
// [json.Marshal] hides them.
func EncodeApp(a App) ([]byte, error) {
	data, err := json.Marshal(revealed(reflect.ValueOf(a)))
	if err != nil {
		return nil, fmt.Errorf("auth: encode an app: %w", err)
	}
	if len(data) > maxStoredApp {
		return nil, fmt.Errorf("auth: an app of %d bytes is larger than %d", len(data), maxStoredApp)
	}
	return data, nil
}

// DecodeApp reads what [EncodeApp] wrote, or a person in the same form. It is strict: a name that is unknown, or there
// twice, is an error. It does not check the values: see [App.Validate].
func DecodeApp(data []byte) (App, error) {
	if len(data) > maxStoredApp {
		return App{}, fmt.Errorf("auth: an app of %d bytes is larger than %d", len(data), maxStoredApp)
	}
	if _, err := decodeObject(data); err != nil {
		return App{}, fmt.Errorf("auth: decode an app: %w", err)
	}
	var a App
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil {
		return App{}, fmt.Errorf("auth: decode an app: %w", withoutValue(err))
	}
	return a, nil
}

// withoutValue keeps the text of a value that is of a wrong type out of an error: it may be a secret.
func withoutValue(err error) error {
	if mistyped := new(json.UnmarshalTypeError); errors.As(err, &mistyped) {
		return fmt.Errorf("%s is not of the right type", mistyped.Field)
	}
	return err
}

// revealed turns a value into what JSON is made of. Only strings that are secrets differ from what [json.Marshal] sees.
func revealed(value reflect.Value) any {
	switch value.Kind() {
	case reflect.Struct:
		members := make(map[string]any)
		for i := range value.NumField() {
			field := value.Type().Field(i)
			name, option, _ := strings.Cut(field.Tag.Get("json"), ",")
			if field.Anonymous { // its members are the struct's own
				maps.Copy(members, revealed(value.Field(i)).(map[string]any))
				continue
			}
			if name == "" || name == "-" || option != "" && value.Field(i).IsZero() {
				continue
			}
			members[name] = revealed(value.Field(i))
		}
		return members
	case reflect.Slice:
		list := make([]any, value.Len())
		for i := range list {
			list[i] = revealed(value.Index(i))
		}
		return list
	}
	if secret, ok := value.Interface().(Secret); ok {
		return string(secret)
	}
	return value.Interface()
}
