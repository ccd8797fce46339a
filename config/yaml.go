package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxBytes is the largest configuration that is read. The largest sensible one is a hundredth of it.
const maxBytes = 1 << 20

// parse returns the one mapping that data consists of, or the reason why it is none.
func parse(data []byte) (root *yaml.Node, line, column int, problem string) {
	if len(data) > maxBytes {
		return nil, 1, 1, fmt.Sprintf("the file has more than %d bytes, which no configuration needs; is it another file?", maxBytes)
	}
	if line, column, ok := notText(data); !ok {
		return nil, line, column, "the file is not UTF-8 text; save it as UTF-8"
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, 1, 1, "the file is empty, want at least streams; gonomaly create prints one to start from"
	case err != nil:
		return syntax(data, err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, second.Line, max(1, second.Column), "a second document begins here, want one; remove the --- or put it into a file of its own"
	case !errors.Is(err, io.EOF):
		return syntax(data, err)
	}
	root = document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, 1, 1, "the file is empty, want at least streams; gonomaly create prints one to start from"
	}
	return root, 0, 0, ""
}

// notText finds the first byte that is not UTF-8.
func notText(data []byte) (line, column int, ok bool) {
	if utf8.Valid(data) {
		return 0, 0, true
	}
	line, column = 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return line, column, false
		case r == '\n':
			line, column = line+1, 1
		default:
			column++
		}
		data = data[size:]
	}
	return line, column, false
}

var (
	yamlLine  = regexp.MustCompile(`^line (\d+): `)
	tabIndent = regexp.MustCompile(`^ *\t`)
)

// syntax turns err into a place and a remedy. The parser's own line is that of the construct around the error and may be one off,
// so the line is the first one with which the text stops being YAML.
func syntax(data []byte, err error) (root *yaml.Node, line, column int, problem string) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	if strings.HasPrefix(message, "unknown anchor ") { // it goes on with the word, which may be a password
		message = "a word that begins with * stands for an anchor, and there is none of that name; put quotes around what is a text"
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	const most = 20 << 20 // bytes: what is parsed in half a second
	if len(lines)*len(data) <= most {
		line = firstBad(data, lines)
	}
	line = min(max(line, 1), len(lines))
	text := string(lines[line-1])
	column = len([]rune(text)) - len([]rune(strings.TrimLeft(text, " \t"))) + 1
	if tabIndent.MatchString(text) {
		return nil, line, strings.IndexByte(text, '\t') + 1, "there is a tab in the indentation, want spaces"
	}
	return nil, line, column, "this is not YAML: " + message + "; look for a missing colon, quote or bracket, or a wrong indentation, here or just above"
}

// firstBad is the line after the longest run of whole lines from the top that is YAML.
func firstBad(data []byte, lines [][]byte) int {
	end := len(data)
	for i := len(lines) - 1; i >= 0; i-- {
		end -= len(lines[i])
		var ignored yaml.Node
		if yaml.Unmarshal(data[:end], &ignored) == nil {
			return i + 1
		}
	}
	return 1
}
