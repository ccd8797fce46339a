package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// variable is ${NAME}, ${NAME:-default} or ${NAME:?message}, or anything else that begins with a dollar and is therefore wrong.
var variable = regexp.MustCompile(`\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)([^{}]*))?\}|\{?)`)

// expand replaces the variables in the text of one value. It works on values that are already parsed, so that whatever a variable
// holds stays text: it can add no key, no list and no comment.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var wrong error
	expanded := variable.ReplaceAllStringFunc(text, func(match string) string {
		if match == "$$" {
			return "$"
		}
		parts := variable.FindStringSubmatch(match)
		name, operator, rest := parts[1], parts[2], parts[3]
		value, set := env(name)
		switch {
		case wrong != nil:
		case name == "":
			wrong = errors.New("has a $ that begins no variable, want ${NAME}, ${NAME:-default} or ${NAME:?message}, or $$ for a dollar")
		case operator == ":-" && value == "":
			return rest
		case operator == ":?" && value == "":
			wrong = fmt.Errorf("needs the environment variable %s: %s", name, cmp.Or(strings.TrimSpace(rest), "it is empty or not set"))
		case !set && operator == "":
			wrong = fmt.Errorf("needs the environment variable %s, which is not set; set it, or write ${%s:-default}", name, name)
		}
		return value
	})
	return expanded, wrong
}
