package store

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A state lies in Redis as a JSON object of strings, each the raw JSON text of a value, and as an empty string
// when there is nothing. So no value passes through a script's numbers, and no empty table is taken for a list.

// encode is the text of a whole state. Keys with null are left out.
func (s State) encode() string {
	texts := make(map[string]string, len(s))
	for key, raw := range s {
		if text := compact(raw); text != "null" {
			texts[key] = text
		}
	}
	if len(texts) == 0 {
		return ""
	}
	encoded, err := json.Marshal(texts)
	if err != nil {
		panic(fmt.Sprintf("store: a map of strings does not encode: %v", err)) // json.Marshal cannot fail here
	}
	return string(encoded)
}

// reserved tells whether the state has a key that is Control's alone.
func (s State) reserved() bool {
	_, audio := s[StateMutedAudio]
	_, video := s[StateMutedVideo]
	return audio || video
}

// decodeState reads the text back; nil when there is nothing.
func decodeState(text string) (State, error) {
	if text == "" {
		return nil, nil
	}
	var texts map[string]string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return nil, err
	}
	state := make(State, len(texts))
	for key, raw := range texts {
		state[key] = json.RawMessage(raw)
	}
	return state, nil
}

// compact is a raw value without space around it, which could hide a null.
func compact(raw json.RawMessage) string { return string(bytes.TrimSpace(raw)) }
