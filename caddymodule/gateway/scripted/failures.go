package scripted

import (
	"fmt"
	"net/http"
	"time"

	"github.com/nine-router/nine-router/translate"
)

// A Failure is one way in which a provider fails, and whose fault that is. The
// words are the gateway's, as plain text.
type Failure struct {
	Name   string
	Format translate.Format
	Step   Step

	// StreamOnly and DocumentOnly say that it happens to one kind of answer only.
	StreamOnly, DocumentOnly bool

	Scope, Reason string

	// Retryable says that another candidate, of another provider and model, may do
	// what this one did not.
	Retryable bool
	// Told says that content came before: the client has it, and is told of the
	// failure within its stream.
	Told bool
	// Slow says that it is one only because the gateway does not wait for ever.
	Slow bool
	// Status is the error status that the provider answered with, 0 without one,
	// and Says is its message, if that is for people.
	Status int
	Says   string
}

// Failures is the catalogue: every way to fail, for a provider of the format. The
// recorded errors are among them where the recordings are.
func Failures(f translate.Format) []Failure {
	var list []Failure
	for _, part := range [...][]Failure{statuses(f), bodies(f), connections(), silences(f), documents(f), openings(f), afterContent(f), recordings(f)} {
		list = append(list, part...)
	}
	for i := range list {
		list[i].Format = f
	}
	return list
}

// statuses are the error statuses with what a provider writes beside each.
func statuses(f translate.Format) (list []Failure) {
	const cloudflare = "<!DOCTYPE html><html><head><title>%d: The origin did not answer</title></head><body></body></html>"
	for _, s := range []struct {
		status                    int
		openai, anthropic, google string
		message                   string
		scope, reason             string
		retryable                 bool
	}{
		{400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT", "temperature must be at most 2.", "request", "rejected", false},
		{401, "invalid_api_key", "authentication_error", "UNAUTHENTICATED", "Incorrect API key provided.", "connection", "unauthorized", true},
		{402, "billing_error", "billing_error", "FAILED_PRECONDITION", "Payment is required.", "connection", "quota_spent", true},
		{403, "permission_error", "permission_error", "PERMISSION_DENIED", "You may not do this.", "connection", "forbidden", true},
		{404, "model_not_found", "not_found_error", "NOT_FOUND", "The model m does not exist or you do not have access to it.", "model", "model_unavailable", true},
		{408, "timeout", "timeout_error", "DEADLINE_EXCEEDED", "The request took too long.", "provider", "timeout", true},
		{409, "conflict", "invalid_request_error", "ABORTED", "The request is in conflict with another.", "request", "rejected", false},
		{413, "request_too_large", "request_too_large", "INVALID_ARGUMENT", "The request is too large.", "request", "too_large", true},
		{422, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT", "messages: at least one is needed.", "request", "rejected", false},
		{429, "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED", "Rate limit reached for requests per minute.", "connection", "rate_limited", true},
		{500, "server_error", "api_error", "INTERNAL", "The server had an error while processing your request.", "provider", "server_error", true},
		{502, "server_error", "api_error", "INTERNAL", "Bad gateway.", "provider", "server_error", true},
		{503, "server_error", "overloaded_error", "UNAVAILABLE", "The model is overloaded. Please try again later.", "provider", "overloaded", true},
		{504, "server_error", "timeout_error", "DEADLINE_EXCEEDED", "The deadline expired.", "provider", "timeout", true},
		{520, "", "", "", "", "provider", "server_error", true},
		{524, "", "", "", "", "provider", "timeout", true},
		{529, "overloaded_error", "overloaded_error", "UNAVAILABLE", "Overloaded", "provider", "overloaded", true},
	} {
		kind := s.openai
		switch f {
		case translate.Anthropic:
			kind = s.anthropic
		case translate.Gemini:
			kind = s.google
		}
		step := Refuse(f, s.status, kind, s.message)
		if kind == "" { // what stands before the provider answers
			step.Body, step.ContentType = fmt.Sprintf(cloudflare, s.status), "text/html"
		}
		list = append(list, Failure{Name: fmt.Sprint(s.status), Step: step, Scope: s.scope, Reason: s.reason, Retryable: s.retryable, Status: s.status, Says: s.message})
	}
	return list
}

// bodies are refusals whose body, or header, says more than the status.
func bodies(f translate.Format) []Failure {
	kind := func(openai, anthropic, google string) string {
		switch f {
		case translate.Anthropic:
			return anthropic
		case translate.Gemini:
			return google
		}
		return openai
	}
	// Two of them have one word for what is spent and what is too fast.
	quota := kind("quota_spent", "rate_limited", "rate_limited")
	tooLong := "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
	switch f {
	case translate.Anthropic:
		tooLong = "prompt is too long: 203000 tokens > 200000 maximum"
	case translate.Gemini:
		tooLong = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
	}
	refuse := func(status int, kind, message string, header ...string) Step {
		s := Refuse(f, status, kind, message)
		for i := 0; i < len(header); i += 2 {
			if s.Header == nil {
				s.Header = http.Header{}
			}
			s.Header.Set(header[i], header[i+1])
		}
		return s
	}
	html := Step{Status: 500, ContentType: "text/html", Body: "<html><h1>Internal Server Error</h1>"}
	invalid := kind("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT")
	return []Failure{
		{Name: "400 context length", Step: refuse(400, kind("context_length_exceeded", "invalid_request_error", "INVALID_ARGUMENT"), tooLong), Scope: "request", Reason: "context_length", Retryable: true, Says: tooLong, Status: 400},
		{Name: "400 content policy", Step: refuse(400, kind("content_policy_violation", "invalid_request_error", "INVALID_ARGUMENT"), "Your request was rejected as a result of our safety system."), Scope: "request", Reason: "content_policy", Retryable: true, Says: "Your request was rejected as a result of our safety system.", Status: 400},
		{Name: "400 unsupported", Step: refuse(400, invalid, "Image input is not supported by this model."), Scope: "request", Reason: "unsupported", Retryable: true, Says: "Image input is not supported by this model.", Status: 400},
		{Name: "400 invalid key", Step: refuse(400, invalid, "API key not valid. Please pass a valid API key."), Scope: "connection", Reason: "unauthorized", Retryable: true, Says: "API key not valid. Please pass a valid API key.", Status: 400},
		{Name: "400 no credit", Step: refuse(400, invalid, "Your credit balance is too low to access the API."), Scope: "connection", Reason: "quota_spent", Retryable: true, Says: "Your credit balance is too low to access the API.", Status: 400},
		{Name: "429 with Retry-After", Step: refuse(429, kind("rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"), "Slow down.", "Retry-After", "7"), Scope: "connection", Reason: "rate_limited", Retryable: true, Says: "Slow down.", Status: 429},
		{Name: "429 quota", Step: refuse(429, kind("insufficient_quota", "rate_limit_error", "RESOURCE_EXHAUSTED"), "You exceeded your current quota, please check your plan and billing details."), Scope: "connection", Reason: quota, Retryable: true, Says: "You exceeded your current quota, please check your plan and billing details.", Status: 429},
		{Name: "429 overloaded", Step: refuse(429, kind("rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"), "The engine is currently overloaded, please try again later."), Scope: "provider", Reason: "overloaded", Retryable: true, Says: "The engine is currently overloaded, please try again later.", Status: 429},
		{Name: "503 with Retry-After", Step: refuse(503, kind("server_error", "overloaded_error", "UNAVAILABLE"), "Come back later.", "Retry-After", "3"), Scope: "provider", Reason: "overloaded", Retryable: true, Says: "Come back later.", Status: 503},
		{Name: "500 page", Step: html, Scope: "provider", Reason: "server_error", Retryable: true, Status: 500},
		{Name: "500 without a body", Step: Step{Status: 500}, Scope: "provider", Reason: "server_error", Retryable: true, Status: 500},
		{Name: "500 compressed", Step: Step{Status: 500, Body: Error(f, 500, "server_error", "Oops."), Gzip: true}, Scope: "provider", Reason: "server_error", Retryable: true, Status: 500},
		{Name: "redirect", Step: Step{Status: 307, Header: http.Header{"Location": {"http://127.0.0.1:1/elsewhere"}}}, Scope: "provider", Reason: "misconfigured", Retryable: true},
	}
}

// connections are failures of TCP, TLS and HTTP.
func connections() []Failure {
	broken := func(name, reason string, s Step) Failure {
		return Failure{Name: name, Step: s, Scope: "provider", Reason: reason, Retryable: true}
	}
	return []Failure{
		broken("refused", "unreachable", Step{Refused: true}),
		broken("TLS of an unknown authority", "tls_failed", Step{TLS: TLSUntrusted}),
		broken("TLS garbage", "tls_failed", Step{TLS: TLSGarbage}),
		broken("TLS hang-up", "unreachable", Step{TLS: TLSHangUp}),
		broken("reset at accept", "unreachable", Step{Reset: At(Accept)}),
		broken("reset before the body is read", "broken_off", Step{Reset: At(HeadersRead)}),
		broken("reset before the answer", "broken_off", Step{Reset: At(RequestRead)}),
		broken("reset after the status", "broken_off", Step{Reset: At(StatusSent)}),
		broken("hang-up at accept", "broken_off", Step{HangUp: At(Accept)}),
		broken("hang-up before the answer", "broken_off", Step{HangUp: At(RequestRead)}),
		broken("hang-up after the status", "broken_off", Step{HangUp: At(StatusSent)}),
		broken("not HTTP", "broken_off", Step{NotHTTP: "SSH-2.0-OpenSSH_9.9\r\n"}),
		broken("endless headers", "broken_off", Step{EndlessHeaders: true}),
	}
}

// silences are answers that would come too late.
func silences(f translate.Format) []Failure {
	silent := func(name string, s Step) Failure {
		return Failure{Name: name, Step: s, Scope: "provider", Reason: "first_content_timeout", Retryable: true, Slow: true}
	}
	begun := Lifecycle(f)
	begun.Stall = AfterEvent(len(begun.Events))
	pings := Lifecycle(f)
	last := pings.Events[len(pings.Events)-1]
	for range 100 {
		pings.Events = append(pings.Events, last)
	}
	pings.Every = 20 * time.Millisecond
	half := Good(f, false, "This never comes to its end.")
	half.Stall = InEvent(1)
	headed := Auto(f, "This never begins.")
	headed.Stream.Stall, headed.Document.Stall = At(HeadersSent), At(HeadersSent)
	drip := Auto(f, "This comes a letter at a time.")
	drip.Stream.Drip = Drip{1, 50 * time.Millisecond}
	drip.Document.Drip = drip.Stream.Drip
	late := Auto(f, "This comes too late.")
	late.Stream.Delay, late.Document.Delay = time.Minute, time.Minute
	list := []Failure{
		silent("TLS stall", Step{TLS: TLSStall}),
		silent("stall at accept", Step{Stall: At(Accept)}),
		silent("stall before the body is read", Step{Stall: At(HeadersRead)}),
		silent("stall after the status", Step{Stall: At(StatusSent)}),
		silent("stall after the header", headed),
		silent("late", late),
		silent("drip", drip),
		silent("stall in the document", half),
		silent("stall before content", begun),
		silent("pings and no content", pings),
	}
	list[7].DocumentOnly = true
	list[8].StreamOnly, list[9].StreamOnly = true, true
	return list
}

// documents are answers with 200 that are no good answers, before any of it can
// have been sent.
func documents(f translate.Format) []Failure {
	bad := func(name, reason string, s Step) Failure {
		return Failure{Name: name, Step: s, Scope: "provider", Reason: reason, Retryable: true}
	}
	whole := Good(f, false, "This is not all of it.")
	with := func(change func(*Step)) Step {
		s := whole
		change(&s)
		return s
	}
	list := []Failure{
		bad("document cut", "broken_off", with(func(s *Step) { s.CutAfterBytes = len(s.Body) / 2 })),
		bad("document reset", "broken_off", with(func(s *Step) { s.Reset = InEvent(1) })),
		bad("document shorter than its length", "broken_off", with(func(s *Step) { s.WrongLength = 10 })),
		// Closed, or the rest is taken for the next answer on the connection.
		bad("document longer than its length", "broken_answer", with(func(s *Step) { s.WrongLength, s.KeepAliveOff = -10, true })),
		bad("document without its last chunk", "broken_off", with(func(s *Step) { s.NoEnd = true })),
		bad("half a document", "broken_answer", with(func(s *Step) { s.Body = s.Body[:len(s.Body)/2] })),
		bad("null", "broken_answer", Step{Body: "null"}),
		bad("no JSON", "broken_answer", Step{Body: "Hello."}),
		bad("error in a document", "server_error", Step{Body: Error(f, 500, map[translate.Format]string{translate.Gemini: "INTERNAL", translate.Anthropic: "api_error"}[f], "Something broke.")}),
		bad("empty document", "empty_answer", Empty(f, false)),
	}
	for i := range list {
		list[i].DocumentOnly = true
	}
	return append(list,
		bad("nothing", "broken_answer", Step{}),
		bad("page", "broken_answer", Step{ContentType: "text/html", Body: "<html>Welcome to the network.</html>"}),
		bad("damaged compression", "broken_answer", Step{Header: http.Header{"Content-Encoding": {"gzip"}}, Body: "not gzip"}),
		bad("unknown compression", "broken_answer", Step{Header: http.Header{"Content-Encoding": {"br"}}, Body: "\x0b\x02\x80"}),
	)
}

// openings are streams that fail before there is content in them.
func openings(f translate.Format) []Failure {
	bad := func(name, reason string, s Step) Failure {
		return Failure{Name: name, Step: s, Scope: "provider", Reason: reason, Retryable: true, StreamOnly: true}
	}
	begun := func(change func(*Step)) Step {
		s := Lifecycle(f)
		change(&s)
		return s
	}
	kind, message, reason := failing(f)
	return []Failure{
		bad("stream that opens with an error", reason, ErrorIn(f, kind, message)),
		bad("error before content", reason, begun(func(s *Step) { s.Events = append(s.Events, errorEvent(f, kind, message)) })),
		bad("empty stream", "empty_answer", Empty(f, true)),
		bad("stream of nothing", "broken_answer", Step{ContentType: streamType(f)}),
		bad("stream reset after the header", "broken_off", Step{ContentType: streamType(f), Events: []string{"\n"}, Reset: At(HeadersSent)}),
		bad("stream hung up after the header", "broken_off", Step{ContentType: streamType(f), Events: []string{"\n"}, HangUp: At(HeadersSent)}),
		bad("stream hung up before content", "broken_off", begun(func(s *Step) { s.HangUp = AfterEvent(len(s.Events)) })),
		bad("stream ended before content", "broken_answer", begun(func(*Step) {})),
		bad("stream without its last chunk", "broken_off", begun(func(s *Step) { s.NoEnd = true })),
		bad("stream of garbage", "broken_answer", Step{ContentType: streamType(f), Events: []string{garbage(f)}}),
	}
}

// afterContent are streams that fail when the client has some of it.
func afterContent(f translate.Format) []Failure {
	bad := func(name, reason string, change func(*Step, int)) Failure {
		s := Good(f, true, "Begun but not done.")
		change(&s, len(opening(f))+1) // with the first word
		return Failure{Name: name, Step: s, Scope: "provider", Reason: reason, StreamOnly: true, Told: true}
	}
	// The pause is for the content to be on its way before the failure comes.
	next := func(s *Step, n int, event string) {
		s.Events, s.Stall, s.StallFor = append(s.Events[:n:n], event), AfterEvent(n), 150*time.Millisecond
	}
	kind, message, reason := failing(f)
	stalled := bad("stall after content", "silence", func(s *Step, n int) { s.Stall = AfterEvent(n) })
	stalled.Slow = true
	return []Failure{
		bad("reset after content", "broken_off", func(s *Step, n int) { s.Reset = AfterEvent(n) }),
		bad("hang-up after content", "broken_off", func(s *Step, n int) { s.HangUp = AfterEvent(n) }),
		bad("cut in an event", "broken_off", func(s *Step, n int) { s.HangUp = InEvent(n + 1) }),
		bad("reset in an event", "broken_off", func(s *Step, n int) { s.Reset = InEvent(n + 1) }),
		bad("end after content", "broken_answer", func(s *Step, n int) {
			s.Events, s.Stall, s.StallFor = s.Events[:n], AfterEvent(n), 150*time.Millisecond
		}),
		bad("garbage after content", "broken_answer", func(s *Step, n int) { next(s, n, garbage(f)) }),
		bad("error after content", reason, func(s *Step, n int) { next(s, n, errorEvent(f, kind, message)) }),
		stalled,
	}
}

// failing is how a provider of the format says within a stream that it failed, and
// the gateway's word for that.
func failing(f translate.Format) (kind, message, reason string) {
	switch f {
	case translate.Anthropic:
		return "overloaded_error", "Overloaded", "overloaded"
	case translate.Gemini:
		return "UNAVAILABLE", "The model is overloaded. Please try again later.", "overloaded"
	}
	return "server_error", "The server had an error while processing your request.", "server_error"
}

func streamType(f translate.Format) string {
	if f == translate.Ollama {
		return "application/x-ndjson"
	}
	return "text/event-stream"
}

func garbage(f translate.Format) string {
	if f == translate.Ollama {
		return "{\"mod\n"
	}
	return "data: {\"cho\n\n"
}
