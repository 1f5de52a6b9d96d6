// Has the official SDKs do a task with a tool through a gateway: its address, a key
// and the models are the arguments. Prints one JSON object a line: sdk, model, text,
// input (what the tool was called with), error.
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import LegacyAnthropic from 'anthropic-sdk-legacy';
import { GoogleGenAI } from '@google/genai';
import { Ollama } from 'ollama';
import { generateText, streamText, jsonSchema, stepCountIs, tool } from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';

const [base, apiKey, ...models] = process.argv.slice(2);
const question = 'What is 40 plus 2?';
const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'], additionalProperties: false };
const description = 'adds 2';

// sum is the tool; what it was called with is kept in the run.
const sum = (run) => (input) => {
  run.input = input;
  return String(input.a + 2);
};

const aiTools = (run) => ({ sum: tool({ description, inputSchema: jsonSchema(schema), execute: async (input) => sum(run)(input) }) });

async function aiSDK(model, run) {
  const options = { model, prompt: question, tools: aiTools(run), stopWhen: stepCountIs(4), maxRetries: 0 };
  const { text } = await generateText(options);
  let streamed = '';
  const { fullStream } = streamText({ ...options, onError() {} });
  for await (const part of fullStream) {
    if (part.type === 'text-delta') streamed += part.text;
    if (part.type === 'error') throw part.error;
  }
  if (streamed !== text) throw new Error(`streamed ${streamed}`);
  return text;
}

// anthropic uses the tool runner, which in the new SDK goes by message threads.
async function anthropicRunner(SDK, model, run, stream) {
  const client = new SDK({ baseURL: base, apiKey, maxRetries: 0 });
  const runner = client.beta.messages.toolRunner({
    model, max_tokens: 1000, stream,
    messages: [{ role: 'user', content: question }],
    tools: [{ name: 'sum', description, input_schema: schema, run: (input) => sum(run)(input), parse: (input) => input }],
  });
  const last = stream ? await (async () => { let m; for await (const s of runner) m = await s.finalMessage(); return m; })() : await runner;
  return last.content.filter((b) => b.type === 'text').map((b) => b.text).join('');
}

const sdks = {
  async 'openai chat'(model, run) {
    const client = new OpenAI({ baseURL: base + '/v1', apiKey, maxRetries: 0 });
    const runner = client.chat.completions.runTools({
      model, stream: true, messages: [{ role: 'user', content: question }],
      tools: [{ type: 'function', function: { name: 'sum', description, parameters: schema, parse: JSON.parse, function: sum(run) } }],
    });
    return await runner.finalContent();
  },
  async 'openai responses'(model, run) {
    const client = new OpenAI({ baseURL: base + '/v1', apiKey, maxRetries: 0 });
    const tools = [{ type: 'function', name: 'sum', description, parameters: schema, strict: true }];
    let r = await client.responses.stream({ model, input: question, tools }).finalResponse();
    const call = r.output.find((i) => i.type === 'function_call');
    const output = [{ type: 'function_call_output', call_id: call.call_id, output: sum(run)(JSON.parse(call.arguments)) }];
    r = await client.responses.create({ model, previous_response_id: r.id, input: output, tools });
    return r.output_text;
  },
  'anthropic': (model, run) => anthropicRunner(Anthropic, model, run, false),
  'anthropic, streamed': (model, run) => anthropicRunner(Anthropic, model, run, true),
  'anthropic, old': (model, run) => anthropicRunner(LegacyAnthropic, model, run, true),
  async 'google'(model, run) {
    const client = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: base } });
    const config = {
      tools: [{ callTool: async (calls) => calls.map((c) => ({ functionResponse: { id: c.id, name: c.name, response: { output: sum(run)(c.args) } } })),
        tool: async () => ({ functionDeclarations: [{ name: 'sum', description, parametersJsonSchema: schema }] }) }],
    };
    let streamed = '';
    for await (const chunk of await client.models.generateContentStream({ model, contents: question, config })) streamed += chunk.text ?? '';
    const { text } = await client.models.generateContent({ model, contents: question, config });
    if (streamed !== text) throw new Error(`streamed ${streamed}`);
    return text;
  },
  async 'ollama'(model, run) {
    const client = new Ollama({ host: base, headers: { Authorization: `Bearer ${apiKey}` } });
    const messages = [{ role: 'user', content: question }];
    const tools = [{ type: 'function', function: { name: 'sum', description, parameters: schema } }];
    for (;;) {
      const { message } = await client.chat({ model, messages, tools });
      messages.push(message);
      if (!message.tool_calls?.length) return message.content;
      for (const c of message.tool_calls) messages.push({ role: 'tool', tool_name: c.function.name, content: sum(run)(c.function.arguments) });
    }
  },
  'ai openai': (model, run) => aiSDK(createOpenAI({ baseURL: base + '/v1', apiKey })(model), run),
  'ai openai chat': (model, run) => aiSDK(createOpenAI({ baseURL: base + '/v1', apiKey }).chat(model), run),
  'ai openai-compatible': (model, run) => aiSDK(createOpenAICompatible({ name: 'gw', baseURL: base + '/v1', apiKey })(model), run),
  'ai anthropic': (model, run) => aiSDK(createAnthropic({ baseURL: base + '/v1', apiKey })(model), run),
  'ai google': (model, run) => aiSDK(createGoogleGenerativeAI({ baseURL: base + '/v1beta', apiKey })(model), run),
};

console.warn = console.error = () => {};
globalThis.AI_SDK_LOG_WARNINGS = false;

for (const model of models) {
  for (const [sdk, work] of Object.entries(sdks)) {
    const run = { sdk, model };
    try {
      run.text = await work(model, run);
    } catch (e) {
      run.error = `${e?.name}: ${e?.message ?? e} ${e?.responseBody ?? ''}`.slice(0, 800);
    }
    console.log(JSON.stringify(run));
  }
}
process.exit(0);
