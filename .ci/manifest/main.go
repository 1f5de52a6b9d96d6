// Command manifest prints a field of xcaddy.json, a list as one word a line, so
// that scripts need nothing but Go.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	b, err := os.ReadFile("xcaddy.json")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		fmt.Fprintln(os.Stderr, "xcaddy.json:", err)
		os.Exit(1)
	}
	switch v := fields[os.Args[1]].(type) {
	case string:
		fmt.Println(v)
	case []any:
		for _, s := range v {
			fmt.Println(s)
		}
	default:
		fmt.Fprintln(os.Stderr, "xcaddy.json has no field", os.Args[1])
		os.Exit(1)
	}
}
