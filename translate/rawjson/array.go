package rawjson

// Array checks that text is one JSON array, by the rules of [Object], and calls
// visit with the place of each of its elements in text, in order. An error of
// visit ends the scan and is returned.
func Array(text []byte, visit func(start, end int) error) error {
	if err := checkUTF8(text); err != nil {
		return err
	}
	s := scanner{text: text}
	s.space()
	if s.peek() != '[' {
		return s.fault("expected a JSON array")
	}
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return s.atEnd()
	}
	for {
		start := s.pos
		if err := s.value(1); err != nil {
			return err
		}
		if err := visit(start, s.pos); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case ']':
			s.pos++
			return s.atEnd()
		default:
			return s.fault("expected a comma or the end of the array")
		}
	}
}
