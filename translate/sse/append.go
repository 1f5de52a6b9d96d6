package sse

import "bytes"

// AppendEvent appends one event to dst. An empty event name is left out. Data
// with line ends becomes several data lines.
func AppendEvent(dst []byte, event string, data []byte) []byte {
	dst = AppendName(dst, event)
	for {
		dst = append(dst, "data: "...)
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			break
		}
		dst = append(append(dst, data[:i]...), '\n')
		data = data[i+1:]
	}
	return append(append(dst, data...), "\n\n"...)
}

// AppendName appends the line that names an event, for a caller who appends
// "data: ", a JSON text without line ends and "\n\n" himself.
func AppendName(dst []byte, event string) []byte {
	if event == "" {
		return dst
	}
	return append(append(append(dst, "event: "...), event...), '\n')
}

// AppendComment appends a comment, which clients skip. It keeps a connection
// alive.
func AppendComment(dst []byte, text string) []byte {
	return append(append(append(dst, ": "...), text...), "\n\n"...)
}
