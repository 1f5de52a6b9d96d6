package responses

import (
	"strconv"
	"strings"

	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/internal/answer"
	"github.com/nine-router/nine-router/translate/rawjson"
)

// CompactionPrompt asks a model of any format for what OpenAI's own compaction
// does: to shorten a conversation to what is needed to go on with it. See
// https://platform.openai.com/docs/api-reference/responses/compact.
const CompactionPrompt = "The conversation has become too long. Write a summary of all of it, from which the work can go on without it: " +
	"what the user wants, what was decided and why, what was done and found out (with names, paths, values and pieces of code that still matter), " +
	"what is under way, and what is left to do. Answer with the summary alone."

// compactionMark tells, behind the seal, a summary that was made so.
const compactionMark = "compaction:"

// NewCompaction returns an encoder that writes an answer to [CompactionPrompt] as
// a compaction: an item that a client sends in place of what it stands for. Its
// text is opaque to the client, as the provider's own is.
func NewCompaction(o translate.EncodeOptions) translate.Encoder {
	return &answer.DocumentEncoder{AppendError: Codec{}.AppendError, Write: func(b []byte, a *translate.Answer, _ *translate.Losses) []byte {
		var text strings.Builder
		for _, c := range a.Choices {
			for _, k := range c.Blocks {
				if k.Part == translate.Text {
					text.Write(k.Text)
				}
			}
		}
		b = rawjson.AppendMember(append(b, '{'), "id", "resp_"+o.ID)
		b = rawjson.AppendMember(b, "object", "response.compaction")
		b = strconv.AppendInt(rawjson.AppendName(b, "created_at"), o.Created, 10)
		b = append(rawjson.AppendName(b, "output"), `[{"type":"compaction"`...)
		b = rawjson.AppendMember(b, "id", "cmp_"+o.ID)
		b = rawjson.AppendMember(b, "encrypted_content", translate.SealBase64(translate.OpenAI, compactionMark+text.String()))
		return append(appendUsage(append(b, `}],"usage":`...), &a.Usage), '}')
	}}
}

// compacted returns the summary in an item of ours.
func compacted(content string) (string, bool) {
	text, by := translate.OpenSeal(content, translate.Responses)
	summary, ok := strings.CutPrefix(text, compactionMark)
	return "This is a summary of the conversation so far:\n\n" + summary, ok && by == translate.OpenAI
}
