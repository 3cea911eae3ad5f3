package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// licenceFiles are where a licence is looked for, the likeliest first.
var licenceFiles = []string{"LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "COPYING"}

// licences are the SPDX ids of those that are known, each by sentences that all of its texts have, and that those before it
// lack.
var licences = []struct {
	id        string
	sentences []string
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0, January 2004"}},
	{"MPL-2.0", []string{"Mozilla Public License Version 2.0"}},
	{"MIT", []string{"Permission is hereby granted, free of charge, to any person obtaining a copy", "The above copyright notice and this permission notice"}},
	{"ISC", []string{"Permission to use, copy, modify, and", "distribute this software for any purpose with or without fee is hereby granted"}},
	{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "may be used to endorse or promote products derived from"}},
	{"BSD-2-Clause", []string{"Redistribution and use in source and binary forms", "THIS SOFTWARE IS PROVIDED"}},
}

// licence names the licences of a module's folder by its file: more than one where it has the texts of several, as where a part
// of a module comes from elsewhere. Empty when there is none, or none that is known: nothing is better than a guess.
func licence(dir string) []string {
	for _, name := range licenceFiles {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		return recognise(string(text))
	}
	return nil
}

func recognise(text string) (found []string) {
	text = strings.Join(strings.Fields(text), " ") // lines are broken anywhere
	for _, known := range licences {
		all := true
		for _, sentence := range known.sentences {
			all = all && strings.Contains(text, sentence)
		}
		if all && (known.id != "BSD-2-Clause" || !slices.Contains(found, "BSD-3-Clause")) { // which holds all of the other
			found = append(found, known.id)
		}
	}
	return found
}

// escaped is a module's path as the cache of modules has it: case does not count on every file system.
func escaped(path string) string {
	var b strings.Builder
	for _, r := range path {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
