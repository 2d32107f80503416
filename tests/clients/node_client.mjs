// What the `openai` npm package makes of the service, printed as JSON: the same as python_client.py.
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const ask = { model: "lettabot", messages: [{ role: "user", content: "What's on my todo list?" }] };

async function refused(key, request) {
  try {
    await new OpenAI({ baseURL, apiKey: key }).chat.completions.create({ ...ask, ...request });
  } catch (error) {
    return { class: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
  throw new Error("it was not refused");
}

async function folded(stream) {
  const deltas = [];
  let finish = null;
  for await (const chunk of stream) {
    deltas.push(chunk.choices[0].delta);
    finish = chunk.choices[0].finish_reason;
  }
  const calls = deltas.flatMap((delta) => delta.tool_calls ?? []);
  return {
    role: deltas[0].role,
    text: deltas.map((delta) => delta.content ?? "").join(""),
    call_id: calls[0].id,
    call_type: calls[0].type,
    call_name: calls[0].function.name,
    call_arguments: JSON.parse(calls.map((call) => call.function.arguments ?? "").join("")),
    finish,
  };
}

await client.chat.completions.create({ ...ask, messages: [{ role: "user", content: "add milk to my todo list" }] });
const answer = await client.chat.completions.create(ask);
const models = [];
for await (const model of client.models.list()) models.push(model.id);
const helper = await client.chat.completions.stream(ask).finalContent();
console.log(
  JSON.stringify({
    models,
    retrieved: (await client.models.retrieve("lettabot")).owned_by,
    sync: answer.choices[0].message.content,
    finish: answer.choices[0].finish_reason,
    usage: answer.usage,
    request_id: answer._request_id,
    stream: await folded(await client.chat.completions.create({ ...ask, stream: true })),
    async: { sync: helper },
    wrong_key: await refused("wrong", {}),
    unknown_model: await refused(apiKey, { model: "nobody" }),
    bad_request: await refused(apiKey, { messages: [{ role: "user", content: "" }] }),
  }),
);
