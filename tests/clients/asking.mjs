// What the Node clients of test_one_delivery.py share; the same as asking.py.
//
//     node NAME_client.mjs BASE_URL KEY QUESTION...
const CLIENT_TIMEOUT = 1000;
const HANGS_UP_AFTER = 300;

// `ask.whole` and `ask.stream` are generators of text and of { tool: name }. `timeout` is undefined where the client's
// default is tried; `signal` hangs up.
export async function main(ask) {
  const [baseURL, apiKey, ...questions] = process.argv.slice(2);
  await Promise.all(
    questions.map(async (text) => {
      const [scenario, mode] = text.split(" ");
      const timeout = ["late", "silent"].includes(scenario) ? CLIENT_TIMEOUT : undefined;
      const hangup = scenario === "endless" ? new AbortController() : undefined;
      const signal = hangup?.signal;
      let hangingUp;
      const got = { question: text, text: "", tools: [], errors: [], says: "" };
      try {
        for await (const seen of ask[mode]({ text, baseURL, apiKey, timeout, signal })) {
          if (seen?.tool) got.tools.push(seen.tool);
          else got.text += seen ?? "";
          if (hangup && got.text) hangingUp ??= setTimeout(() => hangup.abort(), HANGS_UP_AFTER);
        }
      } catch (error) {
        if (!signal?.aborted) {
          got.says = String(error?.message ?? error);
          for (let cause = error; cause; cause = cause.cause ?? cause.lastError) {
            got.errors.push([cause.constructor?.name, cause.name].join(" "));
          }
        }
      }
      console.log(JSON.stringify(got));
    }),
  );
}
