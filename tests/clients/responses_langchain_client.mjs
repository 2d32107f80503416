// LangChain's npm client with the Responses API, for test_one_delivery.py.
import { ChatOpenAI } from "@langchain/openai";
import { main } from "./asking.mjs";

const model = ({ text, baseURL, apiKey, timeout }) =>
  new ChatOpenAI({
    model: text,
    apiKey,
    configuration: { baseURL },
    useResponsesApi: true,
    ...(timeout && { timeout }),
  });

async function* whole(asked) {
  yield (await model(asked).invoke(asked.text)).text;
}

async function* stream(asked) {
  for await (const chunk of await model(asked).stream(asked.text, { signal: asked.signal })) yield chunk.text;
}

await main({ whole, stream });
