// The AI SDK with its own provider for OpenAI, which asks for responses; for test_one_delivery.py.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText } from "ai";
import { main } from "./asking.mjs";

const request = ({ text, baseURL, apiKey }, abortSignal) => ({
  model: createOpenAI({ baseURL, apiKey })(text),
  prompt: text,
  stopWhen: stepCountIs(3),
  abortSignal,
});
const impatience = ({ timeout, signal }) => (timeout ? AbortSignal.timeout(timeout) : signal);

async function* whole(asked) {
  yield (await generateText(request(asked, impatience(asked)))).text;
}

async function* stream(asked) {
  const abort = impatience(asked);
  for await (const part of streamText({ ...request(asked, abort), onError: () => {} }).fullStream) {
    if (part.type === "text-delta") yield part.text;
    else if (part.type === "error") throw part.error;
    else if (part.type === "abort") throw abort.reason;
  }
}

await main({ whole, stream });
