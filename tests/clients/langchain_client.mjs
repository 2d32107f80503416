// LangChain's npm client for OpenAI's API, for test_one_delivery.py. What it is asked stands in asking.mjs.
import { ChatOpenAI } from "@langchain/openai";
import { main } from "./asking.mjs";

const model = ({ text, baseURL, apiKey, timeout }) =>
  new ChatOpenAI({ model: text, apiKey, configuration: { baseURL }, ...(timeout && { timeout }) });

async function* whole(asked) {
  const answer = await model(asked).invoke(asked.text);
  yield answer.content;
  for (const call of answer.tool_calls ?? []) yield { tool: call.name };
}

async function* stream(asked) {
  for await (const chunk of await model(asked).stream(asked.text, { signal: asked.signal })) {
    yield chunk.content;
    for (const call of chunk.tool_call_chunks ?? []) if (call.name) yield { tool: call.name };
  }
}

await main({ whole, stream });
