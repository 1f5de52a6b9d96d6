package store

import (
	"fmt"
	"strings"

	"go.uber.org/zap"
)

// quiet hands Badger's warnings and errors to our log, and nothing else.
type quiet struct{ log *zap.Logger }

// Errorf implements badger.Logger.
func (q quiet) Errorf(format string, args ...any) {
	q.log.Error("database", zap.String("problem", firstWords(fmt.Sprintf(format, args...))))
}

// Warningf implements badger.Logger.
func (q quiet) Warningf(format string, args ...any) {
	q.log.Warn("database", zap.String("problem", firstWords(fmt.Sprintf(format, args...))))
}

// Infof implements badger.Logger.
func (q quiet) Infof(string, ...any) {}

// Debugf implements badger.Logger.
func (q quiet) Debugf(string, ...any) {}

// dbError is an error of Badger without what it may quote of a value: some of
// its errors carry a hex dump.
type dbError struct{ err error }

// Error implements error.
func (e dbError) Error() string { return firstWords(e.err.Error()) }

// Unwrap lets a caller ask for the kind of error.
func (e dbError) Unwrap() error { return e.err }

func wordless(err error) error {
	if err == nil {
		return nil
	}
	return dbError{err}
}

// maxWords bounds what is shown of a database's words, in bytes.
const maxWords = 120

func firstWords(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "") + "…"
	}
	return s
}
