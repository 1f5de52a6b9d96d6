// Has the official SDKs read streams from the server whose address is the first
// argument, and prints what each understood, one JSON object a line: n, sdk, text,
// calls, error. GET /index lists the streams as {n, to}; any request below
// /{to}/{n} is answered with one.
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import LegacyAnthropic from 'anthropic-sdk-legacy';
import { GoogleGenAI } from '@google/genai';
import { Ollama } from 'ollama';
import { streamText, jsonSchema, tool } from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';

const [base] = process.argv.slice(2);
const user = [{ role: 'user', content: 'x' }];
const apiKey = 'none';

async function aiSDK(model) {
  let text = '';
  const calls = [];
  // Tools that the answer may name are not known here; their calls come as they are.
  const { fullStream } = streamText({ model, prompt: 'x', maxRetries: 0, onError() {} });
  for await (const part of fullStream) {
    if (part.type === 'text-delta') text += part.text;
    if (part.type === 'tool-call' && !part.providerExecuted) {
      calls.push({ name: part.toolName, arguments: typeof part.input === 'string' ? part.input : JSON.stringify(part.input ?? {}) });
    }
    if (part.type === 'error') throw part.error;
  }
  return { text, calls };
}

async function anthropic(SDK, url) {
  const client = new SDK({ baseURL: url, apiKey, maxRetries: 0 });
  const message = await client.messages.stream({ model: 'm', max_tokens: 10, messages: user }).finalMessage();
  return {
    text: message.content.filter((b) => b.type === 'text').map((b) => b.text).join(''),
    calls: message.content.filter((b) => b.type === 'tool_use').map((b) => ({ name: b.name, arguments: JSON.stringify(b.input) })),
  };
}

const sdks = {
  openai: {
    async openai(url) {
      const client = new OpenAI({ baseURL: url + '/v1', apiKey, maxRetries: 0 });
      const stream = client.chat.completions.stream({ model: 'm', messages: user });
      const { message } = (await stream.finalChatCompletion()).choices[0];
      return {
        text: message.content ?? '',
        calls: (message.tool_calls ?? []).map((c) => ({ name: c.function?.name ?? c.custom.name, arguments: c.function?.arguments ?? c.custom.input })),
      };
    },
    '@ai-sdk/openai-compatible': (url) => aiSDK(createOpenAICompatible({ name: 'gw', baseURL: url + '/v1', apiKey })('m')),
    '@ai-sdk/openai': (url) => aiSDK(createOpenAI({ baseURL: url + '/v1', apiKey }).chat('m')),
  },
  responses: {
    async openai(url) {
      const client = new OpenAI({ baseURL: url + '/v1', apiKey, maxRetries: 0 });
      const r = await client.responses.stream({ model: 'm', input: 'x' }).finalResponse();
      return {
        text: r.output_text,
        calls: r.output.filter((i) => i.type === 'function_call' || i.type === 'custom_tool_call').map((i) => ({ name: i.name, arguments: i.arguments ?? i.input })),
      };
    },
    '@ai-sdk/openai': (url) => aiSDK(createOpenAI({ baseURL: url + '/v1', apiKey }).responses('m')),
  },
  anthropic: {
    '@anthropic-ai/sdk': (url) => anthropic(Anthropic, url),
    '@anthropic-ai/sdk, old': (url) => anthropic(LegacyAnthropic, url),
    '@ai-sdk/anthropic': (url) => aiSDK(createAnthropic({ baseURL: url + '/v1', apiKey })('m')),
  },
  gemini: {
    async '@google/genai'(url) {
      const client = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } });
      let text = '';
      const calls = [];
      for await (const chunk of await client.models.generateContentStream({ model: 'm', contents: 'x' })) {
        const first = chunk.candidates?.find((c) => (c.index ?? 0) === 0);
        for (const part of first?.content?.parts ?? []) {
          if (part.text && !part.thought) text += part.text;
          if (part.functionCall) calls.push({ name: part.functionCall.name, arguments: JSON.stringify(part.functionCall.args ?? {}) });
        }
      }
      return { text, calls };
    },
    '@ai-sdk/google': (url) => aiSDK(createGoogleGenerativeAI({ baseURL: url + '/v1beta', apiKey })('m')),
  },
  ollama: {
    async ollama(url) {
      let text = '';
      const calls = [];
      for await (const part of await new Ollama({ host: url }).chat({ model: 'm', messages: user, stream: true })) {
        text += part.message.content;
        for (const c of part.message.tool_calls ?? []) calls.push({ name: c.function.name, arguments: JSON.stringify(c.function.arguments) });
      }
      return { text, calls };
    },
  },
};

const silent = () => {};
console.warn = console.error = silent;
globalThis.AI_SDK_LOG_WARNINGS = false;

for (const { n, to } of await (await fetch(base + '/index')).json()) {
  for (const [sdk, read] of Object.entries(sdks[to])) {
    let result;
    try {
      result = await read(`${base}/${to}/${n}`);
    } catch (e) {
      result = { error: `${e?.name}: ${e?.message ?? e}`.slice(0, 600) };
    }
    console.log(JSON.stringify({ n, sdk, ...result }));
  }
}
process.exit(0);
