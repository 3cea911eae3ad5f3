// Package report writes what runs have shown: as JSON, as text, as an HTML page with plots, and as ratios of one side over
// another.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// WriteJSON writes one result.
func WriteJSON(to io.Writer, result *scenario.Result) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", " ")
	return encoder.Encode(result)
}

// ReadJSON reads the results in a text: one after the other, as WriteJSON has written them.
func ReadJSON(from io.Reader) ([]*scenario.Result, error) {
	var results []*scenario.Result
	for decoder := json.NewDecoder(from); ; {
		result := new(scenario.Result)
		err := decoder.Decode(result)
		if errors.Is(err, io.EOF) {
			return results, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read a result: %w", err)
		}
		results = append(results, result)
	}
}
