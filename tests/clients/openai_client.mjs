// The `openai` npm package, for test_one_delivery.py. What it is asked stands in asking.mjs.
import OpenAI from "openai";
import { main } from "./asking.mjs";

const client = ({ baseURL, apiKey, timeout }) => new OpenAI({ baseURL, apiKey, ...(timeout && { timeout }) });
const request = ({ text }, more) => ({ model: text, messages: [{ role: "user", content: text }], ...more });

async function* whole(asked) {
  const answer = await client(asked).chat.completions.create(request(asked));
  yield answer.choices[0].message.content;
}

async function* stream(asked) {
  const { signal } = asked;
  const chunks = await client(asked).chat.completions.create(request(asked, { stream: true }), { signal });
  for await (const chunk of chunks) {
    const [{ delta }] = chunk.choices;
    yield delta.content;
    for (const call of delta.tool_calls ?? []) if (call.function?.name) yield { tool: call.function.name };
  }
}

await main({ whole, stream });
