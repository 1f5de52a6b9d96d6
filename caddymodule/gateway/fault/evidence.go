package fault

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/nine-router/nine-router/translate"
)

// Bounds of what is read of an error.
const (
	maxBody    = 64 << 10 // of a body, and of all that is embedded in it
	maxDepth   = 4        // errors within each other
	maxMessage = 4 << 10
	maxCode    = 128
	maxDetails = 16 // elements of a list that are looked at
)

// evidence is what an answer says: an error, and the errors within it from the
// outermost to the innermost. There is at least one.
type evidence struct {
	layers []layer
	left   int // bytes of embedded errors that may still be parsed
}

// A layer is one error of those that are wrapped in each other.
type layer struct {
	status  int      // its own, else that of what it is in; 0 within a stream
	stated  bool     // the status is its own
	codes   []string // what programs are meant to read, squeezed, and marks
	message string   // in small letters
	quoted  bool     // it stood in a text, so that a client may have written it
	relayed bool     // it is the error of a relay's own provider
	json    *fastjson.Value
}

// Marks are codes that are seen in an answer's form. A provider's own codes
// cannot be taken for them, because of the sign.
const (
	markNoJSON      = "#no_json"         // the body is empty, a page, or a plain text
	markPage        = "#page"            // it is a page
	markPerDay      = "#per_day"         // Google: a quota for each day
	markPerMinute   = "#per_minute"      // Google: a quota for each minute
	markLimitZero   = "#limit_zero"      // Google: the quota is nothing
	markLocation    = "#location"        // Google: not from where we are
	markOneModel    = "#one_model"       // Google: permission for a model's resource
	markWindow      = "#window_spent"    // Anthropic: a plan's window is used up
	markModelWindow = "#window_of_model" // Anthropic: one that counts some models only
)

// read gathers the evidence.
func read(a *Answer) *evidence {
	e := a.Err
	if e == nil {
		e = &translate.Error{Status: a.Status, Kind: translate.KindOfStatus(a.Status)}
	}
	ev := &evidence{left: maxBody}
	top := layer{status: a.Status}
	if top.status >= 200 && top.status < 300 { // an error in what began as a success
		top.status = 0
	}
	if top.status == 0 && e.Kind != translate.InvalidRequest && e.Kind != "" {
		top.status = e.Kind.Status() // where nothing more is said it is the decoder's guess
	}
	var root *fastjson.Value
	if len(a.Body) > 0 && len(a.Body) <= maxBody {
		root, _ = fastjson.ParseBytes(a.Body)
	}
	switch body := bytes.TrimSpace(a.Body[:min(len(a.Body), maxMessage)]); {
	case root != nil, a.Status == 0, bytes.HasPrefix(body, []byte("{")), bytes.HasPrefix(body, []byte("[")):
	case bytes.HasPrefix(body, []byte("<")):
		top.codes = append(top.codes, markNoJSON, markPage)
	case len(body) > 0 || e.Code == "" && e.Type == "":
		top.codes = append(top.codes, markNoJSON)
		top.message = lowered(string(body))
	}
	for _, c := range [...]string{e.Code, e.Type, a.Header.Get("X-Amzn-Errortype")} {
		top.addCode(c)
	}
	if root != nil {
		ev.dig(root, top, 0)
	}
	if len(ev.layers) == 0 {
		ev.layers = append(ev.layers, top)
	}
	first := &ev.layers[0]
	if first.message == "" {
		first.message = lowered(e.Message)
	}
	if root == nil {
		ev.embedded(e.Message, *first, 1)
	}
	if e.Details != "" && root == nil && len(e.Details) <= maxBody {
		if v, err := fastjson.Parse(e.Details); err == nil {
			first.addDetails(v)
			first.json = (&fastjson.Arena{}).NewObject()
			first.json.Set("details", v)
			first.addMarks()
		}
	}
	first.addWindows(a.Header)
	return ev
}

// dig reads an error out of what holds it, and the errors within it. from is
// what is known of it already.
func (ev *evidence) dig(v *fastjson.Value, from layer, depth int) {
	if depth >= maxDepth {
		return
	}
	// Wrappers: a list, {"error": …}, an event with a response, {"detail": …}.
	for i := range maxDepth {
		switch v.Type() {
		case fastjson.TypeArray: // https://ai.google.dev/api: streams that are a list
			list := v.GetArray()
			if len(list) == 0 {
				return
			}
			v = list[0]
			continue
		case fastjson.TypeObject:
			if in := inner(v); in != nil && (i == 0 || text(v.Get("message")) == "") {
				from.addStatus(v)
				v = in
				continue
			}
		}
		break
	}
	l := from
	switch v.Type() {
	case fastjson.TypeString:
		l.message = lowered(text(v))
		l.codes = slices.Clone(l.codes)
		ev.layers = append(ev.layers, l)
		ev.embedded(text(v), l, depth+1)
		return
	case fastjson.TypeObject:
	default:
		return
	}
	l.json = v
	l.codes = slices.Clone(l.codes)
	l.addStatus(v)
	for _, name := range codeNames {
		if m := v.Get(name); m != nil {
			l.addCode(text(m))
		}
	}
	said := ""
	for _, name := range messageNames {
		if said = text(v.Get(name)); said != "" {
			break
		}
	}
	l.message = lowered(said)
	if s := text(v.Get("error")); !strings.Contains(s, " ") { // {"error": "invalid_token"}
		l.addCode(s)
	}
	l.addCode(text(v.Get("innererror", "code"))) // Azure
	l.addCode(text(v.Get("metadata", "error_type")))
	l.addDetails(v.Get("details"))
	for i, e := range v.GetArray("errors") {
		if i < maxDetails {
			l.addCode(text(e.Get("reason")))
		}
	}
	l.addMarks()
	meta := v.Get("metadata") // https://openrouter.ai/docs/api-reference/errors
	l.relayed = l.relayed || text(meta.Get("provider_name")) != ""
	ev.layers = append(ev.layers, l)

	within := layer{status: l.status, quoted: l.quoted, relayed: l.relayed}
	switch raw := meta.Get("raw"); {
	case raw == nil:
	case raw.Type() == fastjson.TypeObject && raw.Get("data") != nil:
		ev.embeddedRaw(raw.Get("data"), within, depth+1)
	default:
		ev.embeddedRaw(raw, within, depth+1)
	}
	if in := v.Get("error"); in != nil && in.Type() == fastjson.TypeObject {
		ev.dig(in, within, depth+1)
	}
	ev.embedded(said, within, depth+1)
}

// codeNames are the members that hold what programs read.
var codeNames = [...]string{"code", "type", "status", "reason", "error_type", "error_code", "__type", "Code"}

// messageNames are the members that hold what people read.
var messageNames = [...]string{"message", "error", "detail", "error_description", "msg", "Message"}

// inner returns the error that an object is only the wrapper of.
func inner(v *fastjson.Value) *fastjson.Value {
	for _, path := range [...][]string{{"error"}, {"response", "error"}, {"detail"}} {
		in := v.Get(path...)
		if in == nil || path[0] == "detail" && text(v.Get("message")) != "" {
			continue
		}
		if t := in.Type(); t == fastjson.TypeObject || t == fastjson.TypeArray {
			return in
		}
	}
	return nil
}

// embeddedRaw reads the error that a relay was answered, which it passes on as
// it came: mostly JSON in a string, or a plain text.
func (ev *evidence) embeddedRaw(raw *fastjson.Value, within layer, depth int) {
	if depth >= maxDepth {
		return
	}
	if raw.Type() != fastjson.TypeString {
		ev.dig(raw, within, depth)
		return
	}
	s := text(raw)
	if v := ev.parse(s); v != nil {
		ev.dig(v, within, depth)
		return
	}
	within.message = lowered(s)
	ev.layers = append(ev.layers, within)
}

// embedded reads an error that stands as JSON in the message of another, whole
// or after a few words such as "BadRequestError: ".
func (ev *evidence) embedded(message string, within layer, depth int) {
	if depth >= maxDepth {
		return
	}
	start := strings.IndexAny(message, "{[")
	if start < 0 || start > 256 {
		return
	}
	// Words that lead to an error end in a colon or a dash; others quote.
	if lead := strings.TrimSpace(message[:start]); lead != "" && !strings.HasSuffix(lead, ":") && !strings.HasSuffix(lead, "-") {
		return
	}
	s := message[start:]
	if n := valueEnd(s); n > 0 {
		s = s[:n]
	}
	v := ev.parse(s)
	if v == nil || v.Type() != fastjson.TypeObject && v.Type() != fastjson.TypeArray {
		return
	}
	ev.dig(v, layer{status: within.status, quoted: true, relayed: within.relayed}, depth)
}

// parse parses an embedded text, if the allowance suffices.
func (ev *evidence) parse(s string) *fastjson.Value {
	if len(s) > ev.left {
		return nil
	}
	ev.left -= len(s)
	v, err := fastjson.Parse(s)
	if err != nil {
		return nil
	}
	return v
}

// valueEnd returns where the brackets that s begins with are closed, 0 if they
// are not.
func valueEnd(s string) int {
	depth, str := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case str && c == '\\':
			i++
		case c == '"':
			str = !str
		case str:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// addStatus takes the HTTP status that an error states, where the one that it
// came with says less: none, "bad request" or "server error".
func (l *layer) addStatus(v *fastjson.Value) {
	if l.status != 0 && !l.stated && l.status != http.StatusBadRequest && l.status < 500 {
		return
	}
	for _, name := range [...]string{"code", "status", "status_code", "statusCode", "http_status"} {
		if n, err := strconv.Atoi(text(v.Get(name))); err == nil && n >= 400 && n < 600 {
			l.status, l.stated = n, true
			return
		}
	}
}

// addCode adds a code in the form in which codes are compared. AWS puts a
// namespace before and an address behind:
// https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization.
func (l *layer) addCode(s string) {
	if len(s) > maxCode {
		return
	}
	if i := strings.IndexByte(s, '#'); i >= 0 {
		s = s[i+1:]
	}
	s, _, _ = strings.Cut(s, ":")
	if s = squeeze(s); s != "" && !slices.Contains(l.codes, s) {
		l.codes = append(l.codes, s)
	}
}

// addDetails reads the details of Google's errors
// (https://cloud.google.com/apis/design/errors#error_details).
func (l *layer) addDetails(v *fastjson.Value) {
	if v == nil || v.Type() != fastjson.TypeArray {
		return
	}
	quota := func(id, limit string) {
		switch id = squeeze(id); {
		case limit == "0":
			l.mark(markLimitZero)
		case strings.Contains(id, "perday"):
			l.mark(markPerDay)
		case strings.Contains(id, "perminute"):
			l.mark(markPerMinute)
		}
	}
	for i, d := range v.GetArray() {
		if i >= maxDetails {
			break
		}
		l.addCode(text(d.Get("reason")))
		meta := d.Get("metadata")
		if meta != nil {
			quota(text(meta.Get("quota_limit")), text(meta.Get("quota_limit_value")))
		}
		if l.has("iampermissiondenied") && strings.Contains(text(meta.Get("resource")), "/models/") {
			l.mark(markOneModel)
		}
		for j, q := range d.GetArray("violations") {
			if j < maxDetails {
				quota(text(q.Get("quotaId")), text(q.Get("quotaValue")))
			}
		}
		if strings.Contains(lowered(text(d.Get("detail"))), notFromHere) {
			l.mark(markLocation)
		}
	}
}

const notFromHere = "location is not supported"

// addMarks adds what Google says in prose alone, which is believed only beside
// the code that it belongs to.
func (l *layer) addMarks() {
	if l.has("resourceexhausted") {
		if _, after, ok := strings.Cut(l.message, "limit: 0"); ok && !strings.ContainsAny(after[:min(1, len(after))], "0123456789.") {
			l.mark(markLimitZero)
		}
	}
	if l.has("failedprecondition") && strings.Contains(l.message, notFromHere) {
		l.mark(markLocation)
	} else if !l.has("failedprecondition") {
		l.codes = slices.DeleteFunc(l.codes, func(c string) bool { return c == markLocation })
	}
}

// addWindows sees whether a window of a subscription is used up.
func (l *layer) addWindows(h http.Header) {
	switch windows, ofModel := spentWindows(h); {
	case len(windows) == 0:
	case ofModel:
		l.mark(markModelWindow)
	default:
		l.mark(markWindow)
	}
}

func (l *layer) has(code string) bool { return slices.Contains(l.codes, code) }

func (l *layer) mark(m string) {
	if !l.has(m) {
		l.codes = append(l.codes, m)
	}
}

// text returns a string, or a number as text.
func text(v *fastjson.Value) string {
	if v == nil {
		return ""
	}
	switch v.Type() {
	case fastjson.TypeString:
		return string(v.GetStringBytes())
	case fastjson.TypeNumber:
		return string(v.MarshalTo(nil))
	}
	return ""
}

// lowered returns a message as it is compared.
func lowered(s string) string {
	return strings.ToLower(strings.TrimSpace(s[:min(len(s), maxMessage)]))
}

// squeeze returns the letters and digits of a code, small: providers disagree on
// the rest.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, s)
}
