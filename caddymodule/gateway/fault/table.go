package fault

import (
	"slices"
	"strings"
	"time"
)

// What the rules come to. The scopes follow who has to do something about it.
var (
	rejected         = Fault{Scope: Request, Reason: Rejected, Final: true}
	tooLong          = Fault{Scope: Request, Reason: ContextLength, Elsewhere: true, Final: true}
	tooLarge         = Fault{Scope: Request, Reason: TooLarge, Elsewhere: true, Final: true}
	unwanted         = Fault{Scope: Request, Reason: ContentPolicy, Elsewhere: true, Final: true}
	unsupported      = Fault{Scope: Request, Reason: Unsupported, Elsewhere: true, Final: true}
	unfetchable      = Fault{Scope: Request, Reason: Unfetchable, Elsewhere: true}
	generationFailed = Fault{Scope: Request, Reason: GenerationFailed, Elsewhere: true}

	noModel   = Fault{Scope: Model, Reason: ModelUnavailable, Pause: 10 * time.Minute, Final: true}
	noAccess  = Fault{Scope: Model, Reason: NotEntitled, Pause: 30 * time.Minute, Final: true}
	notLoaded = Fault{Scope: Model, Reason: ModelUnavailable, Pause: 10 * time.Second}

	// A limit of nothing, and no permission for what the model is behind: it is the
	// account that is refused, for this model.
	nothing   = Fault{Scope: Connection, Reason: RateLimited, Pause: 30 * time.Minute, ThisModel: true, Final: true}
	forbidden = Fault{Scope: Connection, Reason: Forbidden, Pause: 30 * time.Minute, ThisModel: true, Final: true}

	limited    = Fault{Scope: Connection, Reason: RateLimited, ThisModel: true}
	spent      = Fault{Scope: Connection, Reason: QuotaSpent, Pause: 10 * time.Minute, Final: true}
	spentModel = Fault{Scope: Connection, Reason: QuotaSpent, Pause: 10 * time.Minute, ThisModel: true, Final: true}
	// The request may ask for less.
	unaffordable = Fault{Scope: Connection, Reason: QuotaSpent, Pause: 10 * time.Minute, ThisModel: true, Weak: true, Final: true}

	wrongKey = Fault{Scope: Connection, Reason: Unauthorized, Pause: 5 * time.Minute, Final: true}
	barred   = Fault{Scope: Connection, Reason: Forbidden, Pause: 5 * time.Minute, Final: true}
	// It says no more than that this is not allowed, whatever this is.
	refused = Fault{Scope: Connection, Reason: Forbidden, Pause: 5 * time.Minute, ThisModel: true, Weak: true, Final: true}
	missing = Fault{Scope: Model, Reason: ModelUnavailable, Pause: 10 * time.Minute, Weak: true, Final: true}
	// The connection, not the provider: another may go by another proxy.
	notHere = Fault{Scope: Connection, Reason: Region, Pause: 30 * time.Minute, Elsewhere: true, Final: true}

	busy   = Fault{Scope: Provider, Reason: Overloaded}
	slow   = Fault{Scope: Provider, Reason: Timeout}
	broken = Fault{Scope: Provider, Reason: ServerError}
	// Not the model's: no model is behind a path that is not there. A success
	// anywhere else closes the provider's breaker again, so that one operation
	// which is not offered does not cost the others.
	wrongURL = Fault{Scope: Provider, Reason: Misconfigured, Final: true}
	// A page in front of the provider can also mean the text of the request, so
	// the credential does not pay for it.
	blocked = Fault{Scope: Provider, Reason: Blocked}
)

// A rule is a line of the table. It fits if each of its conditions that is not
// empty does.
type rule struct {
	statuses []int    // one of them, 0 is an error within a stream that states none
	codes    []string // one of them is among the layer's, squeezed or a mark
	says     []string // one of them is in the message; ^ and $ are its ends
	fault    Fault
}

// rejections are the statuses of a request that was found wanting. Their
// messages quote it, so that no rule believes their prose (but for how it
// begins or ends) when it would set anything aside.
var rejections = []int{400, 404, 405, 406, 409, 411, 413, 414, 415, 422}

var (
	badRequest = []int{400, 413, 422}
	mayReject  = []int{0, 400, 413, 422, 500, 502}
	denied     = []int{401, 403}
	tooMany    = []int{429}
)

// byWords is the table. The first rule that fits holds.
//
// Codes: https://platform.openai.com/docs/guides/error-codes,
// https://platform.claude.com/docs/en/api/errors,
// https://ai.google.dev/gemini-api/docs/troubleshooting,
// https://openrouter.ai/docs/api-reference/errors,
// https://console.groq.com/docs/errors, https://api-docs.deepseek.com/quick_start/error_codes,
// https://docs.z.ai/api-reference/api-code,
// https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html.
var byWords = []rule{
	// A request that is too much.
	{codes: []string{"contextlengthexceeded", "toomanyprompttokens", "contextwindowexceeded", "contextwindowexceedederror", "exceedcontextsizeerror", "stringabovemaxlength", "1261"}, fault: tooLong},
	{statuses: mayReject, says: []string{"context length", "context window", "context size", "maximum context", "prompt is too long", "input is too long", "input length and `max_tokens` exceed", "reduce the length of", "exceeds the maximum number of tokens", "length of all messages is too long"}, fault: tooLong},
	// A subscription without long context says so as a limit of rate.
	{statuses: []int{400, 429}, says: []string{"^extra usage is required for long context", "^the long context beta is not"}, fault: tooLong},
	{codes: []string{"requesttoolarge", "requestentitytoolarge", "payloadtoolarge"}, fault: tooLarge},
	// More tokens than the account may send in a minute: waiting does not help.
	{statuses: []int{413, 429}, says: []string{"^request too large"}, fault: tooLarge},
	{statuses: []int{413}, fault: tooLarge},

	// Content that a provider does not want.
	{codes: []string{"contentpolicyviolation", "contentfilter", "contentfiltered", "responsibleaipolicyviolation", "moderationblocked", "invalidprompt", "imagecontentpolicyviolation", "contentpolicyviolationerror", "datainspectionfailed", "promptblocked", "safetycheckfailed", "1301"}, fault: unwanted},
	{statuses: []int{0, 400, 403, 422}, says: []string{"content policy", "content management policy", "safety system", "usage policy", "moderation", "^your input was flagged", "flagged as potentially violating"}, fault: unwanted},
	{statuses: []int{451}, fault: unwanted},

	// Where we are.
	{codes: []string{"unsupportedcountryregionterritory", markLocation}, fault: notHere},

	// A thing that the request names and the account does not have.
	{statuses: []int{403, 404}, says: []string{"cachedcontent", "cached content", "access file", "access the file", "^file_", "^file-", "^file with", "^the file"}, fault: rejected},
	{statuses: []int{403}, says: []string{"^you are not allowed to generate embeddings", "^you are not allowed to sample"}, fault: unsupported},

	// A right to one model.
	{codes: []string{markLimitZero}, fault: nothing},
	{codes: []string{markOneModel}, fault: forbidden},
	{codes: []string{"modeltermsrequired", "modelpermissionblockedproject", "modelpermissionblockedorg", "1311"}, fault: noAccess},
	{statuses: denied, codes: []string{"modelnotfound", "modelnotallowed", "modelaccessdenied"}, fault: noAccess},
	{statuses: denied, says: []string{"access to the model", "access to model", "model access is denied", "access to this model", "use this model", "not entitled to"}, fault: noAccess},

	// Money and long limits. Google's word for both comes further down.
	{codes: []string{markModelWindow}, statuses: tooMany, fault: spentModel},
	{codes: []string{markWindow}, statuses: tooMany, fault: spent},
	{codes: []string{markPerDay}, fault: spentModel},
	{codes: []string{markPerMinute}, fault: limited},
	{codes: []string{"insufficientquota", "insufficientbalance", "insufficientcredits", "insufficientfunds", "billingerror", "billinghardlimitreached", "billingnotactive", "exceededcurrentquotaerror", "creditsexhausted", "paymentrequired", "usagelimitreached", "usagelimitexceeded", "quotaexhausted", "1113", "1308"}, fault: spent},
	{statuses: []int{402, 403}, says: []string{"fewer max_tokens", "can only afford"}, fault: unaffordable},
	{statuses: []int{402}, fault: spent},
	{statuses: []int{401, 403, 429}, says: []string{"insufficient balance", "insufficient credit", "insufficient funds", "credit balance", "out of credits", "have any credits", "used all available credits", "spending limit", "余额不足", "please recharge"}, fault: spent},
	{statuses: []int{0, 400}, says: []string{"^your credit balance is too low", "^you have reached your specified api usage limits", "^insufficient balance"}, fault: spent},

	// A credential.
	{codes: []string{"invalidapikey", "apikeyinvalid", "apikeyexpired", "apikeyserviceblocked", "authenticationerror", "invalidauthentication", "invalidauthenticationerror", "unauthenticated", "tokenexpired", "tokeninvalidated", "invalidtoken", "expiredtoken", "expiredtokenexception", "accesstokenexpired", "unrecognizedclientexception", "invalidsignatureexception"}, fault: wrongKey},
	{codes: []string{"accountdeactivated", "deactivatedworkspace", "accessterminatederror", "accountdisabled", "consumersuspended", "billingdisabled", "servicedisabled", "usagenotincluded"}, fault: barred},
	{statuses: []int{400, 403}, says: []string{"^this organization has been disabled"}, fault: barred},
	// xAI answers a wrong key like a wrong parameter.
	{statuses: []int{400}, says: []string{"^incorrect api key provided", "^api key not valid", "^invalid api key"}, fault: wrongKey},

	// Load. It comes before limits: 429 is used for both.
	{codes: []string{"modelcapacityexhausted", "engineoverloadederror", "servicetiercapacityexceeded", "capacityexceeded", "modelnotreadyexception", "modeloverloaded", "1305"}, fault: busy},
	{codes: []string{"overloadederror", "overloaded", "serveroverloaded", "serverisoverloaded", "slowdown", "serviceunavailableexception", "serviceunavailableerror"}, fault: busy},
	{statuses: []int{429, 498, 503}, says: []string{"model is overloaded", "model is currently overloaded", "engine is currently overloaded", "capacity exceeded", "at capacity", "at max capacity", "no capacity", "model is loading", "loading model", "is currently loading"}, fault: busy},
	{statuses: tooMany, says: []string{"overloaded", "high demand", "peak load", "not your usage limit"}, fault: busy},

	// Limits of rate.
	{codes: []string{"ratelimitexceeded", "ratelimiterror", "ratelimitreached", "ratelimitreachederror", "ratelimited", "throttlingexception", "throttled", "toomanyrequests", "toomanyrequestsexception", "toomanyrequestserror", "resourceexhausted", "servicequotaexceededexception", "1302", "1303"}, fault: limited},
	{statuses: tooMany, says: []string{"exceeded your current quota"}, fault: spent},

	// A model.
	{codes: []string{"modelnotfound", "modelnotavailable", "modelnotsupported", "modeldecommissioned", "modeldeprecated", "deprecatedmodel", "unknownmodel", "invalidmodel", "unsupportedmodel", "modelnotactive", "deploymentnotfound", "resourcenotfoundexception", "1211"}, fault: noModel},
	{statuses: []int{400, 404}, says: []string{"^no endpoints found that", "^no endpoints available that"}, fault: unsupported},
	{statuses: badRequest, says: []string{"^the requested model is not supported", "^the provided model identifier is invalid", "^invocation of model id", "is not a valid model id$"}, fault: noModel},
	{statuses: badRequest, says: []string{"not support", "unsupported", "this model supports at most", "only supported by"}, fault: unsupported},
	{statuses: badRequest, says: []string{"^the model `", "^model not exist", "^unknown model", "^invalid model", "^no such model", "^model not found"}, fault: noModel},
	{statuses: []int{500, 503}, says: []string{"requires more system memory", "llama runner process"}, fault: notLoaded},

	// What is not found: a thing within a request, a model, or the path.
	{codes: []string{"previousresponsenotfound", "itemnotfound", "filenotfound"}, fault: rejected},
	{statuses: []int{404}, says: []string{"^item with id", "^previous response", "^no such file"}, fault: rejected},
	{statuses: []int{404, 405}, says: []string{"^not found$", "^file not found$", "^invalid url", "^method not allowed", "^no route", "^unknown request url"}, fault: wrongURL},
	{statuses: []int{404, 410}, codes: []string{markPage}, fault: wrongURL},
	{statuses: []int{404, 410}, says: []string{"model", "deployment", "function '"}, fault: noModel},
	{statuses: []int{404, 410}, codes: []string{markNoJSON}, fault: wrongURL},
	{statuses: []int{404}, codes: []string{"invalidrequesterror"}, fault: rejected},
	{statuses: []int{403}, codes: []string{markPage}, fault: blocked},
	{statuses: []int{0}, codes: []string{"notfounderror", "notfound"}, fault: noModel},

	// What a request needs and does not get.
	{codes: []string{"toolusefailed", "jsonvalidatefailed", "outputparsefailed"}, fault: generationFailed},
	{codes: []string{"invalidimageurl", "imagedownloadfailed", "failedtodownloadimage"}, fault: unfetchable},
	{statuses: badRequest, says: []string{"^cannot fetch content from the provided url", "^failed to download", "^unable to download", "^error while downloading", "^failed to fetch", "^unable to fetch"}, fault: unfetchable},
	{statuses: mayReject, codes: []string{"unsupportedparameter", "unsupportedvalue", "operationnotsupported", "unsupportedfeature", "unsupportedoperation"}, fault: unsupported},
	{statuses: []int{501}, fault: unsupported},

	// The widest words come last.
	{statuses: []int{0, 400, 409, 411, 414, 415, 422, 500, 502, 503}, codes: []string{"invalidrequesterror", "invalidrequest", "invalidargument", "outofrange", "failedprecondition", "validationexception", "badrequest", "badrequesterror", "unprocessableentity"}, fault: rejected},
	{statuses: []int{0, 400, 403, 500}, codes: []string{"permissionerror", "permissiondenied", "accessdeniedexception", "accessdenied", "forbidden"}, fault: refused},
}

// match returns what the first rule that fits comes to.
func match(rules []rule, l *layer) (Fault, bool) {
	for i := range rules {
		if rules[i].fits(l) {
			return rules[i].fault, true
		}
	}
	return Fault{}, false
}

func (r *rule) fits(l *layer) bool {
	return (len(r.statuses) == 0 || slices.Contains(r.statuses, l.status)) &&
		(len(r.codes) == 0 || slices.ContainsFunc(r.codes, l.has)) &&
		(len(r.says) == 0 || slices.ContainsFunc(r.says, l.says))
}

// says tells whether the message has the words, at its beginning if they begin
// with ^, at its end if they end with $.
func (l *layer) says(words string) bool {
	words, first := strings.CutPrefix(words, "^")
	words, last := strings.CutSuffix(words, "$")
	switch {
	case first && last:
		return l.message == words
	case first:
		return strings.HasPrefix(l.message, words)
	case last:
		return strings.HasSuffix(l.message, words)
	}
	return strings.Contains(l.message, words)
}

// ofStatus is what a status comes to where nothing else is known.
func ofStatus(status int) Fault {
	switch status {
	case 401, 407:
		return wrongKey
	case 402:
		return spent
	case 403:
		return refused
	case 404, 410:
		return missing
	case 405:
		return wrongURL
	case 413:
		return tooLarge
	case 429:
		return limited
	case 498: // Groq: no capacity in the flex tier
		return busy
	case 503, 529:
		return busy
	case 408, 504, 522, 524:
		return slow
	case 424, 499: // the provider's own dependency, and it broke off itself
		return broken
	case 501:
		return unsupported
	}
	switch {
	case status >= 400 && status < 500:
		return rejected
	case status >= 300 && status < 400: // redirects are not followed
		return wrongURL
	}
	return broken
}
