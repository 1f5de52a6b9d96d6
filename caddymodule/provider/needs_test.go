package provider_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/translate"
)

func TestNeeds(t *testing.T) {
	t.Parallel()
	const (
		none   = ""
		vision = "vision"
		audio  = "audio"
		files  = "files"
		tools  = "tools"
		schema = "structured"
	)
	for name, c := range map[string]struct {
		format translate.Format
		body   string
		want   string
	}{
		"openai, text":             {translate.OpenAI, `{"model":"m","messages":[{"role":"user","content":"hi"}]}`, none},
		"openai, image":            {translate.OpenAI, `{"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}`, vision},
		"openai, order and spaces": {translate.OpenAI, "{ \"messages\" : [ { \"content\" : [ { \"image_url\" : { } ,\n\t\"type\"\t: \"image_url\" } ] } ] }", vision},
		"openai, sound":            {translate.OpenAI, `{"messages":[{"content":[{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]}]}`, audio},
		"openai, file":             {translate.OpenAI, `{"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}`, files},
		"openai, tools":            {translate.OpenAI, `{"messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}`, tools},
		"openai, old functions":    {translate.OpenAI, `{"functions":[{"name":"f"}]}`, tools},
		"openai, no tools":         {translate.OpenAI, `{"tools":[],"response_format":{"type":"text"}}`, none},
		"openai, null":             {translate.OpenAI, `{"tools":null,"messages":null,"response_format":null}`, none},
		"openai, schema":           {translate.OpenAI, `{"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}}}`, schema},
		"openai, any JSON":         {translate.OpenAI, `{"response_format":{"type":"json_object"}}`, none},
		"openai, everything": {translate.OpenAI, `{"response_format":{"type":"json_schema"},"tools":[{}],"messages":[{"content":[{"type":"file"},{"type":"input_audio"}]},{"content":[{"type":"image_url"}]}]}`,
			"vision audio files tools structured"},

		"responses, text":       {translate.Responses, `{"input":"hi"}`, none},
		"responses, image":      {translate.Responses, `{"input":[{"type":"message","role":"user","content":[{"type":"input_image","image_url":"data:x"}]}]}`, vision},
		"responses, result":     {translate.Responses, `{"input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"data:x"}]}]}`, vision},
		"responses, screenshot": {translate.Responses, `{"input":[{"type":"computer_call_output","output":{"type":"computer_screenshot","image_url":"data:x"}}]}`, vision},
		"responses, file":       {translate.Responses, `{"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]}`, files},
		"responses, sound":      {translate.Responses, `{"input":[{"role":"user","content":[{"type":"input_audio"}]}]}`, audio},
		"responses, tools":      {translate.Responses, `{"input":"hi","tools":[{"type":"web_search"}]}`, tools},
		"responses, more tools": {translate.Responses, `{"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"namespace"}]}]}`, tools},
		"responses, schema":     {translate.Responses, `{"input":"hi","text":{"format":{"type":"json_schema","name":"n","schema":{}}}}`, schema},

		"anthropic, text":       {translate.Anthropic, `{"messages":[{"role":"user","content":"hi"}]}`, none},
		"anthropic, image":      {translate.Anthropic, `{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}]}]}`, vision},
		"anthropic, result":     {translate.Anthropic, `{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{}}]}]}]}`, vision},
		"anthropic, document":   {translate.Anthropic, `{"messages":[{"content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AA"}}]}]}`, files},
		"anthropic, plain text": {translate.Anthropic, `{"messages":[{"content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}]}]}`, none},
		"anthropic, tools":      {translate.Anthropic, `{"tools":[{"name":"t","input_schema":{}}]}`, tools},
		"anthropic, schema":     {translate.Anthropic, `{"output_config":{"effort":"high","format":{"type":"json_schema","schema":{}}}}`, schema},
		"anthropic, effort":     {translate.Anthropic, `{"output_config":{"effort":"high"}}`, none},

		"gemini, text":    {translate.Gemini, `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`, none},
		"gemini, image":   {translate.Gemini, `{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]}]}`, vision},
		"gemini, snake":   {translate.Gemini, `{"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"AA"}}]}]}`, vision},
		"gemini, alone":   {translate.Gemini, `{"contents":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]}}`, vision},
		"gemini, sound":   {translate.Gemini, `{"contents":[{"parts":[{"inlineData":{"mimeType":"audio/mp3","data":"AA"}}]}]}`, audio},
		"gemini, PDF":     {translate.Gemini, `{"contents":[{"parts":[{"fileData":{"mimeType":"application/pdf","fileUri":"u"}}]}]}`, files},
		"gemini, a note":  {translate.Gemini, `{"contents":[{"parts":[{"inlineData":{"mimeType":"text/plain","data":"AA"}}]}]}`, none},
		"gemini, unnamed": {translate.Gemini, `{"contents":[{"parts":[{"fileData":{"fileUri":"u"}}]}]}`, none},
		"gemini, result":  {translate.Gemini, `{"contents":[{"parts":[{"functionResponse":{"name":"f","response":{},"parts":[{"inlineData":{"mimeType":"image/png"}}]}}]}]}`, vision},
		"gemini, tools":   {translate.Gemini, `{"tools":[{"functionDeclarations":[]}]}`, tools},
		"gemini, schema":  {translate.Gemini, `{"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":{"type":"OBJECT"}}}`, schema},
		"gemini, JSON":    {translate.Gemini, `{"generationConfig":{"responseMimeType":"application/json"}}`, none},

		"ollama, text":   {translate.Ollama, `{"messages":[{"role":"user","content":"hi"}],"format":"json"}`, none},
		"ollama, image":  {translate.Ollama, `{"messages":[{"role":"user","content":"hi","images":["AA"]}]}`, vision},
		"ollama, none":   {translate.Ollama, `{"messages":[{"role":"user","content":"hi","images":[]}]}`, none},
		"ollama, prompt": {translate.Ollama, `{"prompt":"hi","images":["AA"]}`, vision},
		"ollama, schema": {translate.Ollama, `{"format":{"type":"object"},"tools":[{}]}`, "tools structured"},

		"no client's format": {provider.Cohere, `{"tools":[{}]}`, none},
		"not JSON":           {translate.OpenAI, `{"messages":[{"content":[{"type":"image_url"`, none},
		"not an object":      {translate.OpenAI, `["image_url"]`, none},
		"nothing":            {translate.OpenAI, ``, none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, a := range provider.Needs(c.format, []byte(c.body)) {
				got = append(got, string(a))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("%s\nneeds %q, want %q", c.body, s, c.want)
			}
		})
	}
}

// People talk about images, and tools have arguments that look like them.
func TestTextIsNoNeed(t *testing.T) {
	t.Parallel()
	var said []string
	for _, s := range []string{
		`"type":"image_url"`, `{"type":"image_url","image_url":{}}`, `[{"type": "image"}]`, `\"type\":\"document\"`, `","type":"image_url","x":"`,
		`image_url`, `image`, `document`, `input_image`, `inlineData`, `images`, `file`, `"images":["x"]`, `{"inlineData":{"mimeType":"image/png"}}`, `"tools":[{}]`, `,"response_format":{"type":"json_schema"}`,
	} {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, string(b))
	}
	for _, s := range said {
		for format, body := range map[translate.Format]string{
			translate.OpenAI: fmt.Sprintf(`{"user":%[1]s,"messages":[{"role":"user","content":%[1]s},{"role":"user","content":[{"type":"text","text":%[1]s}]},
				{"role":"assistant","tool_calls":[{"type":"function","function":{"name":%[1]s,"arguments":%[1]s}}]}]}`, s),
			translate.Responses: fmt.Sprintf(`{"instructions":%[1]s,"input":[{"role":"user","content":%[1]s},{"role":"user","content":[{"type":"input_text","text":%[1]s}]},
				{"type":"function_call","name":%[1]s,"arguments":%[1]s},{"type":"function_call_output","output":%[1]s}]}`, s),
			translate.Anthropic: fmt.Sprintf(`{"system":%[1]s,"messages":[{"role":"user","content":%[1]s},{"role":"user","content":[{"type":"text","text":%[1]s}]},
				{"role":"assistant","content":[{"type":"tool_use","name":"f","input":{"type":"image","blocks":[{"type":"document"}],%[1]s:%[1]s}}]},
				{"role":"user","content":[{"type":"tool_result","content":%[1]s}]}]}`, s),
			translate.Gemini: fmt.Sprintf(`{"systemInstruction":{"parts":[{"text":%[1]s}]},"contents":[{"parts":[{"text":%[1]s},
				{"functionCall":{"name":"f","args":{"inlineData":{"mimeType":"image/png"},%[1]s:%[1]s}}},{"functionResponse":{"name":"f","response":{"inlineData":{"mimeType":"image/png"},"parts":[{"inlineData":{"mimeType":"image/png"}}]}}}]}]}`, s),
			translate.Ollama: fmt.Sprintf(`{"messages":[{"role":"user","content":%[1]s},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"images":["x"],%[1]s:%[1]s}}}]}]}`, s),
		} {
			if !json.Valid([]byte(body)) {
				t.Fatalf("the test is wrong: %s", body)
			}
			if got := provider.Needs(format, []byte(body)); len(got) > 0 {
				t.Errorf("%s says only %s, but needs %v", format, s, got)
			}
		}
	}
}

// Whatever text a user says, it needs nothing more than any other text.
func FuzzNeeds(f *testing.F) {
	f.Add(`"type":"image_url"`)
	f.Add(`\","type":"image","x":"`)
	f.Fuzz(func(t *testing.T, said string) {
		b, err := json.Marshal(said)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []translate.Format{translate.OpenAI, translate.Responses, translate.Anthropic, translate.Gemini, translate.Ollama} {
			if got := provider.Needs(format, fmt.Appendf(nil, `{"messages":[{"role":"user","content":[{"type":"text","text":%[1]s}]}],"input":%[1]s,"contents":[{"parts":[{"text":%[1]s}]}]}`, b)); len(got) > 0 {
				t.Errorf("%s: %q needs %v", format, said, got)
			}
			provider.Needs(format, []byte(said)) // whatever comes, it returns
		}
	})
}

func BenchmarkNeeds(b *testing.B) {
	prose := strings.Repeat("All work and no play makes a dull day. ", 128)
	code := strings.Repeat(`if x[\"type\"] == \"image\" {\n\treturn \"none\"\n}\n`, 100)
	body := func(said, more string) []byte {
		message := `{"role":"user","content":[{"type":"text","text":"` + said + `"}]}`
		return []byte(`{"model":"m","messages":[` + strings.Repeat(message+",", 512<<10/len(message)) + `{"role":"user","content":[` + more + `]}],"tools":[{"type":"function"}]}`)
	}
	for _, c := range []struct {
		name string
		body []byte
		want []provider.Ability
	}{
		{"prose", body(prose, ""), []provider.Ability{provider.Tools}},
		{"code", body(code, ""), []provider.Ability{provider.Tools}},
		{"image", body(prose, `{"type":"image_url","image_url":{"url":"data:image/png;base64,`+strings.Repeat("iVBORw0KGgo", 10_000)+`"}}`), []provider.Ability{provider.Vision, provider.Tools}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				if got := provider.Needs(translate.OpenAI, c.body); !slices.Equal(got, c.want) {
					b.Fatal(got)
				}
			}
		})
	}
}
