package fault

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
	"github.com/nine-router/nine-router/translate/cohere"
	"github.com/nine-router/nine-router/translate/gemini"
	"github.com/nine-router/nine-router/translate/ollama"
	"github.com/nine-router/nine-router/translate/openai"
	"github.com/nine-router/nine-router/translate/responses"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) // four in the morning at Google's

var codecs = map[string]translate.Codec{
	"": openai.Codec{}, "openai-chat": openai.Codec{}, "openai-responses": responses.Codec{}, "anthropic-messages": anthropic.Codec{},
	"gemini": gemini.Codec{}, "ollama": ollama.Codec{}, "cohere": cohere.Codec{},
}

func table(t testing.TB, rules ...Rule) *Table {
	t.Helper()
	table, err := NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// answer makes an answer as the gateway does. Headers are name, value, name, value …
func answer(format, provider string, status int, body string, headers ...string) *Answer {
	codec := codecs[format]
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &Answer{Provider: provider, Format: codec.Format(), Status: status, Header: h, Body: []byte(body), Err: codec.DecodeError(status, []byte(body))}
}

func TestWhoseFaultItWas(t *testing.T) {
	t.Parallel()
	const (
		anthropic = "anthropic-messages"
		gemini    = "gemini"
		ollama    = "ollama"
	)
	cases := []struct {
		name     string
		format   string
		provider string
		status   int
		body     string
		headers  []string
		scope    Scope
		reason   string
		after    time.Duration
	}{
		// OpenAI
		{name: "wrong key", provider: "openai", status: 401, body: `{"error":{"message":"Incorrect API key provided: sk-1.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, scope: Connection, reason: Unauthorized},
		{name: "requests used up", provider: "openai", status: 429, body: `{"error":{"message":"Rate limit reached for m on requests per min.","type":"requests","code":"rate_limit_exceeded"}}`,
			headers: []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "6m0s", "x-ratelimit-remaining-tokens", "900", "x-ratelimit-reset-tokens", "2h"}, scope: Connection, reason: RateLimited, after: 6 * time.Minute},
		{name: "tokens used up", provider: "openai", status: 429, body: `{"error":{"code":"rate_limit_exceeded","type":"tokens","message":"Limit."}}`,
			headers: []string{"x-ratelimit-remaining-requests", "12", "x-ratelimit-reset-requests", "1h", "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "20ms"}, scope: Connection, reason: RateLimited, after: 20 * time.Millisecond},
		{name: "retry after in milliseconds", provider: "openai", status: 429, body: `{"error":{"code":"rate_limit_exceeded"}}`, headers: []string{"retry-after-ms", "1500", "retry-after", "2"}, scope: Connection, reason: RateLimited, after: 1500 * time.Millisecond},
		{name: "retry after a moment", provider: "openai", status: 503, body: ``, headers: []string{"Retry-After", "Wed, 25 Nov 2026 12:01:00 GMT"}, scope: Provider, reason: Overloaded, after: time.Minute},
		{name: "money", provider: "openai", status: 429, body: `{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, scope: Connection, reason: QuotaSpent},
		{name: "one request of too many tokens", provider: "openai", status: 429, body: `{"error":{"message":"Request too large for m on tokens per min (TPM): Limit 30000, Requested 40000.","type":"tokens","code":"rate_limit_exceeded"}}`, scope: Request, reason: TooLarge},
		{name: "no such model, or no access", provider: "openai", status: 404, body: `{"error":{"message":"The model 'x' does not exist or you do not have access to it.","type":"invalid_request_error","code":"model_not_found"}}`, scope: Model, reason: ModelUnavailable},
		{name: "a model not for this project", provider: "openai", status: 403, body: `{"error":{"message":"Project 'p' does not have access to model 'x'","type":"invalid_request_error","code":"model_not_found"}}`, scope: Model, reason: NotEntitled},
		{name: "country", provider: "openai", status: 403, body: `{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","type":"request_forbidden"}}`, scope: Connection, reason: Region},
		{name: "context", provider: "openai", status: 400, body: `{"error":{"message":"Too long.","type":"invalid_request_error","code":"context_length_exceeded"}}`, scope: Request, reason: ContextLength},
		{name: "policy", provider: "openai", status: 400, body: `{"error":{"message":"Invalid prompt: flagged.","type":"invalid_request_error","code":"invalid_prompt"}}`, scope: Request, reason: ContentPolicy},
		{name: "unsupported value", provider: "openai", status: 400, body: `{"error":{"message":"'temperature' may only be 1.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}`, scope: Request, reason: Unsupported},
		{name: "an image that cannot be loaded", provider: "openai", status: 400, body: `{"error":{"message":"Error while downloading https://a.test/quota.png.","type":"invalid_request_error","code":"invalid_image_url"}}`, scope: Request, reason: Unfetchable},
		{name: "a response that is not kept", provider: "openai", status: 400, body: `{"error":{"message":"Previous response with id 'r' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}`, scope: Request, reason: Rejected},
		{name: "an item that is not kept", provider: "openai", status: 404, body: `{"error":{"message":"Item with id 'rs_1' not found.","type":"invalid_request_error","code":null}}`, scope: Request, reason: Rejected},
		{name: "wrong path", provider: "openai", status: 404, body: `{"error":{"message":"Invalid URL (POST /v1/v1/chat/completions)","type":"invalid_request_error"}}`, scope: Provider, reason: Misconfigured},
		{name: "internal", provider: "openai", status: 500, body: `{"error":{"message":"The server had an error.","type":"server_error"}}`, scope: Provider, reason: ServerError},
		{name: "failed response in a stream", format: "openai-responses", provider: "openai", body: `{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"Rate limit reached. Please try again in 1.5s."}}}`, scope: Connection, reason: RateLimited, after: 1500 * time.Millisecond},
		{name: "server error in a stream", format: "openai-responses", provider: "openai", body: `{"type":"error","code":"server_error","message":"Sorry."}`, scope: Provider, reason: ServerError},

		// ChatGPT and Codex
		{name: "a plan's limit", format: "openai-responses", provider: "codex", status: 429, body: `{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_at":1800000000,"resets_in_seconds":13872}}`, scope: Connection, reason: QuotaSpent, after: 13872 * time.Second},
		{name: "a plan's limit with its moment only", format: "openai-responses", provider: "codex", status: 429, body: `{"error":{"type":"usage_limit_reached","message":"m","resets_at":1795611600}}`, scope: Connection, reason: QuotaSpent, after: time.Hour},
		{name: "a plan's limit in the headers", format: "openai-responses", provider: "codex", status: 429, body: `{"error":{"type":"usage_limit_reached","message":"m"}}`,
			headers: []string{"x-codex-primary-used-percent", "40", "x-codex-primary-reset-after-seconds", "100", "x-codex-secondary-used-percent", "100", "x-codex-secondary-reset-after-seconds", "7200"}, scope: Connection, reason: QuotaSpent, after: 2 * time.Hour},
		{name: "a workspace that is gone", format: "openai-responses", provider: "codex", status: 402, body: `{"detail":{"code":"deactivated_workspace"}}`, scope: Connection, reason: QuotaSpent},

		// Anthropic
		{name: "wrong key", format: anthropic, provider: "anthropic", status: 401, body: `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}`, scope: Connection, reason: Unauthorized},
		{name: "input tokens used up", format: anthropic, provider: "anthropic", status: 429, body: `{"type":"error","error":{"type":"rate_limit_error","message":"m"}}`,
			headers: []string{"anthropic-ratelimit-requests-remaining", "5", "anthropic-ratelimit-requests-reset", "2026-11-25T15:00:00Z", "anthropic-ratelimit-input-tokens-remaining", "0", "anthropic-ratelimit-input-tokens-reset", "2026-11-25T12:00:30Z"}, scope: Connection, reason: RateLimited, after: 30 * time.Second},
		{name: "five hours used up", format: anthropic, provider: "anthropic", status: 429, body: `{"type":"error","error":{"type":"rate_limit_error","message":"m"}}`,
			headers: []string{"anthropic-ratelimit-unified-status", "rejected", "anthropic-ratelimit-unified-reset", "1795615200", "anthropic-ratelimit-unified-5h-status", "rejected", "anthropic-ratelimit-unified-5h-reset", "1795615200",
				"anthropic-ratelimit-unified-7d-status", "allowed", "anthropic-ratelimit-unified-7d-reset", "1796000000", "anthropic-ratelimit-unified-overage-status", "rejected", "anthropic-ratelimit-unified-overage-reset", "1797000000"}, scope: Connection, reason: QuotaSpent, after: 2 * time.Hour},
		{name: "the later of two windows", format: anthropic, provider: "anthropic", status: 429, body: `{"type":"error","error":{"type":"rate_limit_error","message":"m"}}`,
			headers: []string{"anthropic-ratelimit-unified-5h-status", "rejected", "anthropic-ratelimit-unified-5h-reset", "1795608180", "anthropic-ratelimit-unified-7d-status", "rejected", "anthropic-ratelimit-unified-7d-reset", "1795694400"}, scope: Connection, reason: QuotaSpent, after: 24 * time.Hour},
		{name: "long context costs extra", format: anthropic, provider: "anthropic", status: 429, body: `{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required for long context requests."}}`, scope: Request, reason: ContextLength},
		{name: "no credit", format: anthropic, provider: "anthropic", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`, scope: Connection, reason: QuotaSpent},
		{name: "own limit", format: anthropic, provider: "anthropic", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}}`, scope: Connection, reason: QuotaSpent, after: 132 * time.Hour},
		{name: "overloaded", format: anthropic, provider: "anthropic", status: 529, body: `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, scope: Provider, reason: Overloaded},
		{name: "overloaded in a stream", format: anthropic, provider: "anthropic", body: `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, scope: Provider, reason: Overloaded},
		{name: "too large", format: anthropic, provider: "anthropic", status: 413, body: `{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}`, scope: Request, reason: TooLarge},
		{name: "a tool without an answer", format: anthropic, provider: "anthropic", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"messages.3: tool_use ids were found without tool_result blocks: check_api_key_quota"}}`, scope: Request, reason: Rejected},

		// Google
		{name: "wrong key", format: gemini, provider: "gemini", status: 400, body: `{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}`, scope: Connection, reason: Unauthorized},
		{name: "quota of a minute", format: gemini, provider: "gemini", status: 429, body: `{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier","quotaValue":"10"}]}]}}`, scope: Connection, reason: RateLimited, after: time.Minute},
		{name: "quota of a minute with its delay", format: gemini, provider: "gemini", status: 429, body: `{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel","quotaValue":"10"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"26.5s"}]}}`, scope: Connection, reason: RateLimited, after: 26500 * time.Millisecond},
		{name: "quota of a day", format: gemini, provider: "gemini", status: 429, body: `{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"20"}]},{"retryDelay":"36s"}]}}`, scope: Connection, reason: QuotaSpent, after: 20 * time.Hour},
		{name: "quota of nothing", format: gemini, provider: "gemini", status: 429, body: `{"error":{"code":429,"message":"You exceeded your current quota.\n* Quota exceeded for metric: free_tier_requests, limit: 0, model: gemini-x\nPlease retry in 14.1s.","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"retryDelay":"14s"}]}}`, scope: Connection, reason: RateLimited, after: 20 * time.Hour},
		{name: "capacity", format: gemini, provider: "vertex", status: 429, body: `[{"error":{"code":429,"message":"No capacity available for model x","status":"RESOURCE_EXHAUSTED","details":[{"reason":"MODEL_CAPACITY_EXHAUSTED"},{"retryDelay":"3s"}]}}]`, scope: Provider, reason: Overloaded, after: 3 * time.Second},
		{name: "a share of days", format: gemini, provider: "gemini-cli", status: 429, body: `{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"reason":"QUOTA_EXHAUSTED","metadata":{"quotaResetDelay":"3600.5s"}}]}}`, scope: Connection, reason: QuotaSpent, after: 3600500 * time.Millisecond},
		{name: "in a string", format: "", provider: "gemini", status: 429, body: `{"error":{"message":"{\n \"error\": {\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"violations\":[{\"quotaId\":\"XPerDay\"}]}]}}","code":429,"status":"Too Many Requests"}}`, scope: Connection, reason: QuotaSpent, after: 20 * time.Hour},
		{name: "location", format: gemini, provider: "gemini", status: 400, body: `{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}`, scope: Connection, reason: Region},
		{name: "a precondition of the request", format: gemini, provider: "gemini", status: 400, body: `{"error":{"code":400,"message":"Precondition check failed.","status":"FAILED_PRECONDITION"}}`, scope: Request, reason: Rejected},
		{name: "permission for a model", format: gemini, provider: "vertex", status: 403, body: `{"error":{"code":403,"message":"Permission denied (or it may not exist).","status":"PERMISSION_DENIED","details":[{"reason":"IAM_PERMISSION_DENIED","metadata":{"resource":"projects/p/locations/l/publishers/google/models/m"}}]}}`, scope: Connection, reason: Forbidden},
		{name: "permission for a project", format: gemini, provider: "vertex", status: 403, body: `{"error":{"code":403,"message":"Permission denied.","status":"PERMISSION_DENIED","details":[{"reason":"IAM_PERMISSION_DENIED","metadata":{"resource":"projects/p"}}]}}`, scope: Connection, reason: Forbidden},
		{name: "overloaded", format: gemini, provider: "gemini", status: 503, body: `{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}`, scope: Provider, reason: Overloaded},
		{name: "a bad schema", format: gemini, provider: "gemini", status: 400, body: `{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"api key quota\"","status":"INVALID_ARGUMENT"}}`, scope: Request, reason: Rejected},

		// OpenRouter
		{name: "own limit", provider: "openrouter", status: 429, body: `{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1795611600000"},"provider_name":null}}}`, scope: Connection, reason: RateLimited, after: time.Hour},
		{name: "own limit in the headers", provider: "openrouter", status: 429, body: `{"error":{"message":"Rate limit exceeded","code":429}}`, headers: []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795608060000"}, scope: Connection, reason: RateLimited, after: time.Minute},
		{name: "the limit of one it relays to", provider: "openrouter", status: 429, body: `{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"z/m is temporarily rate-limited upstream. Please retry shortly.","provider_name":"P"}}}`, scope: Model, reason: RateLimited},
		{name: "the money of one it relays to", provider: "openrouter", status: 429, body: `{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"message\":\"Your account is suspended due to insufficient balance\",\"type\":\"exceeded_current_quota_error\"}}","provider_name":"Moonshot AI"}}}`, scope: Model, reason: QuotaSpent},
		{name: "the key of one it relays to", provider: "openrouter", status: 401, body: `{"error":{"message":"Provider returned error","code":401,"metadata":{"raw":"{\"error\":{\"code\":\"invalid_api_key\"}}","provider_name":"P"}}}`, scope: Model, reason: Unauthorized},
		{name: "a bad request that was relayed", provider: "openrouter", status: 400, body: `{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"messages: at least one message is required\"}}","provider_name":"Anthropic"}}}`, scope: Request, reason: Rejected},
		{name: "context that was relayed", provider: "openrouter", status: 400, body: `{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"m\"}}","provider_name":"OpenAI"}}}`, scope: Request, reason: ContextLength},
		{name: "moderation", provider: "openrouter", status: 403, body: `{"error":{"code":403,"message":"Your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"x","provider_name":"OpenAI"}}}`, scope: Request, reason: ContentPolicy},
		{name: "credits", provider: "openrouter", status: 402, body: `{"error":{"message":"This request requires more credits.","code":402}}`, scope: Connection, reason: QuotaSpent},
		{name: "in a stream", provider: "openrouter", body: `{"error":{"code":502,"message":"Provider disconnected"}}`, scope: Provider, reason: ServerError},
		{name: "no tools", provider: "openrouter", status: 404, body: `{"error":{"message":"No endpoints found that support tool use.","code":404}}`, scope: Request, reason: Unsupported},
		{name: "no such model", provider: "openrouter", status: 400, body: `{"error":{"message":"a/b is not a valid model ID","code":400}}`, scope: Model, reason: ModelUnavailable},

		// Others
		{name: "a wait in prose", provider: "groq", status: 429, body: `{"error":{"message":"Rate limit reached for model m on tokens per day (TPD). Please try again in 7m12.5s.","type":"tokens","code":"rate_limit_exceeded"}}`, scope: Connection, reason: RateLimited, after: 7*time.Minute + 12500*time.Millisecond},
		{name: "too many tokens at once", provider: "groq", status: 413, body: `{"error":{"message":"Request too large for model m on tokens per minute (TPM)","type":"tokens","code":"rate_limit_exceeded"}}`, scope: Request, reason: TooLarge},
		{name: "a call that the model spoilt", provider: "groq", body: `{"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"x"}}`, scope: Request, reason: GenerationFailed},
		{name: "flex tier", provider: "groq", status: 498, body: `{"error":{"message":"Over capacity"}}`, scope: Provider, reason: Overloaded},
		{name: "limit", provider: "azure", status: 429, body: `{"error":{"code":"RateLimitReached","message":"Requests to the deployment have exceeded the limit. Please retry after 26 seconds."}}`, scope: Connection, reason: RateLimited, after: 26 * time.Second},
		{name: "peak load", provider: "azure", status: 429, body: `{"error":{"code":"429","message":"The system is currently experiencing high demand."}}`, scope: Provider, reason: Overloaded},
		{name: "policy", provider: "azure", status: 400, body: `{"error":{"message":"The response was filtered.","code":"bad","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, scope: Request, reason: ContentPolicy},
		{name: "no deployment", provider: "azure", status: 404, body: `{"error":{"code":"DeploymentNotFound","message":"m"}}`, scope: Model, reason: ModelUnavailable},
		{name: "throttled", provider: "bedrock", status: 429, body: `{"message":"Too many tokens, please wait before trying again."}`, headers: []string{"x-amzn-errortype", "ThrottlingException:http://a.test/"}, scope: Connection, reason: RateLimited},
		{name: "throttled with a wrong status", provider: "bedrock", status: 400, body: `{"__type":"com.amazon.coral.availability#ThrottlingException","message":"Rate exceeded"}`, scope: Connection, reason: RateLimited},
		{name: "no access to a model", provider: "bedrock", status: 403, body: `{"__type":"AccessDeniedException","message":"You don't have access to the model with the specified model ID."}`, scope: Model, reason: NotEntitled},
		{name: "no access", provider: "bedrock", status: 403, body: `{"__type":"AccessDeniedException","message":"User is not authorized."}`, scope: Connection, reason: Forbidden},
		{name: "a bad parameter", provider: "bedrock", status: 400, body: `{"__type":"ValidationException","message":"Malformed input request: quota, please reformat"}`, scope: Request, reason: Rejected},
		{name: "balance", provider: "deepseek", status: 402, body: `{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}`, scope: Connection, reason: QuotaSpent},
		{name: "no such model", provider: "deepseek", status: 400, body: `{"error":{"message":"Model Not Exist","type":"invalid_request_error","code":"invalid_request_error"}}`, scope: Model, reason: ModelUnavailable},
		{name: "balance as a limit", provider: "moonshot", status: 429, body: `{"error":{"message":"Your account is suspended due to insufficient balance","type":"exceeded_current_quota_error"}}`, scope: Connection, reason: QuotaSpent},
		{name: "overload as a limit", provider: "moonshot", status: 429, body: `{"error":{"message":"The engine is currently overloaded, please try again later","type":"engine_overloaded_error"}}`, scope: Provider, reason: Overloaded},
		{name: "terminated", provider: "moonshot", status: 403, body: `{"error":{"message":"Access terminated.","type":"access_terminated_error"}}`, scope: Connection, reason: Forbidden},
		{name: "balance as a limit", provider: "zai", status: 429, body: `{"error":{"code":"1113","message":"Insufficient balance or no resource package. Please recharge."}}`, scope: Connection, reason: QuotaSpent},
		{name: "balance in prose", format: anthropic, provider: "zai", status: 429, body: `{"type":"error","error":{"type":"rate_limit_error","message":"[1113][Insufficient balance or no resource package. Please recharge.]"}}`, scope: Connection, reason: QuotaSpent},
		{name: "capacity", provider: "zai", status: 429, body: `{"error":{"code":"1305","message":"The model is at max capacity."}}`, scope: Provider, reason: Overloaded},
		{name: "wrong key", provider: "xai", status: 400, body: `{"code":"invalid-argument","error":"Incorrect API key provided: a***b."}`, scope: Connection, reason: Unauthorized},
		{name: "bad parameter", provider: "xai", status: 400, body: `{"code":"invalid-argument","error":"Argument not valid: Incorrect API key provided"}`, scope: Request, reason: Rejected},
		{name: "credits", provider: "xai", status: 429, body: `{"code":"Some resource has been exhausted","error":"Your team has either used all available credits or reached its monthly spending limit."}`, scope: Connection, reason: QuotaSpent},
		{name: "wrong key", provider: "mistral", status: 401, body: `{"detail":"Unauthorized"}`, scope: Connection, reason: Unauthorized},
		{name: "bad parameter", provider: "mistral", status: 422, body: `{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required","input":{"api key":"quota"}}]}`, scope: Request, reason: Rejected},
		{name: "capacity", provider: "mistral", status: 429, body: `{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","code":"3505"}`, scope: Provider, reason: Overloaded},
		{name: "context", provider: "perplexity", status: 400, body: `{"error":{"message":"Too much.","type":"too_many_prompt_tokens","code":400}}`, scope: Request, reason: ContextLength},
		{name: "not pulled", format: ollama, provider: "ollama", status: 404, body: `{"error":"model \"m\" not found, try pulling it first"}`, scope: Model, reason: ModelUnavailable},
		{name: "no tools", format: ollama, provider: "ollama", status: 400, body: `{"error":"library/m does not support tools"}`, scope: Request, reason: Unsupported},
		{name: "no memory", format: ollama, provider: "ollama", status: 500, body: `{"error":"model requires more system memory (8 GiB) than is available (2 GiB)"}`, scope: Model, reason: ModelUnavailable},
		{name: "loading", provider: "huggingface", status: 503, body: `{"error":"Model m is currently loading","estimated_time":20.5}`, scope: Provider, reason: Overloaded, after: 20500 * time.Millisecond},
		{name: "no such path", provider: "vllm", status: 404, body: `{"detail":"Not Found"}`, scope: Provider, reason: Misconfigured},
		{name: "no such path", provider: "llamacpp", status: 404, body: `{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}`, scope: Provider, reason: Misconfigured},
		{name: "no such path, plain", provider: "node", status: 404, body: `404 page not found`, scope: Provider, reason: Misconfigured},
		{name: "no such path, nothing", provider: "node", status: 404, scope: Provider, reason: Misconfigured},
		{name: "no such path, a page about models", provider: "node", status: 404, body: `<html><title>Our models</title></html>`, scope: Provider, reason: Misconfigured},
		{name: "no such model, plain", provider: "node", status: 404, body: `model not found`, scope: Model, reason: ModelUnavailable},
		{name: "a wall", provider: "node", status: 403, body: `<!DOCTYPE html><h1>You have been blocked</h1>`, scope: Provider, reason: Blocked},
		{name: "a redirect", provider: "node", status: 302, scope: Provider, reason: Misconfigured},
		{name: "a bad gateway's page", provider: "node", status: 502, body: `<html>`, scope: Provider, reason: ServerError},
		{name: "out of time", provider: "node", status: 504, scope: Provider, reason: Timeout},

		// Gateways that wrap
		{name: "a bad request within a server error", provider: "node", status: 500, body: `{"error":{"message":"litellm.BadRequestError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"max_tokens: too big\"}}","type":null,"code":null}}`, scope: Request, reason: Rejected},
		{name: "a status within a server error", provider: "node", status: 500, body: `{"error":{"message":"Upstream said no.","code":"400"}}`, scope: Request, reason: Rejected},
		{name: "an error before more words", provider: "node", status: 500, body: `{"error":{"message":"Error from provider: {\"error\":{\"code\":\"1113\",\"message\":\"m\"}}Error: at x","type":"api_error"}}`, scope: Model, reason: QuotaSpent},
		{name: "a time in the text of a server error", provider: "node", status: 500, body: `{"error":{"message":"Failed: {\"retry_after\":86400}, retry in 3 days"}}`, scope: Provider, reason: ServerError},
		{name: "what a server error quotes", provider: "node", status: 500, body: `{"error":{"message":"Could not parse {\"error\":{\"code\":\"insufficient_quota\"}}"}}`, scope: Provider, reason: ServerError},
		{name: "errors within errors", provider: "node", status: 502, body: `{"error":{"error":{"error":{"code":"context_length_exceeded","message":"m"}}}}`, scope: Request, reason: ContextLength},
		{name: "an error in what began as a success", provider: "node", status: 200, body: `{"error":{"code":429,"message":"slow down"}}`, scope: Connection, reason: RateLimited},
	}
	table := table(t)
	for _, c := range cases {
		t.Run(c.provider+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			got := table.Classify(answer(c.format, c.provider, c.status, c.body, c.headers...), now)
			if got.Scope != c.scope || got.Reason != c.reason {
				t.Errorf("got %s %s, want %s %s", got.Scope, got.Reason, c.scope, c.reason)
			}
			if d := got.After - c.after; d > time.Millisecond || d < -time.Millisecond {
				t.Errorf("to be left alone for %v, want %v", got.After, c.after)
			}
		})
	}
}

// A client cannot set an account aside by what it writes.
func TestWordsOfARequestBlameNobody(t *testing.T) {
	t.Parallel()
	table := table(t)
	words := []string{
		"Invalid value: 'Incorrect API key provided'.",
		"Unknown parameter: 'you exceeded your current quota'.",
		"messages.0: rate limit exceeded, insufficient_quota, overloaded, 429",
		"Invalid 'metadata': your credit balance is too low to access the Anthropic API",
		"Could not parse: {\"error\":{\"code\":\"insufficient_quota\",\"status\":429}}",
		"{\"error\":{\"code\":\"invalid_api_key\",\"type\":\"authentication_error\",\"status\":401}}",
		"[{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"violations\":[{\"quotaId\":\"PerDay\"}]}]}}]",
		"Tool schema names #per_day and #window_spent.",
		"Invalid JSON near: user location is not supported, limit: 0",
	}
	for _, format := range []string{"openai-chat", "openai-responses", "anthropic-messages", "gemini", "ollama", "cohere"} {
		for _, status := range []int{0, 400, 413, 422} {
			for _, w := range words {
				e := &translate.Error{Status: status, Kind: translate.InvalidRequest, Type: "invalid_request_error", Message: w}
				body := string(codecs[format].AppendError(nil, e))
				if status == 0 && (format == "ollama" || format == "cohere") {
					continue // these state no kind of error
				}
				got := table.Classify(answer(format, "p", status, body), now)
				if got.Scope != Request || got.After != 0 {
					t.Errorf("%s, status %d, %s: got %s %s", format, status, body, got.Scope, got.Reason)
				}
			}
		}
	}
}

// What the guarantee above rests on: where a request was found wanting, prose is
// not believed against anybody else, unless it stands beside a code, or at the
// beginning or end, where providers have words of their own.
func TestRulesDoNotBelieveProseOfRejections(t *testing.T) {
	t.Parallel()
	for i, r := range byWords {
		for _, c := range r.codes {
			if !strings.HasPrefix(c, "#") && squeeze(c) != c {
				t.Errorf("rule %d: the code %q can never be met", i, c)
			}
		}
		for _, s := range r.says {
			if strings.ToLower(s) != s {
				t.Errorf("rule %d: the words %q can never be met", i, s)
			}
		}
		if r.fault.Scope == Request || len(r.codes) > 0 || len(r.says) == 0 {
			continue
		}
		careful := len(r.statuses) > 0
		for _, s := range r.statuses {
			careful = careful && s != 0 && !slices.Contains(rejections, s)
			if s == 404 && (r.fault.Scope == Model || r.fault.Reason == Misconfigured) {
				careful = true
			}
		}
		for _, s := range r.says {
			if !careful && !strings.HasPrefix(s, "^") && !strings.HasSuffix(s, "$") {
				t.Errorf("rule %d believes %q with statuses %v against the %s", i, s, r.statuses, r.fault.Scope)
			}
		}
	}
}

func TestWhatAFaultMeans(t *testing.T) {
	t.Parallel()
	table := table(t)
	classify := func(status int, body string, headers ...string) Fault {
		return table.Classify(answer("", "p", status, body, headers...), now)
	}
	key, rate := classify(401, `{}`), classify(429, `{}`)
	if key.Pause <= time.Minute || rate.Pause != 0 {
		t.Errorf("a wrong key rests for %v, a limit for %v", key.Pause, rate.Pause)
	}
	if soon, later := classify(402, `{}`, "Retry-After", "20"), classify(402, `{}`); soon.Final || !later.Final {
		t.Errorf("what is over soon is worth a retry: %+v, %+v", soon, later)
	}
	if !key.Final || rate.Final {
		t.Error("a wrong key is final and a limit is not")
	}
	if key.ThisModel || !rate.ThisModel {
		t.Error("a key is for all models and a limit of rate for one")
	}
	if long := classify(413, `{}`); !long.Elsewhere || !long.Final {
		t.Errorf("too long here may be short enough elsewhere: %+v", long)
	}
	if bad := classify(400, `{"error":{"type":"invalid_request_error"}}`, "Retry-After", "20"); bad.Elsewhere || !bad.Final || bad.After != 0 {
		t.Errorf("a bad request is bad everywhere and always: %+v", bad)
	}
	opus := classify(429, `{}`, "anthropic-ratelimit-unified-status", "rejected", "anthropic-ratelimit-unified-7d_opus-status", "rejected", "anthropic-ratelimit-unified-7d_opus-reset", "1795611600")
	if !opus.ThisModel || opus.Reason != QuotaSpent || opus.After != time.Hour {
		t.Errorf("a window of some models: %+v", opus)
	}
	both := classify(429, `{}`, "anthropic-ratelimit-unified-5h-status", "rejected", "anthropic-ratelimit-unified-5h-reset", "1795608060", "anthropic-ratelimit-unified-7d_opus-status", "rejected", "anthropic-ratelimit-unified-7d_opus-reset", "1795611600")
	if both.ThisModel || both.After != time.Minute {
		t.Errorf("a window of all models, beside one of some: %+v", both)
	}
}

// However much a body holds, a little of it is looked at, and the status remains.
func TestBodiesThatAreMeantToHurt(t *testing.T) {
	t.Parallel()
	table := table(t)
	deep := `{"error":{"code":"insufficient_quota"}}`
	for range maxDepth + 2 {
		deep = string(openai.Codec{}.AppendError(nil, &translate.Error{Kind: translate.ServerError, Message: deep}))
	}
	for name, body := range map[string]string{
		"errors in errors": strings.Repeat(`{"error":`, 6000) + `1` + strings.Repeat(`}`, 6000),
		"lists in lists":   strings.Repeat(`[`, 32000) + strings.Repeat(`]`, 32000),
		"texts in texts":   deep,
		"many members":     `{` + strings.Repeat(`"a":1,`, 10000) + `"b":1}`,
		"many brackets":    `{"error":{"message":": ` + strings.Repeat(`{`, 60000) + `"}}`,
		"many details":     `{"error":{"details":[` + strings.Repeat(`{},`, 20000) + `{"violations":[{"quotaId":"PerDay"}]}]}}`,
		"a long code":      `{"error":{"code":"` + strings.Repeat("x", 60000) + `"}}`,
		"not UTF-8":        "{\"error\":{\"message\":\"\xff\xfe\",\"code\":\"\xff\"}}",
	} {
		for format := range codecs {
			if got := table.Classify(answer(format, "p", 500, body), now); got.Reason != ServerError {
				t.Errorf("%s, %s: got %+v", name, format, got)
			}
		}
	}
}

func TestWithoutABodyTheDecodedErrorCounts(t *testing.T) {
	t.Parallel()
	table := table(t)
	a := &Answer{Status: 429, Err: &translate.Error{Status: 429, Type: "RESOURCE_EXHAUSTED", Message: "m", Details: `[{"violations":[{"quotaId":"XPerDay"}]}]`}}
	if got := table.Classify(a, now); got.Reason != QuotaSpent || got.After != 20*time.Hour {
		t.Errorf("got %+v", got)
	}
	if got := table.Classify(&Answer{Status: 401}, now); got.Reason != Unauthorized {
		t.Errorf("with nothing but a status: %+v", got)
	}
	if got := table.Classify(&Answer{}, now); got.Scope != Provider {
		t.Errorf("with nothing: %+v", got)
	}
	long := &Answer{Status: 500, Body: []byte(`{"error":{"code":"context_length_exceeded","x":"` + strings.Repeat("x", maxBody) + `"}}`), Err: &translate.Error{Status: 500, Code: "context_length_exceeded"}}
	if got := table.Classify(long, now); got.Reason != ContextLength {
		t.Errorf("with a body that is too long: %+v", got)
	}
}
