// The AI SDK, with a loop of up to three steps, for test_one_delivery.py. What it is asked stands in asking.mjs.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText } from "ai";
import { main } from "./asking.mjs";

const request = ({ text, baseURL, apiKey }, abortSignal) => ({
  model: createOpenAICompatible({ name: "lettabot", baseURL, apiKey })(text),
  prompt: text,
  stopWhen: stepCountIs(3),
  abortSignal,
});
// This is how it is told to time out.
const impatience = ({ timeout, signal }) => (timeout ? AbortSignal.timeout(timeout) : signal);

async function* whole(asked) {
  const answer = await generateText(request(asked, impatience(asked)));
  yield answer.text;
  for (const call of answer.toolCalls) yield { tool: call.toolName };
}

async function* stream(asked) {
  const abort = impatience(asked);
  for await (const part of streamText({ ...request(asked, abort), onError: () => {} }).fullStream) {
    if (part.type === "text-delta") yield part.text;
    else if (part.type === "tool-call" || part.type === "tool-error") yield { tool: part.toolName };
    else if (part.type === "error") throw part.error;
    else if (part.type === "abort") throw abort.reason;
  }
}

await main({ whole, stream });
