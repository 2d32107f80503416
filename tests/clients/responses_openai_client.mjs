// The `openai` npm package with its Responses API, for test_one_delivery.py. Its stream helper is the strictest one.
import OpenAI from "openai";
import { main } from "./asking.mjs";

const client = ({ baseURL, apiKey, timeout }) => new OpenAI({ baseURL, apiKey, ...(timeout && { timeout }) });
const request = ({ text }) => ({ model: text, input: text });

async function* whole(asked) {
  const response = await client(asked).responses.create(request(asked));
  yield response.output_text;
  if (response.error) throw new Error(response.error.message);
}

async function* stream(asked) {
  const { signal } = asked;
  for await (const event of client(asked).responses.stream(request(asked), { signal })) {
    if (event.type === "response.output_text.delta") yield event.delta;
    else if (event.type === "response.failed") throw new Error(event.response.error.message);
  }
}

await main({ whole, stream });
