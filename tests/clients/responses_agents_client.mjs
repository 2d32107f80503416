// OpenAI's Agents SDK for JavaScript with its default model, which asks for responses; for test_one_delivery.py.
import { Agent, OpenAIResponsesModel, run, setTracingDisabled } from "@openai/agents";
import OpenAI from "openai";
import { main } from "./asking.mjs";

// It would send what it traces to OpenAI.
setTracingDisabled(true);

const agent = ({ text, baseURL, apiKey, timeout }) =>
  new Agent({
    name: "tried",
    model: new OpenAIResponsesModel(new OpenAI({ baseURL, apiKey, ...(timeout && { timeout }) }), text),
  });

async function* whole(asked) {
  yield (await run(agent(asked), asked.text)).finalOutput;
}

async function* stream(asked) {
  const running = await run(agent(asked), asked.text, { stream: true, signal: asked.signal });
  for await (const event of running) {
    if (event.type === "raw_model_stream_event" && event.data.type === "output_text_delta") yield event.data.delta;
  }
  await running.completed;
}

await main({ whole, stream });
