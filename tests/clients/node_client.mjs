// What the `openai` npm package makes of the service, printed as JSON: the same as python_client.py.
//
//     node node_client.mjs answers|failures BASE_URL KEY
import OpenAI from "openai";

const [what, baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const chat = client.chat.completions;

const ask = (content, more) => ({ model: "lettabot", messages: [{ role: "user", content }], ...more });
const ADD = ask("Add milk to my todo list");
const LIST = ask("What's on my todo list?");

function whole(answer) {
  const [choice] = answer.choices;
  return {
    text: choice.message.content,
    role: choice.message.role,
    finish: choice.finish_reason,
    usage: answer.usage,
    request_id: answer._request_id,
  };
}

async function collected(iterable) {
  const all = [];
  for await (const each of iterable) all.push(each);
  return all;
}

function folded(chunks) {
  const deltas = chunks.map((chunk) => chunk.choices[0].delta);
  const calls = deltas.flatMap((delta) => delta.tool_calls ?? []);
  return {
    answers: new Set(chunks.map((chunk) => [chunk.id, chunk.created, chunk.model].join())).size,
    role: deltas[0].role,
    text: deltas.map((delta) => delta.content ?? "").join(""),
    call_id: calls[0].id,
    call_type: calls[0].type,
    call_name: calls[0].function.name,
    call_indices: [...new Set(calls.map((call) => call.index))],
    call_arguments: JSON.parse(calls.map((call) => call.function.arguments ?? "").join("")),
    finish: chunks.map((chunk) => chunk.choices[0].finish_reason).filter(Boolean),
  };
}

async function raised(act) {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return {
      class: error.constructor.name,
      status: error.status ?? null,
      code: error.code,
      param: error.param,
      request_id: error.requestID ?? null,
      says: error.error?.message ?? null,
    };
  }
  throw new Error("no error was raised");
}

async function answers() {
  const stranger = new OpenAI({ baseURL, apiKey: "wrong" }).chat.completions;
  const picture = [{ type: "image_url", image_url: { url: "https://example.org/picture.png" } }];
  return {
    models: (await collected(client.models.list())).map((model) => model.id),
    retrieved: (await client.models.retrieve("lettabot")).id,
    stream: folded(await collected(await chat.create({ ...ADD, stream: true }))),
    sync: whole(await chat.create(LIST)),
    helper: await chat.stream(LIST).finalContent(),
    wrong_key: await raised(() => stranger.create(LIST)),
    wrong_key_stream: await raised(() => stranger.create({ ...LIST, stream: true })),
    unknown_model: await raised(() => chat.create({ ...LIST, model: "nobody" })),
    unknown_retrieved: await raised(() => client.models.retrieve("nobody")),
    blank: await raised(() => chat.create(ask(""))),
    picture: await raised(() => chat.create(ask(picture))),
  };
}

// Of an agent that has heard the message: the SDK must not send it again.
async function failures() {
  const fail = ask("fail, please", { model: "anna" });
  return {
    sync: await raised(() => chat.create(fail)),
    stream: await raised(async () => collected(await chat.create({ ...fail, stream: true }))),
  };
}

console.log(JSON.stringify(await { answers, failures }[what]()));
