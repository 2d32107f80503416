// All of the Responses API that the `openai` npm package has, for test_responses_sdks.py: prints what it got as JSON.
//
//     node responses_node.mjs BASE_URL KEY
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const { responses, conversations } = new OpenAI({ baseURL, apiKey });
const model = "lettabot";
const got = {};

const conversation = await conversations.create({ metadata: { topic: "plants" } });
const first = await responses.create({ model, input: "add milk", conversation: conversation.id });
got.first = first.output_text;
got.same = JSON.stringify(await responses.retrieve(first.id)) === JSON.stringify(first);
const second = await responses.create({ model, input: "add bread", previous_response_id: first.id });
got.conversation = second.conversation.id === conversation.id;
got.refused = await responses.create({ model, input: "add tea", previous_response_id: first.id }).then(
  () => "nothing",
  (error) => [error.status, error.code, error.param],
);
got.input = (await responses.inputItems.list(second.id)).data.map((item) => item.content[0].text);

await conversations.items.create(conversation.id, { items: [{ type: "message", role: "user", content: "kept" }] });
got.items = (await conversations.items.list(conversation.id)).data.flatMap((item) => item.content?.[0].text ?? []);
got.described = (await conversations.update(conversation.id, { metadata: { topic: "trees" } })).metadata.topic;

const told = [];
for await (const event of await responses.create({ model, input: "what is on my list", background: true, stream: true })) {
  told.push(event);
  if (event.type === "response.output_text.delta") break;
}
const { id } = told[0].response;
for await (const event of await responses.retrieve(id, { stream: true, starting_after: told.at(-1).sequence_number })) {
  told.push(event);
}
got.numbers = told.every((event, index) => event.sequence_number === index);
got.end = told.at(-1).type;
got.text = told.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join("");
got.cancelled = (await responses.cancel(id)).status;
const stream = responses.stream({ response_id: id, starting_after: 3 });
got.helper = (await stream.finalResponse()).output_text;
await responses.delete(id);
got.gone = await responses.retrieve(id).catch((error) => error.status);
got.deleted = (await conversations.delete(conversation.id)).deleted;
console.log(JSON.stringify(got));
