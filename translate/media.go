package translate

import "strings"

// SplitDataURL takes a URL that holds its data apart into Type and Data
// (https://www.rfc-editor.org/rfc/rfc2397). Other URLs stay, and so does data
// that is not base64.
func (m *Media) SplitDataURL() {
	rest, ok := strings.CutPrefix(m.URL, "data:")
	if !ok {
		return
	}
	head, data, ok := strings.Cut(rest, ",")
	kind, isBase64 := strings.CutSuffix(head, ";base64")
	if !ok || !isBase64 || data == "" {
		return
	}
	m.Type, _, _ = strings.Cut(kind, ";")
	m.Data, m.URL = data, ""
}
